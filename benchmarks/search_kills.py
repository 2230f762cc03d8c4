"""Kills parts of a search with three workers at random moments, and counts what becomes of the search.

    python benchmarks/search_kills.py --repetitions 12 --seed 0

A repetition starts `kzoo search FILE --workers 3` on digits, and sends SIGKILL at a random moment to one worker, to
two, to the chief, or to the command itself: when a part of all epochs, drawn from 0 to 95%, has been trained, or in one
of six, a few seconds after the start. The search must then end by itself, or after the same command is given once more,
within a time limit; every trial must be completed, its record must be there, and its epochs must have been trained once
each.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kzoo.search.results import read_search

SEARCH = """
import kzoo
from kzoo.search.space import Range

search = kzoo.Search(
    "kills",
    kzoo.recipe("lenet2-max").override(dataset="digits", epochs={epochs}, batch_size=32),
    {{"optimizer.learning_rate": Range(1e-4, 1e-2, log=True)}},
    trials={trials},
)
"""
TARGETS = ("worker", "two workers", "chief", "worker", "chief", "command")
WORKERS = 3


@dataclass
class Outcome:
    """What became of one search.

    Attributes:
        target: what was killed.
        moment: when, as the part of all epochs that had to be trained; negative for seconds after the start.
        seconds: until the search was over.
        hit: names of the parts that were killed; none if the search was over before.
        restarts: how often the command had to be given again.
        resumed: trials of more than one process.
        problems: what should not be; empty if all is well.
    """

    target: str
    moment: float
    seconds: float = 0.0
    hit: list[str] = field(default_factory=list)
    restarts: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


def write_search(folder: Path, trials: int, epochs: int) -> Path:
    """A file with a search that is cheap."""
    path = folder / "cheap_search.py"
    path.write_text(SEARCH.format(trials=trials, epochs=epochs))
    return path


def start(path: Path, directory: Path, workers: int = WORKERS, *options: str) -> subprocess.Popen[bytes]:
    """Give the command."""
    words = [sys.executable, "-m", "kzoo", "search", str(path), "--workers", str(workers)]
    with open(directory.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(
            [*words, "--directory", str(directory), *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def parts(command: int) -> dict[str, int]:
    """Process numbers of a command's chief and workers, by name (Linux)."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            words = (stat.parent / "cmdline").read_bytes().decode().split("\0")
        except (OSError, IndexError):
            continue
        if parent == command and "--role" in words:
            role = words[words.index("--role") + 1]
            found[words[words.index("--name") + 1] if role == "worker" else role] = int(stat.parent.name)
    return found


def trained(directory: Path) -> int:
    """Epochs of all trials so far."""
    return sum(max(path.read_text().count("\n") - 1, 0) for path in directory.glob("trial_*/run/metrics.csv"))


def kill(command: subprocess.Popen[bytes], target: str, generator: np.random.Generator) -> list[str]:
    """Send SIGKILL; gives the names of those that were hit, none if the search is over."""
    there: dict[str, int] = {}
    while len(there) <= WORKERS:  # all have been started
        if command.poll() is not None:
            return []
        time.sleep(0.05)
        there = parts(command.pid)
    workers = sorted(name for name in there if name != "chief")
    count = {"worker": 1, "two workers": 2}.get(target, 0)
    names = [str(name) for name in generator.permutation(workers)[:count]] if count else [target]
    for name in names:
        os.kill({**there, "command": command.pid}[name], signal.SIGKILL)
    return names


def check(directory: Path, trials: int, epochs: int) -> tuple[list[str], int]:
    """What is wrong with a search that should be complete, and how many of its trials were resumed."""
    result = read_search(directory)
    problems = [] if result.status == "completed" else [f"the search is {result.status!r}"]
    counts = Counter(trial.status for trial in result.trials)
    if counts != {"completed": trials}:
        problems.append(f"trials: {dict(counts)}")
    resumed = 0
    for trial in result.trials:
        try:
            with open(directory / trial.directory / "metrics.csv", encoding="utf-8") as stream:
                trained = [int(row["epoch"]) for row in csv.DictReader(stream)]
            record = json.loads((directory / trial.directory / "result.json").read_text(encoding="utf-8"))
        except OSError as error:
            problems.append(f"trial {trial.number}: {error}")
            continue
        if trained != list(range(1, epochs + 1)) or record["epochs"] != epochs:
            problems.append(f"trial {trial.number}: epochs {trained}")
        resumed += len(record["segments"]) > 1
    return problems, resumed


def repetition(
    path: Path,
    directory: Path,
    target: str,
    moment: float,
    generator: np.random.Generator,
    *,
    trials: int,
    epochs: int,
    limit: float,
) -> Outcome:
    """Run the search once, with a kill at a moment (none if `target` is ``"nothing"``)."""
    outcome = Outcome(target, moment)
    began = time.monotonic()
    command = start(path, directory)
    try:
        if target != "nothing":
            if moment < 0:
                time.sleep(-moment)
            while command.poll() is None and trained(directory) < moment * trials * epochs:
                time.sleep(0.05)
            time.sleep(generator.uniform(0.0, 0.5))  # anywhere within an epoch, not at its end
            outcome.hit = kill(command, target, generator)
        while True:
            code = command.wait(limit - (time.monotonic() - began))
            if code == 0:
                break
            if outcome.restarts or target == "nothing":
                outcome.problems.append(f"exit status {code}")
                break
            outcome.restarts += 1
            command = start(path, directory)
        problems, outcome.resumed = check(directory, trials, epochs)
        outcome.problems += problems
    except subprocess.TimeoutExpired:
        outcome.problems.append(f"not over after {limit:g} s")
        command.terminate()
        try:
            command.wait(90)
        except subprocess.TimeoutExpired:
            command.kill()
    outcome.seconds = time.monotonic() - began
    return outcome


def main() -> int:
    """Print a line for each repetition and the counts; exit status 1 if any search did not end well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a search counts as hanging")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures")
    given = parser.parse_args()
    generator = np.random.default_rng(given.seed)
    sizes = {"trials": given.trials, "epochs": given.epochs, "limit": given.limit}
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_search(Path(folder), given.trials, given.epochs)
        for index in range(2 * given.repetitions):
            killed = [outcome for outcome in outcomes if outcome.hit]
            if len(killed) == given.repetitions:
                break
            target = TARGETS[len(killed) % len(TARGETS)] if index else "nothing"
            early = generator.random() < 1 / 6
            moment = -float(generator.uniform(0.0, 10.0)) if early else float(generator.uniform(0.0, 0.95))
            outcome = repetition(path, Path(folder) / f"search{index}", target, moment, generator, **sizes)
            outcomes.append(outcome)
            when = f"{-moment:.1f} s" if early else f"{moment:.0%} of the epochs"
            what = f"{', '.join(outcome.hit)} killed at {when}" if outcome.hit else "nothing killed"
            how = "; ".join(outcome.problems) or f"completed, {outcome.restarts} commands more"
            times = f"over after {outcome.seconds:.1f} s, {outcome.resumed} trials resumed"
            print(f"{index:3d}  {what:38s} {times}  {how}", flush=True)
    killed = [outcome for outcome in outcomes if outcome.hit]
    good = [outcome for outcome in killed if not outcome.problems]
    print(f"{len(good)} of {len(killed)} completed with every trial exactly once;", end=" ")
    print(f"{sum(outcome.restarts == 0 for outcome in good)} by themselves, the rest after one command more")
    if given.json:
        given.json.write_text(json.dumps([vars(outcome) for outcome in outcomes], indent=1))
    return int(len(good) < len(killed) or bool(outcomes[0].problems))


if __name__ == "__main__":
    sys.exit(main())
