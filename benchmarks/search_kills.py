"""Kill processes of a search with three workers at random moments, and count the searches that end well.

    KERAS_BACKEND=jax python benchmarks/search_kills.py --repetitions 20 --json kills.json

This takes about 35 minutes on two cores with JAX, and about 50 with TensorFlow. The file contains the outcomes of all
repetitions so far: the same command resumes from it and prints the counts of all repetitions.

A repetition starts `kzoo search FILE --workers 3` on digits, and sends SIGKILL at a random moment to the process of one
trial, the processes of two trials, the owner of the search, or all of these. The moment is when a random part of all
epochs (0 to 95%) has been trained or, in one case in six, a few seconds after the start. If the owner was killed, the
same command is run again. Then the search must end within a time limit. Every trial must be completed once, with values
that no other trial has, and its directory must contain every epoch once. No process may repeat an epoch that was in a
checkpoint when another process was killed: each segment of a run starts where the previous one ended, or within the
epoch after that.
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
    """The outcome of one search.

    Attributes:
        target: what was killed.
        attempt: number of the repetition, the seed of its random numbers.
        moment: when, as the trained part of all epochs; if negative, the seconds after the start.
        seconds: until the search ended.
        hit: whether anything was killed; False if the search had ended before.
        commands: how many times the command was run.
        resumed: number of trials that more than one process trained.
        problems: what went wrong; empty if nothing did.
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
    """Write the file of a cheap search."""
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
    """Return the ids of the processes that train a command's trials (Linux)."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            words = (stat.parent / "cmdline").read_bytes().decode().split("\0")
        except (OSError, IndexError):
            continue
        if parent == command and "kzoo.pool.child" in words:
            pids.append(int(stat.parent.name))
    return pids


def trained(directory: Path) -> int:
    """Return the number of epochs that all trials have trained so far."""
    return sum(max(path.read_text().count("\n") - 1, 0) for path in directory.glob("trial_*/run/metrics.csv"))


def checkpoints(directory: Path) -> dict[str, int]:
    """Return the number of epochs in each trial's newest checkpoint, for trials that have one."""
    newest: dict[str, int] = {}
    for path in directory.glob("trial_*/run/checkpoint/*.npz"):
        epochs = int(path.name.partition("-")[0])
        newest[path.parts[-4]] = max(newest.get(path.parts[-4], 0), epochs)
    return newest


def kill(command: subprocess.Popen[bytes], target: str, generator: np.random.Generator) -> bool:
    """Send SIGKILL to the processes that the target names; return whether any of them was still running."""
    pids: list[int] = []
    while len(pids) < max(TARGETS[target], target == "all"):
        if command.poll() is not None:
            return False
        time.sleep(0.02)
        pids = children(command.pid)
    chosen = [int(pid) for pid in generator.permutation(pids)[: TARGETS[target]]]
    if target in ("owner", "all"):
        chosen = [command.pid, *(pids if target == "all" else [])]
    hit = False
    for pid in chosen:
        try:
            os.kill(pid, signal.SIGKILL)
            hit = True
        except ProcessLookupError:
            pass
    return hit


def check(directory: Path, trials: int, epochs: int, saved: dict[str, int] | None = None) -> tuple[list[str], int]:
    """Return the problems of a search that should be complete, and the number of trials that were resumed.

    Args:
        directory: of the search.
        trials: the expected number of trials.
        epochs: the expected number of epochs of each trial.
        saved: the epochs in each trial's checkpoint when a process was killed.
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
            problems.append(f"trial {trial.number}: its processes started with epochs {firsts}")
        before = (saved or {}).get(f"trial_{trial.number}", 0)
        if 0 < before < epochs and len(firsts) > 1 and firsts[1] <= before:
            problems.append(f"trial {trial.number}: epoch {before} was in a checkpoint and was trained again")
        resumed += len(firsts) > 1
    return problems, resumed


def repetition(path: Path, directory: Path, target: str, attempt: int, options: argparse.Namespace) -> Outcome:
    """Run the search once and kill the target at a random moment."""
    generator = np.random.default_rng([options.seed, list(TARGETS).index(target), attempt])
    early = generator.random() < 1 / 6
    moment = -generator.uniform(0.0, 10.0) if early else generator.uniform(0.0, 0.95)
    outcome = Outcome(target, attempt, float(moment))
    started = time.monotonic()
    command = start(path, directory)
    try:
        # Wait for the moment, which can be anywhere within an epoch.
        if moment < 0:
            time.sleep(-moment)
        while command.poll() is None and trained(directory) < moment * options.trials * options.epochs:
            time.sleep(0.02)
        time.sleep(generator.uniform(0.0, 0.2))
        saved = checkpoints(directory)
        outcome.hit = kill(command, target, generator)

        # Run the command again only if the owner was killed.
        while (code := command.wait(options.limit - (time.monotonic() - started))) != 0:
            if outcome.commands > 1 or target not in ("owner", "all"):
                outcome.problems.append(f"exit status {code}")
                break
            outcome.commands += 1
            command = start(path, directory)
        problems, outcome.resumed = check(directory, options.trials, options.epochs, saved)
        outcome.problems += problems
    except subprocess.TimeoutExpired:
        outcome.problems.append(f"still running after {options.limit:g} s")
        command.terminate()
        try:
            command.wait(90)
        except subprocess.TimeoutExpired:
            command.kill()
    outcome.seconds = time.monotonic() - started
    return outcome


def summary(outcome: Outcome) -> str:
    """Describe a repetition in one line."""
    when = f"{-outcome.moment:.1f} s" if outcome.moment < 0 else f"{outcome.moment:.0%} of the epochs"
    killed = f"{outcome.target} killed at {when}" if outcome.hit else "nothing killed"
    result = "; ".join(outcome.problems) or f"completed by {outcome.commands} command(s)"
    return f"{killed:34s} ended after {outcome.seconds:.1f} s, {outcome.resumed} trials resumed  {result}"


def main() -> int:
    """Print a line for each repetition and the counts; exit status 1 if any search did not end well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20, help="repetitions for each target")
    parser.add_argument("--targets", default=",".join(TARGETS), help="comma-separated: one, two, owner, all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a search counts as hanging")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all outcomes here, and resume from them")
    options = parser.parse_args()
    targets, outcomes = options.targets.split(","), []
    if options.json and options.json.exists():
        outcomes = [Outcome(**fields) for fields in json.loads(options.json.read_text())]

    # If a search ended before anything was killed, another repetition replaces it.
    for attempt in range(2 * options.repetitions):
        for target in targets:
            earlier = [outcome for outcome in outcomes if outcome.target == target]
            known = attempt in [outcome.attempt for outcome in earlier]
            if known or sum(outcome.hit for outcome in earlier) >= options.repetitions:
                continue
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                path = write_search(Path(folder), options.trials, options.epochs)
                outcome = repetition(path, Path(folder) / "search", target, attempt, options)
                log = Path(folder) / "search.log"
                if outcome.problems and log.exists():
                    print(log.read_text())
            outcomes.append(outcome)
            print(summary(outcome), flush=True)
            if options.json:
                text = json.dumps([vars(outcome) for outcome in outcomes], indent=1)
                write_atomically(options.json, lambda stream, text=text: stream.write(text.encode()))

    for target in targets:
        hits = [outcome for outcome in outcomes if outcome.hit and outcome.target == target]
        good = sum(not outcome.problems for outcome in hits)
        print(f"{target}: {good} of {len(hits)} completed with every trial and every epoch exactly once")
    return int(any(outcome.problems for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
