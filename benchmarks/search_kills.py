"""Kills processes of a search with three workers at random moments, and counts what becomes of the search.

    KERAS_BACKEND=jax python benchmarks/search_kills.py --repetitions 20 --json kills.json

This takes about 35 minutes of two cores with JAX, half as long again with TensorFlow. FILE holds the outcomes so far
after each repetition: the same command goes on from there, and prints the counts of all of them.

A repetition starts `kzoo search FILE --workers 3` on digits, and sends SIGKILL at a random moment to one trial's
process, to two at once, to the owner of the search, or to all of them: when a part of all epochs, drawn from 0 to 95%,
has been trained, or in one of six, a few seconds after the start. Where the owner was killed, the same command is given
again. Then the search must end by itself within a time limit. Every trial must be completed, once, with values that no
other trial has. Its directory must hold every epoch once. No process may train again what was in a checkpoint when
another one was killed: each segment of a run begins where the one before it had come to, or within the epoch after it.
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

from kzoo.files import write_atomically
from kzoo.search.results import read_search

SEARCH = """
import kzoo
from kzoo.search.space import Range

search = kzoo.Search(
    "kills",
    kzoo.Recipe("benchmark/kills", model="mlp", model_options={{"hidden": [8]}}, dataset="digits", train_size=400,
                batch_size=100, epochs={epochs}),
    {{"optimizer.learning_rate": Range(1e-4, 1e-2, log=True)}},
    trials={trials},
)
"""
TARGETS = {"one": 1, "two": 2, "owner": 0, "all": 0}
WORKERS = 3


@dataclass
class Outcome:
    """What became of one search.

    Attributes:
        target: what was killed.
        attempt: number of the repetition, from which all of its random numbers follow.
        moment: when, as the part of all epochs that had to be trained; negative for seconds after the start.
        seconds: until the search was over.
        hit: whether anything was killed; not if the search was over before.
        commands: how often the command was given.
        resumed: trials of more than one process.
        problems: what should not be; empty if all is well.
    """

    target: str
    attempt: int
    moment: float
    seconds: float = 0.0
    hit: bool = False
    commands: int = 1
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


def write_search(folder: Path, trials: int, epochs: int) -> Path:
    """A file with a search that is cheap."""
    path = folder / "cheap_search.py"
    path.write_text(SEARCH.format(trials=trials, epochs=epochs))
    return path


def start(path: Path, directory: Path, workers: int = WORKERS, *options: str) -> subprocess.Popen[bytes]:
    """Start a search, as a user would."""
    words = [sys.executable, "-m", "kzoo", "search", str(path), "--workers", str(workers)]
    with open(directory.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(
            [*words, "--directory", str(directory), *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def children(command: int) -> list[int]:
    """Numbers of the processes that train a command's trials (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            words = (stat.parent / "cmdline").read_bytes().decode().split("\0")
        except (OSError, IndexError):
            continue
        if parent == command and "kzoo.pool.child" in words:
            found.append(int(stat.parent.name))
    return found


def trained(directory: Path) -> int:
    """Epochs of all trials so far."""
    return sum(max(path.read_text().count("\n") - 1, 0) for path in directory.glob("trial_*/run/metrics.csv"))


def checkpoints(directory: Path) -> dict[str, int]:
    """Epochs that each trial's newest checkpoint holds, for trials that have one."""
    found: dict[str, int] = {}
    for path in directory.glob("trial_*/run/checkpoint/*.npz"):
        epochs = int(path.name.partition("-")[0])
        found[path.parts[-4]] = max(found.get(path.parts[-4], 0), epochs)
    return found


def kill(command: subprocess.Popen[bytes], target: str, generator: np.random.Generator) -> bool:
    """Send SIGKILL to what the target names; whether there was anything left to kill."""
    there: list[int] = []
    while len(there) < max(TARGETS[target], target == "all"):
        if command.poll() is not None:
            return False
        time.sleep(0.02)
        there = children(command.pid)
    chosen = [int(pid) for pid in generator.permutation(there)[: TARGETS[target]]]
    if target in ("owner", "all"):
        chosen = [command.pid, *(there if target == "all" else [])]
    hit = False
    for pid in chosen:
        try:
            os.kill(pid, signal.SIGKILL)
            hit = True
        except ProcessLookupError:
            pass
    return hit


def check(directory: Path, trials: int, epochs: int, kept: dict[str, int] | None = None) -> tuple[list[str], int]:
    """What is wrong with a search that should be complete, and how many of its trials were resumed.

    Args:
        directory: the search's.
        trials: how many there should be.
        epochs: of each.
        kept: epochs that each trial's checkpoint held when something was killed.
    """
    result = read_search(directory)
    problems = [] if result.status == "completed" else [f"the search is {result.status!r}"]
    counts = Counter(trial.status for trial in result.trials)
    if counts != {"completed": trials}:
        problems.append(f"trials: {dict(counts)}")
    if len({str(trial.values) for trial in result.trials}) != trials:
        problems.append("two trials have the same values")
    resumed = 0
    for trial in result.trials:
        try:
            with open(directory / trial.directory / "metrics.csv", encoding="utf-8") as stream:
                rows = [int(row["epoch"]) for row in csv.DictReader(stream)]
            record = json.loads((directory / trial.directory / "result.json").read_text(encoding="utf-8"))
        except OSError as error:
            problems.append(f"trial {trial.number}: {error}")
            continue
        if rows != list(range(1, epochs + 1)) or record["epochs"] != epochs:
            problems.append(f"trial {trial.number}: epochs {rows}")
        firsts = [segment["first_epoch"] for segment in record["segments"]]
        if firsts[0] != 1 or firsts != sorted(firsts):
            problems.append(f"trial {trial.number}: its processes began with epochs {firsts}")
        before = (kept or {}).get(f"trial_{trial.number}", 0)
        if 0 < before < epochs and len(firsts) > 1 and firsts[1] <= before:
            problems.append(f"trial {trial.number}: epoch {before} was in a checkpoint and was trained again")
        resumed += len(firsts) > 1
    return problems, resumed


def repetition(path: Path, directory: Path, target: str, attempt: int, given: argparse.Namespace) -> Outcome:
    """Run the search once, with a kill at a random moment."""
    generator = np.random.default_rng([given.seed, list(TARGETS).index(target), attempt])
    early = generator.random() < 1 / 6
    moment = -generator.uniform(0.0, 10.0) if early else generator.uniform(0.0, 0.95)
    outcome = Outcome(target, attempt, float(moment))
    began = time.monotonic()
    command = start(path, directory)
    try:
        # Wait for the moment, which may be anywhere within an epoch.
        if moment < 0:
            time.sleep(-moment)
        while command.poll() is None and trained(directory) < moment * given.trials * given.epochs:
            time.sleep(0.02)
        time.sleep(generator.uniform(0.0, 0.2))
        kept = checkpoints(directory)
        outcome.hit = kill(command, target, generator)

        # Only a search whose owner was killed needs the command again.
        while (code := command.wait(given.limit - (time.monotonic() - began))) != 0:
            if outcome.commands > 1 or target not in ("owner", "all"):
                outcome.problems.append(f"exit status {code}")
                break
            outcome.commands += 1
            command = start(path, directory)
        problems, outcome.resumed = check(directory, given.trials, given.epochs, kept)
        outcome.problems += problems
    except subprocess.TimeoutExpired:
        outcome.problems.append(f"not over after {given.limit:g} s")
        command.terminate()
        try:
            command.wait(90)
        except subprocess.TimeoutExpired:
            command.kill()
    outcome.seconds = time.monotonic() - began
    return outcome


def in_words(outcome: Outcome) -> str:
    """A line about a repetition."""
    when = f"{-outcome.moment:.1f} s" if outcome.moment < 0 else f"{outcome.moment:.0%} of the epochs"
    what = f"{outcome.target} killed at {when}" if outcome.hit else "nothing killed"
    how = "; ".join(outcome.problems) or f"completed by {outcome.commands} command(s)"
    return f"{what:34s} over after {outcome.seconds:.1f} s, {outcome.resumed} trials resumed  {how}"


def main() -> int:
    """Print a line for each repetition and the counts; exit status 1 if any search did not end well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20, help="of each target")
    parser.add_argument("--targets", default=",".join(TARGETS), help="which of one, two, owner and all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a search counts as hanging")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all outcomes there, and go on from them")
    given = parser.parse_args()
    targets, outcomes = given.targets.split(","), []
    if given.json and given.json.exists():
        outcomes = [Outcome(**fields) for fields in json.loads(given.json.read_text())]

    # A repetition that killed nothing, as its search was over before, is replaced by another one.
    for attempt in range(2 * given.repetitions):
        for target in targets:
            mine = [outcome for outcome in outcomes if outcome.target == target]
            known = attempt in [outcome.attempt for outcome in mine]
            if known or sum(outcome.hit for outcome in mine) >= given.repetitions:
                continue
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                path = write_search(Path(folder), given.trials, given.epochs)
                outcome = repetition(path, Path(folder) / "search", target, attempt, given)
                log = Path(folder) / "search.log"
                if outcome.problems and log.exists():
                    print(log.read_text())
            outcomes.append(outcome)
            print(in_words(outcome), flush=True)
            if given.json:
                text = json.dumps([vars(outcome) for outcome in outcomes], indent=1)
                write_atomically(given.json, lambda stream, text=text: stream.write(text.encode()))

    for target in targets:
        mine = [outcome for outcome in outcomes if outcome.hit and outcome.target == target]
        good = sum(not outcome.problems for outcome in mine)
        print(f"{target}: {good} of {len(mine)} completed with every trial and every epoch exactly once")
    return int(any(outcome.problems for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
