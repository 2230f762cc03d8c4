"""Measures how fast this machine trains a model in float32 and in bfloat16, taking turns, and recommends one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from kzoo.checks import whole
from kzoo.introspection.backends import devices, sync
from kzoo.models.registry import create_model
from kzoo.recipes.schema import Recipe
from kzoo.seeds import seed_keras
from kzoo.training import records
from kzoo.training.build import precision
from kzoo.training.training_view import training_view

PRECISIONS = ("float32", "mixed_bfloat16")
MARGIN = 1.1
"""Smallest gain for which a setting is recommended: less is within the noise of a shared machine."""


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        model: its name.
        batch_size: images per step.
        images_per_second: by precision, the median over the rounds.
        accelerators: devices that Keras can compute on, apart from the processor.
        features: the processor's instructions that matter here.
    """

    model: str
    batch_size: int
    images_per_second: dict[str, float]
    accelerators: list[str]
    features: list[str]

    def advice(self) -> str:
        """Which setting to use, and why, in one or two sentences."""
        speeds = self.images_per_second
        best = max(speeds, key=lambda name: speeds[name])
        gain = speeds[best] / speeds["float32"]
        why = self._why()
        if gain < MARGIN:
            return f"Stay with float32: nothing else is {MARGIN - 1:.0%} faster here ({why})."
        return f"Use --set precision={best}: {gain:.2f} times as fast as float32 ({why})."

    def _why(self) -> str:
        if self.accelerators:
            return f"on {', '.join(self.accelerators)}"
        if instructions := bfloat16_instructions(self.features):
            return f"the processor computes bfloat16 with {instructions}"
        return "the processor has neither AMX nor AVX512_BF16, so bfloat16 is float32 with conversions"

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, the advice included."""
        return {**asdict(self), "advice": self.advice()}


def bfloat16_instructions(features: Collection[str]) -> str | None:
    """The best of a processor's instructions for bfloat16, as its maker writes it; None without any."""
    return next((name.upper() for name in ("amx_bf16", "amx_tile", "avx512_bf16") if name in features), None)


def advice_on_precision(recipe: Recipe) -> str | None:
    """What to try if a recipe trains slowly here; None if nothing else is likely to be faster."""
    if recipe.precision != "float32" or keras.backend.backend() != "tensorflow" or recipe.model.startswith("keras:"):
        return None
    instructions = bfloat16_instructions(records.hardware()["processor_features"])
    if not instructions or accelerators():
        return None
    return (
        f"hint: this processor computes bfloat16 with {instructions}, so precision=mixed_bfloat16 may be faster; "
        f"kzoo speed {recipe.model} measures it"
    )


def accelerators() -> list[str]:
    """Devices that Keras can compute on, apart from the processor."""
    return [device for device in devices() if not device.lower().startswith("cpu")]


def measure(name: str, *, batch_size: int = 128, steps: int = 3, rounds: int = 3, **options: Any) -> Speed:
    """Train a few steps on noise, in each precision in turn.

    Args:
        name: of a model.
        batch_size: images per step.
        steps: in each round.
        rounds: in each precision; the median counts.
        **options: of the model's builder.

    Raises:
        InputError: the model is unknown, or a number is not an integer >= 1.
    """
    # Check the arguments.
    for argument, value in (("batch_size", batch_size), ("steps", steps), ("rounds", rounds)):
        whole(argument, value)

    # A model for each precision, and one batch of noise.
    trainers = {policy: _trainer(name, policy, options) for policy in PRECISIONS}
    shape, classes = trainers["float32"].input_shape[1:], trainers["float32"].output_shape[-1]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, *(size or 32 for size in shape)), np.uint8)
    labels = rng.integers(0, classes, batch_size)
    for model in trainers.values():
        model.train_on_batch(images, labels)  # compiles

    # The precisions take turns, so that other load on the machine affects all alike.
    seconds: dict[str, list[float]] = {policy: [] for policy in trainers}
    for _ in range(rounds):
        for policy, model in trainers.items():
            start = time.perf_counter()
            for _ in range(steps):
                model.train_on_batch(images, labels)
            sync(model)
            seconds[policy].append((time.perf_counter() - start) / steps)
    speeds = {policy: round(batch_size / statistics.median(times), 1) for policy, times in seconds.items()}
    return Speed(name, batch_size, speeds, accelerators(), records.hardware()["processor_features"])


def _trainer(name: str, policy: str, options: dict[str, Any]) -> keras.Model:
    seed_keras(0)
    with precision(policy):
        model = create_model(name, **options)
    view, logits = training_view(model)
    view.compile(keras.optimizers.SGD(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
    return view
