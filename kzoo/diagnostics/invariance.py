"""How often a trained classifier's predictions stay the same when its images are shifted or rotated.

Report d says that pooling makes a network invariant to translation and rotation, and reports a and c say much the same;
this module measures it. The area that a shifted image leaves empty repeats the image's border pixels: on a dark
background this is the background, and on a photograph it looks more natural than black. ``fill="black"`` gives zeros,
as augmentation does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kzoo.data.augmentation.geometry import rotate
from kzoo.diagnostics.plots import literal, new_figure
from kzoo.errors import InputError
from kzoo.introspection.gradients import prepare_images
from kzoo.introspection.output_kinds import Kind
from kzoo.introspection.outputs import read_outputs
from kzoo.introspection.predictions import probabilities_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILLS = ("edge", "black")
_CHUNK = 500
_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))
_LABELS = {"accuracy": "accuracy", "agreement": "same prediction as for the unchanged image"}

Change = tuple[Any, ...] | None
"""("shift", down, right), ("turn", degrees), or None for the unchanged image."""


@dataclass(frozen=True)
class Invariance:
    """One model's predictions for shifted and rotated images.

    Attributes:
        name: the model's name, for legends.
        images: number of images.
        shifts: distances, in pixels.
        shift_accuracy: share of images classified correctly at each distance, mean over right, left, down and up.
        shift_agreement: share of images with the same prediction as before the shift, the same mean.
        angles: angles in degrees.
        rotation_accuracy: share of images classified correctly at each angle, mean over both directions.
        rotation_agreement: share of images with the same prediction as before the rotation, the same mean.
        fill: ``"edge"`` or ``"black"``.
    """

    name: str
    images: int
    shifts: tuple[int, ...]
    shift_accuracy: tuple[float, ...]
    shift_agreement: tuple[float, ...]
    angles: tuple[float, ...]
    rotation_accuracy: tuple[float, ...]
    rotation_agreement: tuple[float, ...]
    fill: str

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Invariance:
        """The reverse of `to_dict`."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        return cls(**values)


def invariance(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    shifts: Sequence[int] = range(0, 9),
    angles: Sequence[float] = range(0, 181, 15),
    *,
    fill: str = "edge",
    name: str | None = None,
) -> Invariance:
    """Accuracy against shift and rotation.

    Rotated images are interpolated bilinearly, which by itself costs some accuracy except at multiples of 90 degrees.

    Args:
        model: any Keras model from images to (n, classes), logits or probabilities.
        images: (n, h, w, c) as the model takes them; uint8 stays uint8.
        labels: integers (n,).
        shifts, angles: distances in pixels, 0 or more; angles in degrees.
        fill: the pixels outside the image: ``"edge"`` repeats the border pixels, ``"black"`` is 0.
        name: name for legends; by default, the model's.

    Raises:
        InputError: an argument is wrong, the images do not fit the model, or its outputs are not finite.

    Example:
        >>> kzoo.invariance(model, images, labels, shifts=[0, 1], angles=[0, 90]).shift_agreement[0]
        1.0
    """
    images, labels, shifts, angles = _checked(images, labels, shifts, angles, fill)
    prepare_images(model, images[:1])

    # Predict the unchanged images, and each change once.
    outputs = read_outputs(model, prepare_images(model, images[:4]))
    kind = outputs.kind
    if labels.min() < 0 or labels.max() >= outputs.classes:
        raise InputError(
            f"labels must be from 0 to {outputs.classes - 1}, the classes of {model.name!r}; "
            f"they go from {labels.min()} to {labels.max()}"
        )
    still = _answers(model, kind, images)
    scores: dict[Any, tuple[float, float]] = {None: (float((still == labels).mean()), 1.0)}

    def score(change: Change) -> tuple[float, float]:
        if change not in scores:  # a shift by 0 is the same in all directions, and 180 degrees in both
            answers = _answers(model, kind, images, change, fill)
            scores[change] = float((answers == labels).mean()), float((answers == still).mean())
        return scores[change]

    # Means over directions.
    by_shift = [[score(_shift(n * down, n * right)) for down, right in _DIRECTIONS] for n in shifts]
    by_angle = [[score(_turn(turn)) for turn in (angle, -angle)] for angle in angles]

    def means(scored: list[list[tuple[float, float]]], which: int) -> tuple[float, ...]:
        return tuple(float(np.mean([pair[which] for pair in same])) for same in scored)

    return Invariance(
        name=name or model.name,
        images=len(images),
        shifts=shifts,
        shift_accuracy=means(by_shift, 0),
        shift_agreement=means(by_shift, 1),
        angles=angles,
        rotation_accuracy=means(by_angle, 0),
        rotation_agreement=means(by_angle, 1),
        fill=fill,
    )


def _checked(
    images: Any, labels: Any, shifts: Sequence[int], angles: Sequence[float], fill: str
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...], tuple[float, ...]]:
    """Images, labels, shifts and angles, checked and converted for `invariance`."""
    images, labels = np.asarray(images), np.asarray(labels)
    shifts, angles = tuple(shifts), tuple(map(float, angles))
    if images.ndim != 4 or not len(images):
        raise InputError(f"images of shape {images.shape}: (n, height, width, channels) with n of 1 or more is needed")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise InputError(f"labels must be {len(images)} integers, not {labels.dtype} of shape {labels.shape}")
    if fill not in FILLS:
        raise InputError(f"fill={fill!r}: must be {' or '.join(map(repr, FILLS))}")
    for shift in shifts:
        if not isinstance(shift, (int, np.integer)) or shift < 0:
            raise InputError(f"shifts has {shift!r}: integers, 0 pixels or more, are needed")
    shifts = tuple(map(int, shifts))
    if not np.isfinite(angles).all():
        raise InputError(f"angles has {next(a for a in angles if not np.isfinite(a))!r}: finite degrees are needed")
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
    return images, labels, shifts, angles


def shifted(images: np.ndarray, down: int, right: int, fill: str = "edge") -> np.ndarray:
    """Images shifted by whole pixels, even by more than their size."""
    rows, columns = (np.arange(size) - by for size, by in zip(images.shape[1:3], (down, right), strict=True))
    inside = [
        (positions >= 0) & (positions < size)
        for positions, size in zip((rows, columns), images.shape[1:3], strict=True)
    ]
    result = images[:, rows.clip(0, len(rows) - 1)][:, :, columns.clip(0, len(columns) - 1)]
    if fill == "black":
        result[:, ~inside[0]] = 0
        result[:, :, ~inside[1]] = 0
    return result


def turned(images: np.ndarray, degrees: float, fill: str = "edge") -> np.ndarray:
    """Images rotated counter-clockwise about their centres, bilinearly interpolated."""
    if fill == "black":
        return rotate(images, degrees)
    height, width = images.shape[1:3]
    # A corner of the rotated image comes from at most half a diagonal away from the centre.
    margin = int(np.ceil(np.hypot(height, width) / 2 - min(height, width) / 2)) + 1
    wide = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")
    return rotate(wide, degrees)[:, margin : margin + height, margin : margin + width]


def plot_invariance(results: Invariance | Sequence[Invariance], measure: str = "accuracy") -> Figure:
    """Accuracy (or agreement) against shift and against angle, one line for each model.

    Args:
        results: the results of one model or several.
        measure: ``"accuracy"``, or ``"agreement"`` with the predictions for the unchanged images.

    Raises:
        InputError: there are no results, or the measure is unknown.
    """
    from matplotlib.ticker import PercentFormatter

    results = [results] if isinstance(results, Invariance) else list(results)
    if not results:
        raise InputError("results is empty: at least one model's result is needed")
    if measure not in ("accuracy", "agreement"):
        raise InputError(f"measure={measure!r}: must be 'accuracy' or 'agreement'")

    # Shifts on the left, rotations on the right.
    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2, sharey=True)
    for number, result in enumerate(results):
        style: dict[str, Any] = {"label": literal(result.name), "marker": "osD^vP"[number % 6], "markersize": 4}
        left.plot(result.shifts, getattr(result, f"shift_{measure}"), **style)
        right.plot(result.angles, getattr(result, f"rotation_{measure}"), **style)
    left.set(xlabel="shift (pixels, mean of four directions)", ylabel=_LABELS[measure], ylim=(0, 1.02))
    right.set(xlabel="rotation (degrees, mean of both directions)")
    right.set_xticks(results[0].angles, minor=False)
    left.yaxis.set_major_formatter(PercentFormatter(1))
    right.legend()
    counts = sorted({result.images for result in results})
    figure.suptitle(f"Shifted and rotated images ({' and '.join(f'{n:,}' for n in counts)} of them)")
    return figure


def _shift(down: int, right: int) -> Change:
    return ("shift", down, right) if down or right else None


def _turn(degrees: float) -> Change:
    return ("turn", degrees % 360) if degrees % 360 else None


def _answers(
    model: keras.Model, kind: Kind, images: np.ndarray, change: Change = None, fill: str = "edge"
) -> np.ndarray:
    """The class that the model predicts for each image after a change."""
    answers = []
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK]
        if change:
            moved = change[0] == "shift"
            part = shifted(part, change[1], change[2], fill) if moved else turned(part, change[1], fill)
        answers.append(probabilities_of(model, part, kind, _CHUNK).argmax(-1))
    return np.concatenate(answers)
