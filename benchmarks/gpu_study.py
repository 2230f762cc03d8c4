r"""Train recipes one after another within a time limit, on a machine with an accelerator and little else.

Pack the data on a machine where tensorflow-datasets has prepared them; unpack them and train on the other one:

    python benchmarks/gpu_study.py pack cifar100 cifar10 --to packed
    KERAS_BACKEND=jax python benchmarks/gpu_study.py run --packed packed --minutes 9 --out out \
        rescue/bn-residual rescue/bn 'batchnorm/baseline seed=1' 'reduction/lenet2-max epochs=20'

Each argument is a recipe's name, followed by changes of its fields. The packs fill kzoo's cache, from which datasets
are read without TensorFlow. `--directory` contains ordinary runs, so the same command resumes after the time limit. For
each run, `--out` receives the record and best weights if it has finished, or else its whole directory, which can be
copied back into `--directory`. The record includes the precision.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import kzoo
from kzoo.data import cache, load
from kzoo.data.arrays import Arrays
from kzoo.data.datasets import get_dataset
from kzoo.errors import InUse, KzooError, RunFailed
from kzoo.recipes.schema import Recipe
from kzoo.training.records import folder_name

PARTS = ("images", "labels", "test_images", "test_labels", "class_names")


def pack(names: list[str], folder: Path) -> None:
    """Write each dataset to a compressed file ``NAME.npz``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / f"{name}.npz"
        if path.exists():
            raise SystemExit(f"{path} exists: move it aside")
        arrays = load(name)
        content = {part: getattr(arrays, part) for part in PARTS if getattr(arrays, part) is not None}
        np.savez_compressed(path, **content)
        print(f"{path}: {len(arrays.images):,} training images, {path.stat().st_size / 2**20:.0f} MiB")


def unpack(folder: Path) -> None:
    """Fill kzoo's cache from packs, as if the files of tensorflow-datasets had been decoded on this machine."""
    for path in sorted(folder.glob("*.npz")):
        prepared = get_dataset(path.stem).prepared
        if prepared is None:
            raise SystemExit(f"{path}: {path.stem!r} is not a dataset that tensorflow-datasets prepares")

        def build(path: Path = path) -> Arrays:
            arrays = load(f"npz:{path}")
            return dataclasses.replace(arrays, class_names=tuple(map(str, arrays.class_names)))

        prefix = prepared.replace("/", "-") + "-"
        if not list(cache.entries(prefix)):
            cache.cached(prefix + "packed", build)


def requested(words: list[str], precision: str) -> list[Recipe]:
    """Return the recipes that the arguments name, with their changes."""
    recipes = []
    for word in words:
        name, *changes = word.split()
        fields: dict[str, Any] = {"precision": precision}
        for change in changes:
            key, equals, value = change.partition("=")
            if not equals:
                raise SystemExit(f"{word!r}: {change!r} is not FIELD=VALUE")
            try:
                fields[key] = json.loads(value)
            except ValueError:
                fields[key] = value
        recipes.append(kzoo.recipe(name).override(**fields).resolved())
    return recipes


def copy_results(directory: Path, out: Path) -> None:
    """Copy the record, recipe and best weights of a finished run, or the whole directory of an unfinished one."""
    target = out / directory.name
    if (directory / "result.json").exists():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in ("result.json", "recipe.json", "best.weights.h5"):
            if (directory / name).exists():  # a run that failed has no weights
                shutil.copy2(directory / name, target / name)
    elif directory.exists():
        shutil.copytree(directory, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tensorboard"))


def train(recipe: Recipe, directory: Path) -> str:
    """Train or resume one run and return its outcome in one line."""
    start = time.monotonic()
    try:
        run = kzoo.train(recipe, directory=directory, progress=False, checkpoint_minutes=2.0)
    except InUse as error:
        return str(error)
    except RunFailed as error:
        return f"failed: {error}"
    result = run.result
    images = result.sizes["train"] * result.epochs
    speed = images / sum(result.history["seconds"])
    score = f"test accuracy {result.test.accuracy:.4f}" if result.test else "no test part"
    return f"{score}, {result.epochs} epochs, {speed:,.0f} images/s, {time.monotonic() - start:.0f} s in this process"


def main() -> None:
    """Pack datasets, or train recipes until the time limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("datasets", nargs="+")
    packing.add_argument("--to", type=Path, required=True)
    running = commands.add_parser("run")
    running.add_argument("recipes", nargs="+", metavar="'RECIPE [FIELD=VALUE ...]'")
    running.add_argument("--packed", type=Path, help="folder with the packs")
    running.add_argument("--minutes", type=float, default=9.0, help="time limit, then write a checkpoint and stop")
    running.add_argument("--directory", type=Path, default=Path("runs"))
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--precision", default="mixed_bfloat16")
    options = parser.parse_args()
    try:
        if options.command == "pack":
            return pack(options.datasets, options.to)
        if options.packed is not None:
            unpack(options.packed)
        recipes = requested(options.recipes, options.precision)
    except KzooError as error:
        parser.error(str(error))
    limit = threading.Timer(60 * options.minutes, os.kill, (os.getpid(), signal.SIGTERM))
    limit.daemon = True
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # raises KeyboardInterrupt between runs, too
    directory: Path | None = None
    try:
        limit.start()
        for recipe in recipes:
            directory = options.directory / folder_name(recipe.name, recipe.digest())
            print(f"{recipe.name} seed {recipe.seed}: ", end="", flush=True)
            print(train(recipe, directory), flush=True)
            copy_results(directory, options.out)
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", flush=True)
        if directory is not None:
            copy_results(directory, options.out)
    except KzooError as error:
        parser.error(str(error))
    finally:
        limit.cancel()


if __name__ == "__main__":
    main()
