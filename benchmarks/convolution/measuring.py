"""Measure time and memory of every algorithm at one point; contenders take turns."""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.signal import convolve2d, correlate2d

from benchmarks.convolution.points import Point
from kzoo.convolution import correlate
from kzoo.convolution.conv import (
    ALGORITHMS,
    conv2d,
    conv2d_bias_gradient,
    conv2d_input_gradient,
    conv2d_kernel_gradient,
    predicted_storage,
)

FRAMEWORK = "framework"
SHORTEST = 1e-3  # seconds: faster calls are repeated until they take this long
SLOW = 0.3  # seconds: slower calls need no warm-up


@dataclass(frozen=True)
class Budget:
    """The limits of a measurement.

    Attributes:
        rounds: number of rounds; in each, every contender has one turn.
        seconds: of all rounds of one contender at one point; slow contenders have fewer rounds, at least one.
        longest: seconds of a single turn; a contender that would take longer, judging by the last point, is left out.
        memory: bytes of extra storage; a contender that would need more is left out.
    """

    rounds: int
    seconds: float
    longest: float
    memory: int = 400 * 2**20


FULL_BUDGET = Budget(rounds=7, seconds=4.0, longest=12.0)
QUICK_BUDGET = Budget(rounds=3, seconds=0.4, longest=0.6)
# Loops are timed on one image. At the standard point they are never skipped, because of the ratio to im2col.
LOOPS_BATCH = 1

# Functions by "forward" and "backward", which add up to "total"; or by "forward" and "total" if one call does both.
Passes = Mapping[str, Callable[[], Any]]


def passes(point: Point, algorithm: str, batch: int | None = None) -> Passes:
    """Return one forward pass and one backward pass of an algorithm."""
    x, kernel, bias, gradient = point.arrays(batch)
    options: dict[str, Any] = {"padding": "same", "dilation": point.dilation, "algorithm": algorithm}

    def forward() -> np.ndarray:
        return conv2d(x, kernel, bias, **options)

    def backward() -> None:
        conv2d_input_gradient(gradient, kernel, x.shape, **options)
        conv2d_kernel_gradient(x, gradient, kernel.shape, **options)
        conv2d_bias_gradient(gradient)

    return MappingProxyType({"forward": forward, "backward": backward})


def framework_passes(point: Point) -> Passes:
    """Return one forward pass of the active Keras backend, and one forward and backward pass."""
    from benchmarks.convolution.framework import Framework

    framework = Framework(padding="same", dilation=point.dilation)
    tensors = framework.tensors(*point.arrays())
    # Compile before anything is timed.
    framework.forward(*tensors[:3])
    framework.gradients(*tensors)
    return MappingProxyType(
        {"forward": lambda: framework.forward(*tensors[:3]), "total": lambda: framework.gradients(*tensors)}
    )


def pair_passes(point: Point) -> Passes:
    """Return the passes of SciPy's function alone, for one image, channel and filter: T_function of report a."""
    x, kernel, _, gradient = point.arrays(1)
    image = np.ascontiguousarray(correlate.padded_map(x[0, :, :, 0], point.geometry))
    weights = np.ascontiguousarray(correlate.spread(kernel[:, :, 0, 0], (point.dilation,) * 2))
    output_gradient = np.ascontiguousarray(gradient[0, :, :, 0])

    def forward() -> np.ndarray:
        return correlate2d(image, weights, mode="valid")

    def backward() -> None:
        convolve2d(output_gradient, weights, mode="full")
        correlate2d(image, output_gradient, mode="valid")

    return MappingProxyType({"forward": forward, "backward": backward})


class Turn:
    """The turns of one contender at one point: its calls, their repetitions in a turn, and the number of rounds."""

    def __init__(self, calls: Passes, budget: Budget, scale: float = 1.0) -> None:
        """Make each call once, to warm up and to measure how long it takes."""
        self.calls, self.scale = calls, scale
        self.seconds: dict[str, list[float]] = {"forward": [], "total": []}
        first = {name: self._once(name, 1) for name in calls}
        total = sum(first.values())
        self.repeats = {name: max(1, math.ceil(SHORTEST / max(seconds, 1e-7))) for name, seconds in first.items()}
        self.rounds = max(1, min(budget.rounds, int(budget.seconds * scale / max(total, 1e-9))))
        if total > SLOW * scale and self.rounds == 1:
            self._record(first)

    def _once(self, name: str, repeats: int) -> float:
        call = self.calls[name]
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats * self.scale

    def take(self) -> None:
        """Measure one turn, unless this contender has had all of its rounds."""
        if len(self.seconds["total"]) < self.rounds:
            self._record({name: self._once(name, self.repeats[name]) for name in self.calls})

    def _record(self, seconds: dict[str, float]) -> None:
        self.seconds["forward"].append(seconds["forward"])
        total = seconds["total"] if "total" in seconds else seconds["forward"] + seconds["backward"]
        self.seconds["total"].append(total)


def times(point: Point, contenders: Mapping[str, Callable[[], Turn]], rounds: int) -> dict[str, Turn]:
    """Create all contenders, and measure them in turns in a rotating order."""
    turns = {name: make() for name, make in contenders.items()}
    names = list(turns)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            turns[name].take()
    return turns


def work(point: Point, algorithm: str) -> float:
    """Return a number proportional to the time of a slow algorithm, to predict its time at the next point."""
    geometry = point.geometry
    if algorithm == "loops":
        return geometry.images(LOOPS_BATCH).multiply_adds
    return geometry.batch * geometry.channels**2 * (geometry.height.positions * geometry.height.extent) ** 2


def memory(point: Point, algorithm: str) -> dict[str, dict[str, int]]:
    """Return the peak bytes of each function beyond arguments and result, predicted and measured by tracemalloc.

    ``result`` is the size of the result itself.
    """
    x, kernel, _, gradient = point.arrays()
    geometry, module = point.geometry, ALGORITHMS[algorithm]
    calls: dict[str, Callable[[], np.ndarray]] = {
        "forward": lambda: module.forward(x, kernel, geometry),
        "input_gradient": lambda: module.input_gradient(gradient, kernel, geometry),
        "kernel_gradient": lambda: module.kernel_gradient(x, gradient, geometry),
    }
    predicted = predicted_storage(geometry, algorithm, x.itemsize)
    sizes = {}
    for name, call in calls.items():
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            result = call()
            measured = tracemalloc.get_traced_memory()[1] - before - result.nbytes
        finally:
            tracemalloc.stop()
        sizes[name] = {"predicted": predicted[name], "measured": measured, "result": result.nbytes}
        del result
    return sizes
