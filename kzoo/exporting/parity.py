"""Does an exported file compute what the model computes? Imports no Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kzoo.data.images import resize
from kzoo.errors import RunFailed
from kzoo.introspection.output_kinds import Kind, as_probabilities, kind_of
from kzoo.seeds import generator

TOLERANCE = 1e-4
"""Largest difference of a probability; of other outputs, as a share of the largest of them (or of 1)."""
AGREEMENT = 0.8
"""Share of images that an int8 file must give the same class as the model."""
LOSS = 0.05
"""Accuracy that an int8 file may lose."""
MISREAD = "what the model's outputs are was misread; nothing was written"
OPEN_SIZE = 64
"""Side of the images where the model leaves it open."""


@dataclass(frozen=True)
class Parity:
    """How an exported file's outputs compare with the model's.

    Attributes:
        images: images compared, by kind.
        largest_difference: of any output.
        tolerance: what was allowed.
        same_class: share of images with the same most probable class.
        accuracy_before: share of `scored` labelled images that the model gets right; None without labels.
        accuracy_after: that the exported file gets right.
        scored: how many these were, and of which part.
    """

    images: dict[str, int]
    largest_difference: float
    tolerance: float | None
    same_class: float
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    scored: tuple[int, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def random_pictures(shape: tuple[int | None, ...], count: int, seed: int = 0) -> np.ndarray:
    """Uniform noise around a colour of each picture's own: uint8 (count, height, width, channels)."""
    height, width, channels = (size or OPEN_SIZE for size in shape)
    rng = generator(seed, "pictures to compare exports on")
    colors = rng.integers(0, 256, (count, 1, 1, channels))
    strength = rng.uniform(0, 1, (count, 1, 1, 1))
    noise = rng.integers(0, 256, (count, height, width, channels))
    return np.round((1 - strength) * colors + strength * noise).astype(np.uint8)


def photographs(shape: tuple[int | None, ...], count: int) -> np.ndarray:
    """Cuttings of the two photographs that scikit-learn brings, scaled: uint8; none unless they are grey or RGB."""
    from sklearn.datasets import load_sample_images

    height, width, channels = (size or OPEN_SIZE for size in shape)
    if channels not in (1, 3):
        return np.zeros((0, height, width, channels), np.uint8)
    found = []
    pair = load_sample_images().images
    for i in range(count):
        photograph = pair[i % 2]
        top, left = 40 * (i % 5), 60 * (i % 7)
        cutting = resize(photograph[top : top + 240, left : left + 240], (height, width))
        found.append(cutting.mean(-1, keepdims=True).astype(np.uint8) if channels == 1 else cutting)
    return np.stack(found)


def outputs_of(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """What a file makes of images; the first goes in alone, so that two sizes of batch are tried."""
    starts = [0, *range(1, len(images), batch_size)]
    ends = [*starts[1:], len(images)]
    return np.concatenate([run(images[start:end]) for start, end in zip(starts, ends, strict=True)])


def check_own(own: np.ndarray, expected: np.ndarray, *, kind: Kind, low_precision: bool) -> None:
    """Check that what an exported file is to give means what the network itself gives.

    What the network's numbers are is told here from the numbers alone, on all images, and not from how the export read
    the network: a softmax put upon a softmax is seen, and so are logits that are passed on as probabilities.

    Args:
        own: the network's outputs, (images, outputs).
        expected: what the file is to give of the same images.
        kind: what those are said to be, see `kzoo.introspection.output_kinds`.
        low_precision: whether the network computes in fewer digits than the file.

    Raises:
        RunFailed: they differ by more than rounding, or cannot be of that kind.
    """
    # Numbers passed on as they are need only be what they are said to be. Logits may lie between 0 and 1 by chance.
    seen = kind_of([own])
    if own.shape == expected.shape and np.allclose(own, expected, rtol=TOLERANCE, atol=TOLERANCE):
        wrong = seen == "softmax" if kind == "logits" else seen == "logits"
        unsummed = kind == "softmax" and seen == "sigmoids" and not low_precision  # in which sums are off
        if wrong or unsummed:
            raise RunFailed(f"the exported file would call the model's outputs {kind}, they are {seen}: {MISREAD}")
        return

    # Else probabilities are compared.
    probabilities = as_probabilities(own, seen)
    given = as_probabilities(expected, "logits") if kind == "logits" else np.asarray(expected, np.float64)
    if given.shape != probabilities.shape:
        raise RunFailed(f"the exported file would give outputs of shape {expected.shape}, the model gives {own.shape}")
    apart = np.abs(given - probabilities).max(-1)
    # Rounding in half precision grows with depth, but not on most images.
    differs, allowed = (float(np.median(apart)), 0.1) if low_precision else (float(apart.max()), 10 * TOLERANCE)
    if not differs < allowed:
        raise RunFailed(
            f"the exported file's probabilities would differ from the model's own by up to {float(apart.max()):.3g} on "
            f"{len(own)} images: {MISREAD}"
        )


def compare(
    expected: np.ndarray,
    found: np.ndarray,
    *,
    output: str,
    images: Mapping[str, int],
    labels: np.ndarray | None = None,
    part: str = "",
    quantized: bool = False,
) -> Parity:
    """Compare outputs, image by image.

    Args:
        expected: the model's, (images, ...).
        found: the exported file's.
        output: ``"probabilities"`` or what else they are.
        images: how many of which kind.
        labels: int (n,) of the last n images.
        part: what the labelled images are called.
        quantized: whether the file computes in int8, so that classes count and not the difference.

    Raises:
        RunFailed: they differ by more than is allowed; the message has the figures.
    """
    if expected.shape != found.shape:
        raise RunFailed(f"the exported file gives outputs of shape {found.shape}, the model {expected.shape}")
    tolerance = TOLERANCE * (1.0 if output == "probabilities" else max(1.0, float(np.abs(expected).max())))
    largest = float(np.abs(expected - found).max())
    # Of one sigmoid, the second class is the answer above one half.
    classes = [each[:, 0] > 0.5 if each.shape[1:] == (1,) else each.argmax(-1) for each in (expected, found)]
    result = Parity(
        images=dict(images),
        largest_difference=largest,
        tolerance=None if quantized else tolerance,
        same_class=float((classes[0] == classes[1]).mean()),
    )
    if labels is not None and len(labels):
        before, after = (float((each[-len(labels) :] == labels).mean()) for each in classes)
        figures = {"accuracy_before": before, "accuracy_after": after, "scored": (len(labels), part)}
        result = Parity(**{**result.__dict__, **figures})
    _judge(result, quantized)
    return result


def _judge(result: Parity, quantized: bool) -> None:
    count = sum(result.images.values())
    if not quantized:
        # A comparison written so that a difference of NaN fails.
        if not result.largest_difference < (result.tolerance or 0):
            raise RunFailed(
                f"the exported file's outputs differ from the model's by up to {result.largest_difference:.3g} on "
                f"{count} images, {result.tolerance:.3g} is allowed; nothing was written"
            )
        return
    before, after = result.accuracy_before, result.accuracy_after
    lost = 0.0 if before is None or after is None else before - after
    if result.same_class < AGREEMENT or lost > LOSS:
        score = "" if before is None else f", accuracy {before:.4f} became {after:.4f}"
        raise RunFailed(
            f"the int8 file gives {result.same_class:.1%} of {count} images the model's class{score}; at least "
            f"{AGREEMENT:.0%} and a loss of at most {LOSS} are asked for; nothing was written"
        )
