"""Seconds per epoch of a study's runs, as ratios, all measured in one run.

    python benchmarks/epoch_time.py batchnorm-cost --only 'E*' --rounds 5
    python benchmarks/epoch_time.py rescue --json results/epoch_time/rescue.json

The speed of a machine can change by tens of percent within minutes, so the networks take turns: in each round, each
trains one block of steps while the others wait. The time of an epoch is the time of a step times the steps per epoch,
so batch sizes and copies of the training images count; validation does not. A ratio is the median over rounds of a
run's time divided by the first run's time. Images are synthetic, with the shape and number of classes of the recipe's
dataset. Each run is a process of about 1 GB that lives until the end: select some runs of a large study with `--only`.
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

COPIES = {"rotations": 12}  # copies of each image, in addition to the image itself; the other expansions add one
IMAGES = 45_000  # images per epoch before expansion; ratios do not depend on it


def images_per_epoch(recipe: kzoo.Recipe) -> int:
    """Images per epoch, including copies."""
    return IMAGES * (1 + sum(COPIES.get(name, 1) for name in recipe.expansions))


def steps_per_epoch(recipe: kzoo.Recipe) -> int:
    """Steps per epoch, including the last one, which may be smaller."""
    return -(-images_per_epoch(recipe) // recipe.batch_size)


def contend(recipe_json: str, steps: int, threads: int, pipe: Connection) -> None:
    """Train a recipe on synthetic images, block by block, as the parent process requests; runs in a child process."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        from kzoo.backend import quiet_import

        with quiet_import():
            import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    recipe = kzoo.Recipe.from_json(recipe_json)
    dataset = get_dataset(recipe.dataset)
    shape, classes = dataset.image_shape, len(recipe.class_names or ()) or dataset.classes
    if shape is None or classes is None:
        raise SystemExit(f"dataset {recipe.dataset!r} declares no image shape or no number of classes")
    size = (recipe.image_size, recipe.image_size, shape[-1]) if recipe.image_size else shape
    count = steps * recipe.batch_size + 2  # two are for validation
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *size), dtype=np.uint8)
    labels = np.arange(count) % classes
    content = {"images": images, "labels": labels, "test_images": images[:100], "test_labels": labels[:100]}
    kzoo.register_dataset("synthetic", lambda data_dir: content)
    # An expansion lengthens an epoch, not a step: leave it out here, because `images_per_epoch` counts its copies.
    changes = {"split": Split(validation=2), "epochs": 1, "expansions": (), "class_names": None, "image_size": None}
    augmentation = recipe.resolved().augmentation
    changes |= {"train_size": None, "augmentation": augmentation, "normalization": recipe.normalization}
    recipe = recipe.derive("benchmark/epoch-time", dataset="synthetic", **changes)
    timer = peers.StepTimer(pipe)
    with tempfile.TemporaryDirectory() as folder:
        kzoo.train(recipe, directory=Path(folder) / "run", callbacks=[peers.callback(timer)], progress=False)


class Contender:
    """A child process that trains one entry of a study, one block of steps at a time."""

    def __init__(self, label: str, recipe: kzoo.Recipe, steps: int, threads: int) -> None:
        """Start the process and wait until it is about to train its first step."""
        context = multiprocessing.get_context("spawn")
        self.label, self.recipe = label, recipe
        self.pipe, child_pipe = context.Pipe()
        arguments = (recipe.to_json(), steps, threads, child_pipe)
        self.process = context.Process(target=contend, args=arguments, daemon=True)
        self.process.start()
        child_pipe.close()
        self.reply = self._receive()
        self.seconds: list[float] = []  # per epoch, one value per round

    def _receive(self) -> dict[str, Any]:
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            raise SystemExit(f"the process of {self.label} failed: see its error above") from None

    def block(self, steps: int) -> float:
        """Train some steps and return the median seconds per step, without the first step, whose caches are cold."""
        self.pipe.send(steps + 1)
        self.reply = self._receive()
        return median(self.reply["seconds"][1:])

    def stop(self) -> None:
        """End the process."""
        self.pipe.send(0)
        self.process.join()


def measure(study: Study, only: str, rounds: int, steps: int, warmup: int, threads: int) -> dict[str, Any]:
    """Train a study's entries in turn.

    Returns:
        By label: ``ratio`` to the first entry (median over rounds), ``smallest``, ``largest``, ``step`` (median
        seconds), ``steps`` per epoch, ``peak_memory`` (bytes).
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
            child.seconds.append(child.block(steps) * steps_per_epoch(child.recipe))
    entries = {}
    for child in children:
        ratios = [seconds / first for seconds, first in zip(child.seconds, children[0].seconds, strict=True)]
        entries[child.label] = {
            "recipe": child.recipe.name,
            "digest": child.recipe.digest(),
            "ratio": median(ratios),
            "smallest": min(ratios),
            "largest": max(ratios),
            "step": median(child.seconds) / steps_per_epoch(child.recipe),
            "steps": steps_per_epoch(child.recipe),
            "peak_memory": child.reply["memory"],
        }
        child.stop()
    return entries


def main() -> None:
    """Measure and print; with `--json`, also write all measurements to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", metavar="STUDY")
    parser.add_argument("--only", default="*", metavar="WILDCARD", help="labels of the runs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="counted steps in each block")
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=records.hardware()["cores"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="tables read results/epoch_time/STUDY.json")
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
    for label, entry in report["entries"].items():
        spread = f"(rounds {entry['smallest']:.2f} to {entry['largest']:.2f})"
        step = f"{1000 * entry['step']:,.1f} ms per step, {entry['steps']:,} steps per epoch"
        print(f"{label:{width}}  {entry['ratio']:6.2f} {spread}  {step}")
    if options.json:
        write(options.json, report)


def write(path: Path, report: dict[str, Any]) -> None:
    """Write the report; if the file is one of the committed results, also record its checksum."""
    from kzoo.studies.checksums import add_sums

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if path.parent.name == "epoch_time":
        add_sums(path.parent.parent, [path])


if __name__ == "__main__":
    main()
