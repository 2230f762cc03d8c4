"""Throughput of a search with two workers of one core each, compared with one worker of one core (Linux).

    python benchmarks/search_workers.py

All trials have the same size and train on digits. Throughput excludes start-up: it is measured from the time when every
worker has finished its first trial until the first worker finishes its last one. It includes the whole trial: building
and tracing the model, training it, and writing the record.

Two cores of a machine are rarely twice as fast as one, because they share a cache, memory, or the time of a host. A
third contender shows what the machine allows: two independent searches of one worker each, at the same time. The
contenders take turns in rounds, because the speed of the machine varies; the printed ratio is the median over rounds.
For the search with two workers, the output includes the owner's share of the processor time in the same period, which
is the cost of choosing trials, supervising processes and writing the record. It takes about ten minutes on an idle
machine.
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
    """Return the trials per second while all workers train.

    Args:
        directories: of the searches.
        workers: the number of workers of all searches together.
    """
    ends: dict[tuple[Path, str], list[float]] = {}
    for directory in directories:
        for trial in read_search(directory).trials:
            moment = (directory / trial.directory / "result.json").stat().st_mtime
            ends.setdefault((directory, trial.outcome.worker if trial.outcome else ""), []).append(moment)
    by_worker = [sorted(moments) for moments in ends.values()]
    begin, end = max(moments[0] for moments in by_worker), min(moments[-1] for moments in by_worker)
    total = 0.0
    for moments in by_worker:
        within = [moment for moment in moments if begin <= moment <= end]
        if len(by_worker) < workers or len(within) < 3:
            raise SystemExit("too few trials to measure: increase --trials")
        total += (len(within) - 1) / (within[-1] - within[0])
    return total


def processor_time(pid: int) -> float:
    """Return the processor time of a process in seconds (Linux); 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def owner_share(process: subprocess.Popen[bytes], directory: Path, workers: int, trials: int) -> float:
    """Return the owner's share of a search's processor time, from the first to the last trials of all workers."""

    def times_after(finished: int) -> dict[int, float]:
        while process.poll() is None and len(list(directory.glob("trial_*/outcome.json"))) < finished:
            time.sleep(0.05)
        return {pid: processor_time(pid) for pid in (process.pid, *children(process.pid))}

    first, last = times_after(workers), times_after(trials - workers + 1)
    seconds = {pid: last[pid] - first.get(pid, 0.0) for pid in last}
    return seconds[process.pid] / sum(seconds.values())


def search(settings: dict[str, Any], folder: Path, workers: int, copies: int, trials: int) -> tuple[float, float]:
    """Run copies of a search at the same time; return their total rate and the share of the first one's owner."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    folder.mkdir()
    # With oneDNN, TensorFlow uses two threads although one is requested: bind the process to its cores.
    cores = sorted(os.sched_getaffinity(0))
    running = []
    for copy in range(copies):
        path, directory = folder / f"search{copy}.py", folder / f"search{copy}"
        path.write_text(SEARCH.format(**settings, trials=trials))
        words = [sys.executable, "-m", "kzoo", "search", str(path), "--workers", str(workers)]
        log = open(directory.with_suffix(".log"), "wb")  # noqa: SIM115  (open as long as the process runs)
        bound = ",".join(str(core) for core in cores[copy * workers : (copy + 1) * workers])
        words = ["taskset", "-c", bound, *words, "--directory", str(directory)]
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
    parser.add_argument("--trials", type=int, default=8, help="trials for each worker")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all measurements")
    options = parser.parse_args()
    settings = {"model": options.model, "epochs": options.epochs}
    contenders = {"one": (1, 1), "two": (2, 1), "apart": (1, 2)}  # workers of a search, searches
    rounds, owners = [], []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(options.rounds):
            order = [*contenders][index % len(contenders) :] + [*contenders][: index % len(contenders)]
            rates = {}
            for name in order:
                workers, copies = contenders[name]
                directory = Path(folder) / f"round{index}-{name}"
                rates[name], share = search(settings, directory, workers, copies, options.trials * workers)
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
    if options.json:
        report = {"ratios": ratios, "rounds": rounds, "owners": owners, "cores": os.cpu_count()}
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
