"""How much faster two workers of one core each search than one worker of one core (Linux).

    python benchmarks/search_workers.py

All searches have trials of one size, on digits. Start-up is left out: throughput is that of the time from when every
worker has ended its first trial until one of them has ended its last. What a trial needs beside its training (to build
the model and trace it, to write its record) belongs to it.

Two cores of a machine are seldom twice as fast as one: they share a cache, memory, or the time of a host. So a third
contender says what the machine allows: two searches of one worker each, side by side, that know nothing of each other.
The contenders take turns in rounds, as the machine's speed drifts; a ratio is that of a round, and the median of the
rounds is printed. For the search of two workers, the owner's share of the processor time in that window is printed too:
what it costs to choose trials, to supervise processes and to write the record. About ten minutes on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kzoo.pool.resources import THREADS
from kzoo.search.results import read_search

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.search_kills import children

SEARCH = """
import kzoo
from kzoo.search.space import Range

search = kzoo.Search(
    "throughput",
    kzoo.recipe({model!r}).override(dataset="digits", epochs={epochs}),
    {{"optimizer.learning_rate": Range(1e-4, 1e-2, log=True)}},
    trials={trials},
    baseline=False,
)
"""


def rate(directories: list[Path], workers: int) -> float:
    """Trials a second while all workers are at work, of which there are so many in all."""
    ends: dict[tuple[Path, str], list[float]] = {}
    for directory in directories:
        for trial in read_search(directory).trials:
            moment = (directory / trial.directory / "result.json").stat().st_mtime
            ends.setdefault((directory, trial.outcome.worker if trial.outcome else ""), []).append(moment)
    moments = [sorted(of_one) for of_one in ends.values()]
    begin, end = max(one[0] for one in moments), min(one[-1] for one in moments)
    total = 0.0
    for one in moments:
        within = [moment for moment in one if begin <= moment <= end]
        if len(moments) < workers or len(within) < 3:
            raise SystemExit("too few trials to measure: give more (--trials)")
        total += (len(within) - 1) / (within[-1] - within[0])
    return total


def processor_time(pid: int) -> float:
    """Seconds that a process has worked (Linux); 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def owner_share(process: subprocess.Popen[bytes], directory: Path, workers: int, trials: int) -> float:
    """Part of a search's processor time that its owner takes, from every worker's first trial until the last ones."""

    def times_after(ended: int) -> dict[int, float]:
        while process.poll() is None and len(list(directory.glob("trial_*/outcome.json"))) < ended:
            time.sleep(0.05)
        return {pid: processor_time(pid) for pid in (process.pid, *children(process.pid))}

    first, last = times_after(workers), times_after(trials - workers + 1)
    spent = {pid: last[pid] - first.get(pid, 0.0) for pid in last}
    return spent[process.pid] / sum(spent.values())


def search(settings: dict[str, Any], folder: Path, workers: int, copies: int, trials: int) -> tuple[float, float]:
    """Run as many copies of a search side by side, and give their rate together and the share of the first's owner."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    folder.mkdir()
    # With oneDNN, TensorFlow has two threads where one is asked for: only a bound process has one core.
    cores = sorted(os.sched_getaffinity(0))
    running = []
    for copy in range(copies):
        path, directory = folder / f"search{copy}.py", folder / f"search{copy}"
        path.write_text(SEARCH.format(**settings, trials=trials))
        words = [sys.executable, "-m", "kzoo", "search", str(path), "--workers", str(workers)]
        log = open(directory.with_suffix(".log"), "wb")  # noqa: SIM115  (open as long as the process runs)
        own = ",".join(str(core) for core in cores[copy * workers : (copy + 1) * workers])
        words = ["taskset", "-c", own, *words, "--directory", str(directory)]
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        running.append((directory, process))
    share = owner_share(running[0][1], running[0][0], workers, trials)
    for directory, process in running:
        if process.wait():
            raise SystemExit(directory.with_suffix(".log").read_text())
    return rate([directory for directory, _ in running], workers * copies), share


def main() -> None:
    """Print a line for each round, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="lenet2-max")
    parser.add_argument("--trials", type=int, default=8, help="for each worker")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures")
    given = parser.parse_args()
    settings = {"model": given.model, "epochs": given.epochs}
    contenders = {"one": (1, 1), "two": (2, 1), "apart": (1, 2)}  # workers of a search, searches
    rounds, owners = [], []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(given.rounds):
            order = [*contenders][index % len(contenders) :] + [*contenders][: index % len(contenders)]
            rates = {}
            for name in order:
                workers, copies = contenders[name]
                directory = Path(folder) / f"round{index}-{name}"
                rates[name], share = search(settings, directory, workers, copies, given.trials * workers)
                owners += [share] if name == "two" else []
            rounds.append(rates)
            text = ", ".join(f"{name} {rates[name]:.3f} trials/s" for name in contenders)
            ratio = rates["two"] / rates["one"]
            print(f"round {index + 1}: {text}; two / one {ratio:.2f}; owner of two {owners[-1]:.1%}", flush=True)

    ratios = {
        f"{a} / {b}": statistics.median(rates[a] / rates[b] for rates in rounds)
        for a, b in (("two", "one"), ("apart", "one"), ("two", "apart"))
    }
    for pair, ratio in ratios.items():
        print(f"{pair}: {ratio:.2f} times the throughput")
    print(f"owner: {statistics.median(owners):.1%} of the processor time")
    if given.json:
        kept = {"ratios": ratios, "rounds": rounds, "owners": owners, "cores": os.cpu_count()}
        given.json.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
