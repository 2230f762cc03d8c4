"""Speed of the augmentation on one core, and its share of a training step of the smallest model, VGG-08.

    python benchmarks/augment.py --rounds 15 --json augment.json

Machines drift by tens of percent within minutes, so augmentation and training take turns: in each round some batches
are augmented, then some steps are trained (a stock Keras `train_on_batch`, the backend's usual threads). The share is
the median over rounds of augmentation's median time by the step's. It is what augmentation would cost if nothing
overlapped; batches are prepared while the step before them trains, where the backend prefetches.
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
from typing import Any

import numpy as np

import kzoo
from kzoo.data.augmentation import spec as augment
from kzoo.data.augmentation.base import Augmentation, Normalization
from kzoo.data.datasets import get_dataset
from kzoo.seeds import generator
from kzoo.training import records

CHAIN: tuple[Augmentation, ...] = (augment.PadCrop(), augment.Flip(), augment.RandomErasing())
OTHERS: tuple[Augmentation, ...] = (
    augment.GaussianNoise(),
    augment.Rotation(),
    augment.ContrastStretch(),
    augment.MedianFilter(),
    augment.Mixup(),
)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Within it, this thread keeps to one core (Linux); others, such as a backend's, are left as they are."""
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
    """Seconds of each of some calls; the first call, which finds cold caches, is not counted."""
    spent = []
    for index in range(times + 1):
        start = time.perf_counter()
        work(index)
        spent.append(time.perf_counter() - start)
    return spent[1:]


def augmented(changes: tuple[Augmentation, ...], images: np.ndarray, normalization: Normalization) -> Callable:
    """A function that changes the batch of images as `kzoo.data.Batches` does, seeding included."""
    targets = np.eye(100, dtype=np.float32)[np.arange(len(images)) % 100]

    def work(index: int) -> np.ndarray:
        rng, result = generator(0, "augment", 0, index), images
        for change in changes:
            if isinstance(change, augment.Mixup):
                result, _ = change.mix(result, targets, rng)
            else:
                result = change(result, rng, normalization)
        return result

    return work


def traced_peak(work: Callable[[int], Any]) -> int:
    """Bytes that one call holds at most, its result included."""
    work(0)
    tracemalloc.start()
    try:
        work(1)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def measure(rounds: int, batch_size: int, batches: int, steps: int) -> dict[str, Any]:
    """Augment and train in turn; all figures."""
    row = get_dataset("cifar100")
    assert row.image_shape is not None
    assert row.mean is not None
    assert row.std is not None
    normalization = Normalization(row.mean, row.std)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, *row.image_shape), np.uint8)
    labels = rng.integers(0, 100, batch_size)

    works = {"+".join(change.kind for change in CHAIN): augmented(CHAIN, images, normalization)}
    works |= {change.kind: augmented((change,), images, normalization) for change in CHAIN + OTHERS}
    memory = {name: traced_peak(work) for name, work in works.items()}

    model = kzoo.create_model("vgg08", mean=row.mean, std=row.std)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    for _ in range(3):
        model.train_on_batch(images, labels)

    blocks: dict[str, list[float]] = {name: [] for name in works}
    step_blocks: list[float] = []
    for _ in range(rounds):
        with one_core():
            for name, work in works.items():
                blocks[name].append(median(seconds(work, batches)))
        step_blocks.append(median(seconds(lambda index: model.train_on_batch(images, labels), steps)))
    kibibyte = 1 if sys.platform == "darwin" else 1024
    return {
        "step": {"seconds": median(step_blocks), "images_per_second": batch_size / median(step_blocks)},
        "process_peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kibibyte,
        "augmentation": {
            name: {
                "seconds": median(own),
                "images_per_second": batch_size / median(own),
                "share_of_step": median(a / b for a, b in zip(own, step_blocks, strict=True)),
                "largest_share": max(a / b for a, b in zip(own, step_blocks, strict=True)),
                "peak_memory": memory[name],
            }
            for name, own in blocks.items()
        },
    }


def main() -> None:
    """Measure and print, and write all figures to a file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--batches", type=int, default=20, help="batches augmented in each round, by each kind")
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
    print(f"{'one core':32}{'images/s':>12}{'ms a batch':>12}{'of a step':>12}{'at most':>12}{'memory':>12}")
    for name, row in result["augmentation"].items():
        print(
            f"{name:32}{row['images_per_second']:12,.0f}{1000 * row['seconds']:12.2f}{row['share_of_step']:12.2%}"
            f"{row['largest_share']:12.2%}{row['peak_memory'] / 2**20:8.1f} MiB"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
