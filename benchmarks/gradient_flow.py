"""The cost of recording gradient flow, as a share of the training time of an epoch.

    python benchmarks/gradient_flow.py --json gradient_flow.json

`kzoo.train` trains a recipe on synthetic images in short epochs, so that blocks of steps and probes take turns on the
same machine within the same minutes. The share is the time of a probe divided by the time of a full epoch's steps
(47,500 images, batch 100), both medians. The time to build and trace the probe, once per run, is divided among the
recipe's epochs.
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

IMAGES = 47_500  # per epoch of the measured recipes


class Clock:
    """Seconds of wall clock and of processor time (of all threads) of calls, by name."""

    def __init__(self) -> None:
        """Start without measurements."""
        self.wall: dict[str, list[float]] = {}
        self.processor: dict[str, list[float]] = {}

    def add(self, name: str, start: tuple[float, float]) -> None:
        """Add the time since `start`, a result of `now`."""
        for durations, end, begin in zip((self.wall, self.processor), self.now(), start, strict=True):
            durations.setdefault(name, []).append(end - begin)

    @staticmethod
    def now() -> tuple[float, float]:
        """Return wall clock and processor time."""
        return time.perf_counter(), time.process_time()

    def timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with its calls timed."""

        def call(*args: Any, **options: Any) -> Any:
            start = self.now()
            try:
                return method(*args, **options)
            finally:
                self.add(name, start)

        return call


def measure(recipe: str, *, rounds: int, steps: int, threads: int) -> dict[str, Any]:
    """Train a recipe for `rounds` short epochs of `steps` steps, after a first one that does not count.

    The first step of each epoch does not count either, because caches are cold or functions are traced.

    Returns:
        Seconds by ``"wall"`` clock and ``"processor"`` time: ``step`` for a training step, ``probe`` for gradient flow
        in an epoch, ``start`` for its setup; also the recipe's ``epochs`` and ``steps`` per epoch.
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
        """Times training steps, without gradient flow, whose callback is called first."""

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.start = clock.now()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.add("step", self.start)

    full = kzoo.recipe(recipe).resolved()
    _register(steps * full.batch_size + 2)
    short = full.derive("benchmark/flow", dataset="synthetic", split=Split(validation=2), epochs=rounds + 1)
    with tempfile.TemporaryDirectory() as folder:
        kzoo.train(short, directory=Path(folder) / "run", callbacks=[Steps()], progress=False)
    result: dict[str, Any] = {"epochs": full.epochs, "steps": -(-IMAGES // full.batch_size)}
    for kind, durations in (("wall", clock.wall), ("processor", clock.processor)):
        in_steps = np.add(durations["on_train_batch_begin"], durations["on_train_batch_end"])
        in_steps = in_steps.reshape(rounds + 1, steps)
        # In most steps, the callback only checks the number of the step; a full epoch has more of these steps.
        idle = float(np.median(in_steps))
        probes = np.array(durations["on_epoch_end"])[1:] + in_steps[1:].max(axis=1) + idle * (result["steps"] - 1)
        blocks = np.reshape(durations["step"], (rounds + 1, steps))[1:, 1:]
        result[kind] = {
            "step": float(median(np.median(blocks, axis=1))),
            "probe": float(median(probes)),
            "start": float(durations["on_epoch_begin"][0]),
        }
    return result


def share(result: dict[str, Any], kind: str) -> float:
    """Return the time of gradient flow divided by the time of all training steps of a full run."""
    seconds = result[kind]
    probe = seconds["probe"] * (result["epochs"] + 1) + seconds["start"]
    return float(probe / (seconds["step"] * result["steps"] * result["epochs"]))


def _register(count: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % 100
    content = {"images": images, "labels": labels, "test_images": images[:100], "test_labels": labels[:100]}
    kzoo.register_dataset("synthetic", lambda data_dir: content)


def main() -> None:
    """Measure and print; with `--json`, also write all measurements to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="rescue/vgg38", help="a recipe for CIFAR-100 (default: VGG-38)")
    parser.add_argument("--rounds", type=int, default=7, help="counted blocks of steps, each followed by a probe")
    parser.add_argument("--steps", type=int, default=10, help="steps in each block")
    parser.add_argument("--threads", type=int, default=records.hardware()["cores"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if min(options.rounds, options.threads) < 1 or options.steps < 3:
        parser.error("rounds and threads must be 1 or more, steps 3 or more")
    load = os.getloadavg()[0]
    result = measure(options.recipe, rounds=options.rounds, steps=options.steps, threads=options.threads)
    print(
        f"{options.recipe}: {result['steps']} steps per epoch, {result['epochs']} epochs; load {load:.1f} at the start"
    )
    for kind, name in (("wall", "wall clock"), ("processor", "processor time")):
        seconds = result[kind]
        print(
            f"  {name:15} step {1000 * seconds['step']:8.1f} ms, probe {1000 * seconds['probe']:8.1f} ms, "
            f"setup {seconds['start']:6.2f} s: {100 * share(result, kind):.2f}% of the time of the training steps"
        )
    if options.json:
        report = {
            "hardware": records.hardware(),
            "versions": records.versions(),
            "git_commit": records.git_commit(),
            "load_at_start": load,
            "recipe": options.recipe,
            "shares": {kind: share(result, kind) for kind in ("wall", "processor")},
            **result,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
