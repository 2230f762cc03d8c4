"""Seconds an epoch of a study's runs, as ratios, all measured in one run.

    python benchmarks/epoch_time.py batchnorm-cost --only 'E*' --rounds 5
    python benchmarks/epoch_time.py rescue --json results/epoch_time/rescue.json

Machines drift by tens of percent within minutes, so the networks take turns: in each round each of them trains one
block of steps while the others stand still. An epoch's time is that of a step times the steps of an epoch, so batch
sizes and copies of the training images count; validation does not. A ratio is the median over rounds of a run's time
over that of the first run. Images are synthetic, of the recipe's dataset's shape and number of classes. Every run is a
process that stays until the end, about 1 GB each: choose some of a large study's runs with `--only`.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import multiprocessing
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peers

import kzoo
from kzoo.data.datasets import get_dataset
from kzoo.data.splits import Split
from kzoo.errors import KzooError
from kzoo.studies import Study, get_study
from kzoo.training import records

COPIES = {"rotations": 12}  # of each image, beside itself; the other expansions add one
IMAGES = 45_000  # of an epoch before expansion: it cancels out of a ratio


def images_an_epoch(recipe: kzoo.Recipe) -> int:
    """Images an epoch, copies included."""
    return IMAGES * (1 + sum(COPIES.get(name, 1) for name in recipe.expansions))


def steps_an_epoch(recipe: kzoo.Recipe) -> int:
    """Steps an epoch, the last and smaller one included."""
    return -(-images_an_epoch(recipe) // recipe.batch_size)


def contend(recipe_json: str, steps: int, threads: int, pipe: Connection) -> None:
    """Train a recipe on synthetic images, block by block, as told; what a child process runs."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        from kzoo.backend import quiet_import

        with quiet_import():
            import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    row = kzoo.Recipe.from_json(recipe_json)
    source = get_dataset(row.dataset)
    shape, classes = source.image_shape, len(row.class_names or ()) or source.classes
    if shape is None or classes is None:
        raise SystemExit(f"dataset {row.dataset!r} has no shape or number of classes in its row")
    size = (row.image_size, row.image_size, shape[-1]) if row.image_size else shape
    count = steps * row.batch_size + 2  # two are for validation
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *size), dtype=np.uint8)
    labels = np.arange(count) % classes
    content = {"images": images, "labels": labels, "test_images": images[:100], "test_labels": labels[:100]}
    kzoo.register_dataset("synthetic", lambda data_dir: content)
    # The copies of an expansion make an epoch longer, not a step: they are counted, not made.
    changes = {"split": Split(validation=2), "epochs": 1, "expansions": (), "class_names": None, "image_size": None}
    changes |= {"train_size": None, "augmentation": row.resolved().augmentation, "normalization": row.normalization}
    row = row.derive("benchmark/epoch-time", dataset="synthetic", **changes)
    beat = peers.Beat(pipe)
    with tempfile.TemporaryDirectory() as folder:
        kzoo.train(row, directory=Path(folder) / "run", callbacks=[peers.callback(beat)], progress=False)


class Contender:
    """A child process that trains one entry of a study when asked to."""

    def __init__(self, label: str, recipe: kzoo.Recipe, steps: int, threads: int) -> None:
        """Start it; it is ready once it stands before its first step."""
        context = multiprocessing.get_context("spawn")
        self.label, self.recipe = label, recipe
        self.pipe, theirs = context.Pipe()
        arguments = (recipe.to_json(), steps, threads, theirs)
        self.process = context.Process(target=contend, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.said = self._listen()
        self.seconds: list[float] = []  # an epoch, by round

    def _listen(self) -> dict[str, Any]:
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            raise SystemExit(f"{self.label} ended early: see its error above") from None

    def block(self, steps: int) -> float:
        """Train some steps; gives the seconds of one, leaving the first out, which finds cold caches."""
        self.pipe.send(steps + 1)
        self.said = self._listen()
        return median(self.said["seconds"][1:])

    def stop(self) -> None:
        """End the process."""
        self.pipe.send(0)
        self.process.join()


def measure(study: Study, only: str, rounds: int, steps: int, warmup: int, threads: int) -> dict[str, Any]:
    """Train a study's entries in turn.

    Returns:
        By label: ``ratio`` (median over rounds, to the first entry), ``smallest``, ``largest``, ``step`` (seconds,
        median), ``steps`` (an epoch), ``peak_memory`` (bytes).
    """
    chosen = [entry for entry in study.entries if fnmatch.fnmatchcase(entry.label, only)]
    if not chosen:
        raise SystemExit(f"wildcard {only!r} matches no run of study {study.name!r}: {', '.join(study.labels)}")
    total = warmup + 1 + rounds * (steps + 1) + 1
    children = []
    for entry in chosen:
        children.append(Contender(entry.label, entry.recipe, total, threads))
        children[-1].block(warmup)
    for i in range(rounds):
        for child in children[i % len(children) :] + children[: i % len(children)]:
            child.seconds.append(child.block(steps) * steps_an_epoch(child.recipe))
    found = {}
    for child in children:
        ratios = [own / first for own, first in zip(child.seconds, children[0].seconds, strict=True)]
        found[child.label] = {
            "recipe": child.recipe.name,
            "digest": child.recipe.digest(),
            "ratio": median(ratios),
            "smallest": min(ratios),
            "largest": max(ratios),
            "step": median(child.seconds) / steps_an_epoch(child.recipe),
            "steps": steps_an_epoch(child.recipe),
            "peak_memory": child.said["memory"],
        }
        child.stop()
    return found


def main() -> None:
    """Measure and print, and write all figures to a file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", metavar="STUDY")
    parser.add_argument("--only", default="*", metavar="WILDCARD", help="on the runs' labels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="counted steps in each block")
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=records.hardware()["cores"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="results/epoch_time/STUDY.json is what tables show")
    options = parser.parse_args()
    if min(options.rounds, options.steps, options.warmup, options.threads) < 1:
        parser.error("rounds, steps, warmup and threads must be 1 or more")
    try:
        study = get_study(options.study)
    except KzooError as error:
        parser.error(str(error))
    report: dict[str, Any] = {
        "study": study.name,
        "hardware": records.hardware(),
        "versions": records.versions(),
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "git_commit": records.git_commit(),
        "load_at_start": os.getloadavg()[0],
        "settings": {name: getattr(options, name) for name in ("rounds", "steps", "warmup", "threads")},
    }
    print(f"load {report['load_at_start']:.1f} at the start, {options.threads} threads", flush=True)
    settings = (options.rounds, options.steps, options.warmup, options.threads)
    report["entries"] = measure(study, options.only, *settings)
    width = max(map(len, report["entries"]))
    for label, row in report["entries"].items():
        spread = f"(rounds {row['smallest']:.2f} to {row['largest']:.2f})"
        step = f"{1000 * row['step']:,.1f} ms a step, {row['steps']:,} steps an epoch"
        print(f"{label:{width}}  {row['ratio']:6.2f} {spread}  {step}")
    if options.json:
        keep(options.json, report)


def keep(path: Path, report: dict[str, Any]) -> None:
    """Write the figures, and their checksum where the file is one of the committed results."""
    from kzoo.studies.collecting import add_sums

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if path.parent.name == "epoch_time":
        add_sums(path.parent.parent, [path])


if __name__ == "__main__":
    main()
