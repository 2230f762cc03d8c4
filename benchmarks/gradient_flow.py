"""What recording gradient flow costs, as a share of an epoch of training.

    python benchmarks/gradient_flow.py --json gradient_flow.json

A recipe is trained on synthetic images by `kzoo.train`, in short epochs, so that blocks of steps and probes take turns
on the same machine in the same minutes. The share is a probe's time over that of a full epoch's steps (47,500 images,
batch 100), both medians; building and tracing the probe, once a run, is spread over the recipe's epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import kzoo
from kzoo.backend import quiet_import
from kzoo.data.splits import Split
from kzoo.training import records

IMAGES = 47_500  # of an epoch of the recipes in question


class Clock:
    """Seconds of wall clock and of processor time (of all threads) spent in calls, by name."""

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self.wall: dict[str, list[float]] = {}
        self.processor: dict[str, list[float]] = {}

    def add(self, name: str, start: tuple[float, float]) -> None:
        """Add the time since `start`, which `now` gave."""
        for spent, end, begin in zip((self.wall, self.processor), self.now(), start, strict=True):
            spent.setdefault(name, []).append(end - begin)

    @staticmethod
    def now() -> tuple[float, float]:
        """Wall clock and processor time."""
        return time.perf_counter(), time.process_time()

    def timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """The same method, timed."""

        def call(*args: Any, **options: Any) -> Any:
            start = self.now()
            try:
                return method(*args, **options)
            finally:
                self.add(name, start)

        return call


def measure(recipe: str, *, rounds: int, steps: int, threads: int) -> dict[str, Any]:
    """Train a recipe for `rounds` short epochs of `steps` steps; see `share` for what is made of it.

    The first epoch and each epoch's first step are left out: they find cold caches, or trace.

    Returns:
        Seconds of ``"wall"`` clock and of ``"processor"`` time: ``step``, a training step; ``probe``, all that gradient
        flow does in an epoch; ``start``, what it does once; and the recipe's ``epochs`` and ``steps`` an epoch.
    """
    with quiet_import():
        import keras

        from kzoo.diagnostics.gradient_flow import GradientFlowCallback
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    clock = Clock()
    for name in ("on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end"):
        setattr(GradientFlowCallback, name, clock.timed(name, getattr(GradientFlowCallback, name)))

    class Steps(keras.callbacks.Callback):
        """Times training steps; called after gradient flow, which so is no part of them."""

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.start = clock.now()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.add("step", self.start)

    full = kzoo.recipe(recipe).resolved()
    _register(steps * full.batch_size + 2)
    short = full.derive("benchmark/flow", dataset="synthetic", split=Split(validation=2), epochs=rounds + 1)
    with tempfile.TemporaryDirectory() as folder:
        kzoo.train(short, directory=Path(folder) / "run", callbacks=[Steps()], progress=False)
    found: dict[str, Any] = {"epochs": full.epochs, "steps": -(-IMAGES // full.batch_size)}
    for kind, spent in (("wall", clock.wall), ("processor", clock.processor)):
        in_steps = np.add(spent["on_train_batch_begin"], spent["on_train_batch_end"]).reshape(rounds + 1, steps)
        # Most steps do nothing but ask which step it is; a full epoch has more of those.
        idle = float(np.median(in_steps))
        probes = np.array(spent["on_epoch_end"])[1:] + in_steps[1:].max(axis=1) + idle * (found["steps"] - 1)
        blocks = np.reshape(spent["step"], (rounds + 1, steps))[1:, 1:]
        found[kind] = {
            "step": float(median(np.median(blocks, axis=1))),
            "probe": float(median(probes)),
            "start": float(spent["on_epoch_begin"][0]),
        }
    return found


def share(found: dict[str, Any], kind: str) -> float:
    """Gradient flow's part of a full run's training steps."""
    seconds = found[kind]
    probe = seconds["probe"] * (found["epochs"] + 1) + seconds["start"]
    return float(probe / (seconds["step"] * found["steps"] * found["epochs"]))


def _register(count: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % 100
    content = {"images": images, "labels": labels, "test_images": images[:100], "test_labels": labels[:100]}
    kzoo.register_dataset("synthetic", lambda data_dir: content)


def main() -> None:
    """Measure and print, and write all figures to a file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="rescue/vgg38", help="for CIFAR-100; VGG-38 by default")
    parser.add_argument("--rounds", type=int, default=7, help="counted blocks of steps, each with a probe after it")
    parser.add_argument("--steps", type=int, default=10, help="in each block")
    parser.add_argument("--threads", type=int, default=records.hardware()["cores"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if min(options.rounds, options.threads) < 1 or options.steps < 3:
        parser.error("rounds and threads must be 1 or more, steps 3 or more")
    load = os.getloadavg()[0]
    found = measure(options.recipe, rounds=options.rounds, steps=options.steps, threads=options.threads)
    print(f"{options.recipe}: {found['steps']} steps an epoch, {found['epochs']} epochs; load {load:.1f} at the start")
    for kind, name in (("wall", "wall clock"), ("processor", "processor time")):
        seconds = found[kind]
        print(
            f"  {name:15} a step {1000 * seconds['step']:8.1f} ms, a probe {1000 * seconds['probe']:8.1f} ms, "
            f"once {seconds['start']:6.2f} s: {100 * share(found, kind):.2f}% of the epochs' steps"
        )
    if options.json:
        report = {
            "hardware": records.hardware(),
            "versions": records.versions(),
            "git_commit": records.git_commit(),
            "load_at_start": load,
            "recipe": options.recipe,
            "shares": {kind: share(found, kind) for kind in ("wall", "processor")},
            **found,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
