"""Time and memory of every algorithm at one point, the contenders in turn."""

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
SHORTEST = 1e-3  # seconds: what is faster is repeated until it takes so long
SLOW = 0.3  # seconds: what is slower needs no warm-up


@dataclass(frozen=True)
class Budget:
    """How long measuring may take.

    Attributes:
        rounds: in which every contender has its turn once.
        seconds: all rounds of one contender at one point; the slow have fewer rounds, one at least.
        longest: a single turn; what would take longer, by how long the last point took, is left out.
        memory: bytes of extra storage; what would take more is left out.
    """

    rounds: int
    seconds: float
    longest: float
    memory: int = 400 * 2**20


FULL_BUDGET = Budget(rounds=7, seconds=4.0, longest=12.0)
QUICK_BUDGET = Budget(rounds=3, seconds=0.4, longest=0.6)
# Loops are timed on one image; at the standard point they always are, for the ratio to im2col.
LOOPS_BATCH = 1

# By "forward" and "backward", which add up to the "total"; or by "forward" and "total" where one call does both.
Passes = Mapping[str, Callable[[], Any]]


def passes(point: Point, algorithm: str, batch: int | None = None) -> Passes:
    """One forward pass and one backward pass of an algorithm."""
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
    """One forward pass of the active Keras backend, and one forward and backward pass."""
    from benchmarks.convolution.framework import Framework

    framework = Framework(padding="same", dilation=point.dilation)
    tensors = framework.tensors(*point.arrays())
    # Compiled here, before anything is timed.
    framework.forward(*tensors[:3])
    framework.gradients(*tensors)
    return MappingProxyType(
        {"forward": lambda: framework.forward(*tensors[:3]), "total": lambda: framework.gradients(*tensors)}
    )


def pair_passes(point: Point) -> Passes:
    """SciPy's function alone, for one image, channel and filter: report a's T_function."""
    x, kernel, _, gradient = point.arrays(1)
    image = np.ascontiguousarray(correlate.padded_map(x[0, :, :, 0], point.geometry))
    weights = np.ascontiguousarray(correlate.spread(kernel[:, :, 0, 0], (point.dilation,) * 2))
    came = np.ascontiguousarray(gradient[0, :, :, 0])

    def forward() -> np.ndarray:
        return correlate2d(image, weights, mode="valid")

    def backward() -> None:
        convolve2d(came, weights, mode="full")
        correlate2d(image, came, mode="valid")

    return MappingProxyType({"forward": forward, "backward": backward})


class Turn:
    """One contender at one point: what is called, how often in a turn, and in how many rounds."""

    def __init__(self, calls: Passes, budget: Budget, scale: float = 1.0) -> None:
        """Call everything once, as a warm-up and to see how long it takes."""
        self.calls, self.scale = calls, scale
        self.seconds: dict[str, list[float]] = {"forward": [], "total": []}
        first = {name: self._once(name, 1) for name in calls}
        spent = sum(first.values())
        self.repeats = {name: max(1, math.ceil(SHORTEST / max(taken, 1e-7))) for name, taken in first.items()}
        self.rounds = max(1, min(budget.rounds, int(budget.seconds * scale / max(spent, 1e-9))))
        if spent > SLOW * scale and self.rounds == 1:
            self._keep(first)

    def _once(self, name: str, repeats: int) -> float:
        call = self.calls[name]
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats * self.scale

    def take(self) -> None:
        """Measure once, unless this contender's rounds are over."""
        if len(self.seconds["total"]) < self.rounds:
            self._keep({name: self._once(name, self.repeats[name]) for name in self.calls})

    def _keep(self, taken: dict[str, float]) -> None:
        self.seconds["forward"].append(taken["forward"])
        self.seconds["total"].append(taken["total"] if "total" in taken else taken["forward"] + taken["backward"])


def times(point: Point, contenders: Mapping[str, Callable[[], Turn]], rounds: int) -> dict[str, Turn]:
    """Let contenders measure in turn, in an order that rotates; each is made when its first turn comes."""
    turns = {name: make() for name, make in contenders.items()}
    names = list(turns)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            turns[name].take()
    return turns


def work(point: Point, algorithm: str) -> float:
    """What the time of the slow algorithms is in proportion to, to tell how long the next point would take."""
    geometry = point.geometry
    if algorithm == "loops":
        return geometry.images(LOOPS_BATCH).multiply_adds
    return geometry.batch * geometry.channels**2 * (geometry.height.positions * geometry.height.extent) ** 2


def memory(point: Point, algorithm: str) -> dict[str, dict[str, int]]:
    """Bytes beyond arguments and result at the peak of each function: predicted, and measured by tracemalloc.

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
    found = {}
    for name, call in calls.items():
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            result = call()
            measured = tracemalloc.get_traced_memory()[1] - before - result.nbytes
        finally:
            tracemalloc.stop()
        found[name] = {"predicted": predicted[name], "measured": measured, "result": result.nbytes}
        del result
    return found
