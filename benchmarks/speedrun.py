"""Seconds of `model.fit`, compilation included, until ResNet24 reaches report e's 94.43% on CIFAR-10.

    KERAS_BACKEND=jax python benchmarks/speedrun.py --epochs 16 --batch-size 512 --rate 0.4
    python benchmarks/speedrun.py --dataset digits --epochs 8 --target 0.9  # a rehearsal

The time starts when `fit` begins, with the images in memory and nothing compiled. It stops at the end of the first
epoch whose validation accuracy reaches the target, and includes validation, diagnostics and checkpoints. Training
continues to the end of the schedule, and the output includes the test accuracy. Each process trains one run: start it
several times to see how much the time varies.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import keras

import kzoo
from kzoo.errors import KzooError
from kzoo.recipes.settings import Cosine, Nesterov


class Stopwatch(keras.callbacks.Callback):
    """Seconds since `fit` began, at the end of each epoch."""

    def __init__(self) -> None:
        """Start without laps."""
        super().__init__()
        self.start = 0.0
        self.laps: list[tuple[float, float]] = []  # seconds, validation accuracy

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the watch."""
        self.start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record a lap."""
        self.laps.append((time.monotonic() - self.start, float(logs["val_accuracy"])))


def main() -> None:
    """Train once and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="resnet/resnet24")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--rate", type=float, default=0.4, help="highest learning rate of the cosine schedule")
    parser.add_argument("--precision", default="mixed_bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", type=float, default=0.9443)
    parser.add_argument("--directory", type=Path, help="save the run here")
    options = parser.parse_args()
    watch = Stopwatch()
    changes = {name: getattr(options, name) for name in ("dataset", "epochs", "batch_size", "precision", "seed")}
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = kzoo.train(
                options.recipe,
                directory=options.directory or Path(folder) / "run",
                callbacks=[watch],
                progress=False,
                optimizer=Nesterov(learning_rate=options.rate),
                schedule=Cosine(),
                **changes,
            )
            result = run.result
    except KzooError as error:
        parser.error(str(error))
    if len(watch.laps) != result.epochs:
        parser.error(f"{str(options.directory)!r} contains a run that was started earlier: choose another directory")
    reached = next((seconds for seconds, accuracy in watch.laps if accuracy >= options.target), None)
    report = {
        "seconds_to_target": reached and round(reached, 2),
        "target": options.target,
        "seconds": round(watch.laps[-1][0], 2),
        "best_val_accuracy": result.best and result.best.accuracy,
        "test_accuracy": result.test and result.test.accuracy,
        "batch_size": options.batch_size,
        "rate": options.rate,
        "epochs": options.epochs,
        "devices": result.segments[-1].devices,
        "backend": keras.backend.backend(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
