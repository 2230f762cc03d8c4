"""Compares the outputs of an exported file with the model's. Imports no Keras."""

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
"""Largest allowed difference of a probability; for other outputs, relative to the largest output (at least 1)."""
AGREEMENT = 0.8
"""Share of images for which an int8 file must predict the model's class."""
LOSS = 0.05
"""Largest allowed loss of accuracy of an int8 file."""
MISREAD = "the kind of the model's outputs was misread; nothing was written"
OPEN_SIZE = 64
"""Side of the images, in pixels, if the model accepts any size."""


@dataclass(frozen=True)
class Parity:
    """Comparison of an exported file's outputs with the model's.

    Attributes:
        images: number of compared images, by kind.
        largest_difference: largest difference of any output.
        tolerance: largest allowed difference; None for int8.
        same_class: share of images with the same most probable class.
        accuracy_before: accuracy of the model on the labelled images; None without labels.
        accuracy_after: accuracy of the exported file on the same images.
        scored: number of labelled images, and their part of the data.
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
    """Uniform noise around one random colour per picture: uint8 (count, height, width, channels)."""
    height, width, channels = (size or OPEN_SIZE for size in shape)
    rng = generator(seed, "pictures to compare exports on")
    colors = rng.integers(0, 256, (count, 1, 1, channels))
    strength = rng.uniform(0, 1, (count, 1, 1, 1))
    noise = rng.integers(0, 256, (count, height, width, channels))
    return np.round((1 - strength) * colors + strength * noise).astype(np.uint8)


def photographs(shape: tuple[int | None, ...], count: int) -> np.ndarray:
    """Crops of scikit-learn's two photographs, scaled, uint8; none unless the model takes grey or RGB images."""
    from sklearn.datasets import load_sample_images

    height, width, channels = (size or OPEN_SIZE for size in shape)
    if channels not in (1, 3):
        return np.zeros((0, height, width, channels), np.uint8)
    cuttings = []
    pair = load_sample_images().images
    for i in range(count):
        photograph = pair[i % 2]
        top, left = 40 * (i % 5), 60 * (i % 7)
        cutting = resize(photograph[top : top + 240, left : left + 240], (height, width))
        cuttings.append(cutting.mean(-1, keepdims=True).astype(np.uint8) if channels == 1 else cutting)
    return np.stack(cuttings)


def outputs_of(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Outputs of a file; the first image is a batch of its own, so that at least two batch sizes are tested."""
    starts = [0, *range(1, len(images), batch_size)]
    ends = [*starts[1:], len(images)]
    return np.concatenate([run(images[start:end]) for start, end in zip(starts, ends, strict=True)])


def check_outputs(model_outputs: np.ndarray, expected: np.ndarray, *, kind: Kind, low_precision: bool) -> None:
    """Check that the outputs planned for an exported file mean the same as the network's.

    The kind of the network's outputs is inferred here from the numbers alone, on all images, not from the export's
    analysis of the network. This finds a softmax applied twice, and logits exported as probabilities.

    Args:
        model_outputs: the network's outputs, (images, outputs).
        expected: outputs that the file must reproduce for the same images.
        kind: declared kind of `expected`, see `kzoo.introspection.output_kinds`.
        low_precision: whether the network computes in lower precision than the file.

    Raises:
        RunFailed: the outputs differ by more than rounding, or cannot be of the declared kind.
    """
    # Unchanged outputs only need to be of the declared kind. Logits may lie between 0 and 1 by chance.
    seen = kind_of([model_outputs])
    if model_outputs.shape == expected.shape and np.allclose(model_outputs, expected, rtol=TOLERANCE, atol=TOLERANCE):
        wrong = seen == "softmax" if kind == "logits" else seen == "logits"
        unsummed = kind == "softmax" and seen == "sigmoids" and not low_precision  # low-precision sums are inexact
        if wrong or unsummed:
            raise RunFailed(f"the exported file would call the model's outputs {kind}, but they are {seen}: {MISREAD}")
        return

    # Otherwise compare probabilities.
    probabilities = as_probabilities(model_outputs, seen)
    promised = as_probabilities(expected, "logits") if kind == "logits" else np.asarray(expected, np.float64)
    if promised.shape != probabilities.shape:
        raise RunFailed(
            f"the exported file would give outputs of shape {expected.shape}, but the model gives {model_outputs.shape}"
        )
    apart = np.abs(promised - probabilities).max(-1)
    # In half precision, rounding errors grow with depth, but stay small on most images.
    differs, allowed = (float(np.median(apart)), 0.1) if low_precision else (float(apart.max()), 10 * TOLERANCE)
    if not differs < allowed:
        raise RunFailed(
            f"the exported file's probabilities would differ from the model's own by up to {float(apart.max()):.3g} on "
            f"{len(model_outputs)} images: {MISREAD}"
        )


def compare(
    expected: np.ndarray,
    actual: np.ndarray,
    *,
    output: str,
    images: Mapping[str, int],
    labels: np.ndarray | None = None,
    part: str = "",
    quantized: bool = False,
) -> Parity:
    """Compare outputs, image by image.

    Args:
        expected: the model's outputs, (images, ...).
        actual: the exported file's outputs, of the same shape.
        output: ``"probabilities"`` or another name of the outputs.
        images: number of images, by kind.
        labels: int (n,), labels of the last n images.
        part: part of the data from which the labelled images come.
        quantized: whether the file computes in int8; classes are then checked instead of differences.

    Raises:
        RunFailed: the outputs differ by more than is allowed; the message contains the values.
    """
    # Compare the outputs, and the predicted classes.
    if expected.shape != actual.shape:
        raise RunFailed(f"the exported file gives outputs of shape {actual.shape}, the model {expected.shape}")
    tolerance = TOLERANCE * (1.0 if output == "probabilities" else max(1.0, float(np.abs(expected).max())))
    largest = float(np.abs(expected - actual).max())
    # A single sigmoid above one half means the second class.
    classes = [each[:, 0] > 0.5 if each.shape[1:] == (1,) else each.argmax(-1) for each in (expected, actual)]
    result = Parity(
        images=dict(images),
        largest_difference=largest,
        tolerance=None if quantized else tolerance,
        same_class=float((classes[0] == classes[1]).mean()),
    )

    # Compare the accuracy on the labelled images.
    if labels is not None and len(labels):
        before, after = (float((each[-len(labels) :] == labels).mean()) for each in classes)
        scores = {"accuracy_before": before, "accuracy_after": after, "scored": (len(labels), part)}
        result = Parity(**{**result.__dict__, **scores})
    _judge(result, quantized)
    return result


def _judge(result: Parity, quantized: bool) -> None:
    count = sum(result.images.values())
    if not quantized:
        # Written so that a difference of NaN fails.
        if not result.largest_difference < (result.tolerance or 0):
            raise RunFailed(
                f"the exported file's outputs differ from the model's by up to {result.largest_difference:.3g} on "
                f"{count} images, at most {result.tolerance:.3g} is allowed; nothing was written"
            )
        return
    before, after = result.accuracy_before, result.accuracy_after
    lost = 0.0 if before is None or after is None else before - after
    if result.same_class < AGREEMENT or lost > LOSS:
        score = "" if before is None else f", accuracy {before:.4f} became {after:.4f}"
        raise RunFailed(
            f"the int8 file predicts the model's class for {result.same_class:.1%} of {count} images{score}; at least "
            f"{AGREEMENT:.0%} and a loss of at most {LOSS} are required; nothing was written"
        )
