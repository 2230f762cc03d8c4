"""How much faster two workers of one thread each search than one worker of one thread.

    python benchmarks/search_workers.py

Both searches have the same trials, all of one size, on synthetic images. Start-up is left out: throughput is that of
the time from when every worker has ended its first trial until one of them has ended its last. What a trial needs
beside its training (to build the model and trace it, to write its record) belongs to it. The two searches take turns in
rounds, as the machine's speed drifts; the ratio is that of a round, and the median of the rounds is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from kzoo.search.results import read_search
from kzoo.workers.resources import THREADS

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


def rate(directory: Path, workers: int) -> float:
    """Trials a second while all workers are at work."""
    ends: dict[str, list[float]] = {}
    for trial in read_search(directory).trials:
        moment = (directory / trial.directory / "result.json").stat().st_mtime
        ends.setdefault(trial.outcome.worker if trial.outcome else "", []).append(moment)
    moments = [sorted(of_one) for of_one in ends.values()]
    begin, end = max(one[0] for one in moments), min(one[-1] for one in moments)
    total = 0.0
    for one in moments:
        within = [moment for moment in one if begin <= moment <= end]
        if len(moments) < workers or len(within) < 3:
            raise SystemExit("too few trials to measure: give more (--trials)")
        total += (len(within) - 1) / (within[-1] - within[0])
    return total


def search(path: Path, directory: Path, workers: int) -> float:
    """Run a search and give its rate."""
    words = [sys.executable, "-m", "kzoo", "search", str(path), "--workers", str(workers)]
    threads = dict.fromkeys(THREADS, "1")
    with open(directory.with_suffix(".log"), "wb") as log:
        done = subprocess.run(
            [*words, "--directory", str(directory)], env={**os.environ, **threads}, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        raise SystemExit(directory.with_suffix(".log").read_text())
    return rate(directory, workers)


def main() -> None:
    """Print a line for each round, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="lenet2-max")
    parser.add_argument("--trials", type=int, default=8, help="of the search with one worker; with two, twice as many")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures")
    given = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(given.rounds):
            rates = {}
            for workers in (1, 2) if index % 2 == 0 else (2, 1):
                path = Path(folder) / f"search{workers}.py"
                trials = given.trials * workers
                path.write_text(SEARCH.format(model=given.model, epochs=given.epochs, trials=trials))
                rates[workers] = search(path, Path(folder) / f"round{index}-{workers}", workers)
            rounds.append(rates)
            one, two = rates[1], rates[2]
            print(f"round {index + 1}: {one:.3f} and {two:.3f} trials/s, ratio {two / one:.2f}", flush=True)
    ratio = statistics.median(rates[2] / rates[1] for rates in rounds)
    print(f"two workers of one thread over one worker of one thread: {ratio:.2f} times the throughput")
    if given.json:
        given.json.write_text(json.dumps({"ratio": ratio, "rounds": rounds, "cores": os.cpu_count()}, indent=1))


if __name__ == "__main__":
    main()
