"""Speed of the augmentation on one core, and its share of a training step of the smallest model, VGG-08.

    python benchmarks/augment.py --rounds 15 --json augment.json

The speed of a machine can change by tens of percent within minutes, so augmentation and training take turns. Each round
augments some batches, then trains some steps (Keras's `train_on_batch`, with the backend's usual threads). The share is
the median time to augment a batch divided by the median time of a step; the median over rounds is reported. This is the
cost of augmentation if nothing overlaps. If the backend prefetches, a batch is prepared while the previous step runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, get_args

import numpy as np

import kzoo
from kzoo.data.augmentation import spec as augment
from kzoo.data.augmentation.base import Augmentation, Normalization
from kzoo.data.augmentation.mixing import Mixing
from kzoo.data.datasets import get_dataset
from kzoo.seeds import generator
from kzoo.training import records

CHAIN = (augment.PadCrop(), augment.Flip(), augment.RandomErasing())
"""The usual combination, measured as a whole; every built-in augmentation is also measured alone."""


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Bind this thread to one core (Linux) inside the context; other threads, such as a backend's, are not changed."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def seconds(work: Callable[[int], Any], times: int) -> list[float]:
    """Return the seconds of each call; an additional first call, with cold caches, is not counted."""
    durations = []
    for index in range(times + 1):
        start = time.perf_counter()
        work(index)
        durations.append(time.perf_counter() - start)
    return durations[1:]


def augmented(changes: tuple[Augmentation, ...], images: np.ndarray, normalization: Normalization) -> Callable:
    """Return a function that augments the batch of images as `kzoo.data.Batches` does, including the seeding."""
    targets = np.eye(100, dtype=np.float32)[np.arange(len(images)) % 100]

    def work(index: int) -> np.ndarray:
        rng, result = generator(0, "augment", 0, index), images
        for change in changes:
            if isinstance(change, Mixing):
                result, _ = change.mix(result, targets, rng)
            else:
                result = change(result, rng, normalization)
        return result

    return work


def traced_peak(work: Callable[[int], Any]) -> int:
    """Return the peak memory of one call in bytes, including its result."""
    work(0)
    tracemalloc.start()
    try:
        work(1)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def measure(rounds: int, batch_size: int, batches: int, steps: int) -> dict[str, Any]:
    """Augment and train in turns, and return all measurements."""
    dataset = get_dataset("cifar100")
    assert dataset.image_shape is not None
    assert dataset.mean is not None
    assert dataset.std is not None
    normalization = Normalization(dataset.mean, dataset.std)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, *dataset.image_shape), np.uint8)
    labels = rng.integers(0, 100, batch_size)

    functions = {"+".join(change.kind for change in CHAIN): augmented(CHAIN, images, normalization)}
    for kind in get_args(augment.AnyAugmentation):
        functions[kind().kind] = augmented((kind(),), images, normalization)
    memory = {name: traced_peak(function) for name, function in functions.items()}

    model = kzoo.create_model("vgg08", mean=dataset.mean, std=dataset.std)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    for _ in range(3):
        model.train_on_batch(images, labels)

    batch_seconds: dict[str, list[float]] = {name: [] for name in functions}
    step_seconds: list[float] = []
    for _ in range(rounds):
        with one_core():
            for name, function in functions.items():
                batch_seconds[name].append(median(seconds(function, batches)))
        step_seconds.append(median(seconds(lambda index: model.train_on_batch(images, labels), steps)))
    kibibyte = 1 if sys.platform == "darwin" else 1024
    return {
        "step": {"seconds": median(step_seconds), "images_per_second": batch_size / median(step_seconds)},
        "process_peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kibibyte,
        "augmentation": {
            name: {
                "seconds": median(values),
                "images_per_second": batch_size / median(values),
                "share_of_step": median(a / b for a, b in zip(values, step_seconds, strict=True)),
                "largest_share": max(a / b for a, b in zip(values, step_seconds, strict=True)),
                "peak_memory": memory[name],
            }
            for name, values in batch_seconds.items()
        },
    }


def main() -> None:
    """Measure and print; with `--json`, also write all measurements to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--batches", type=int, default=20, help="batches that each augmentation handles in each round")
    parser.add_argument("--steps", type=int, default=4, help="steps trained in each round")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    settings = {key: getattr(options, key) for key in ("rounds", "batch_size", "batches", "steps")}
    hardware, load = records.hardware(), os.getloadavg()[0]
    result = measure(**settings)
    report = {
        "hardware": hardware,
        "versions": records.versions(),
        "git_commit": records.git_commit(),
        "load_at_start": load,
        "settings": settings,
        **result,
    }
    print(f"{hardware['processor']} ({', '.join(hardware['processor_features'])}), {hardware['cores']} cores")
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    step = result["step"]
    print(
        f"VGG-08 step, batch {options.batch_size}: {1000 * step['seconds']:.1f} ms, "
        f"{step['images_per_second']:,.0f} images/s, peak memory of the process "
        f"{result['process_peak_memory'] / 2**20:,.0f} MiB, load {load:.1f} at the start"
    )
    print(f"{'one core':32}{'images/s':>12}{'ms/batch':>12}{'of a step':>12}{'at most':>12}{'memory':>12}")
    for name, values in result["augmentation"].items():
        print(
            f"{name:32}{values['images_per_second']:12,.0f}{1000 * values['seconds']:12.2f}"
            f"{values['share_of_step']:12.2%}{values['largest_share']:12.2%}{values['peak_memory'] / 2**20:8.1f} MiB"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
