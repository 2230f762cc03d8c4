"""Do the pixels say anything about the labels? A linear classifier on simple fixed features, cross-validated.

A network may fail because of its labels alone (shuffled, shifted by one, two names for one class). A linear model needs
no tuning: if it does no better than chance on hundreds of images, check the labels (Alain and Bengio 2016 probe hidden
layers in the same way).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kzoo.errors import InputError
from kzoo.seeds import derived_seed, generator

SIDE = 12
"""Images are averaged down to at most this many cells per side."""
FOLDS = 5
DOMINANT = 2 / 3
"""Share of the most frequent class above which accuracy says little: guessing this class is usually right."""
SPREAD = 1.5
"""Standard deviation of `LinearProbe.separation` by luck, divided by that of independent images: folds share images, so
their errors are correlated (1.4 to 1.5 on shuffled digits)."""


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """The results of a linear classifier on images it was not fitted to.

    Attributes:
        accuracy: share of images that it classifies correctly, over all folds.
        chance: share of the most frequent class, the accuracy of guessing it.
        p_value: probability of at least this accuracy if the true rate were `chance` (binomial, one-sided); of at least
            this `separation`, if there is one, if the pixels said nothing.
        images: number of images.
        classes: the labels that occur often enough to be probed, int64 (k,).
        labels: int64 (n,), the label of each image as an index into `classes`.
        scores: float (n, k), out-of-fold decision values.
        separation: how well the most frequent class is separated from all others, as in `pair_accuracies`; None unless
            `chance` is above `DOMINANT`.
    """

    accuracy: float
    chance: float
    p_value: float
    images: int
    classes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    separation: float | None = None

    @property
    def better_than_chance(self) -> bool:
        """Whether chance is rejected at the 0.1% level."""
        return self.p_value < 1e-3

    def pair_accuracies(self) -> np.ndarray:
        """How well each pair of classes is separated: (k, k), symmetric, 0.5 for guessing; NaN on the diagonal.

        The share of pairs with one image of each class for which the probe tells which is which (area under the curve).
        """
        count = len(self.classes)
        pairs = np.full((count, count), np.nan)
        for row in range(count):
            for column in range(row):
                one, other = (
                    self.scores[self.labels == index][:, row] - self.scores[self.labels == index][:, column]
                    for index in (row, column)
                )
                pairs[row, column] = pairs[column, row] = _how_often_higher(one, other)
        return pairs


def linear_probe(images: np.ndarray, labels: np.ndarray, *, limit: int = 5000, seed: int = 0) -> LinearProbe | None:
    """Fit a ridge classifier to simple features of images, in five folds.

    Args:
        images: (n, height, width, channels), any scale.
        labels: integers (n,).
        limit: at most this many images are used, drawn at random.
        seed: seed of the draw and of the folds.

    Returns:
        The probe; None if fewer than two classes have ten images each.

    Raises:
        InputError: the numbers of labels and images differ, or pixels are not finite.
    """
    # Draw images, and keep classes with enough of them.
    images, labels = np.asarray(images), np.asarray(labels)
    if len(images) != len(labels):
        raise InputError(f"there are {len(images)} images and {len(labels)} labels: give one label for each image")
    chosen = np.arange(len(labels))
    if len(chosen) > limit:
        chosen = np.sort(generator(seed, "linear probe").choice(len(labels), limit, replace=False))
    values, counts = np.unique(labels[chosen], return_counts=True)
    classes = values[counts >= 2 * FOLDS]
    if len(classes) < 2:
        return None
    chosen = chosen[np.isin(labels[chosen], classes)]
    indices = np.searchsorted(classes, labels[chosen])
    values_of_features = features(images[chosen])
    # Ridge's penalty grows with the images to match the sum of squares; features have unit variance.
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=0.05 * len(chosen)))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=derived_seed(seed, "linear probe folds"))
    scores = cross_val_predict(model, values_of_features, indices, cv=folds, method="decision_function")
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)

    # Compare the hits with the most frequent class.
    hits = int((scores.argmax(1) == indices).sum())
    chance = float(np.bincount(indices).max() / len(indices))
    p_value, separation = float(binom.sf(hits - 1, len(indices), chance)), None
    if chance > DOMINANT:
        largest = int(np.bincount(indices).argmax())
        one, other = scores[indices == largest, largest], scores[indices != largest, largest]
        separation = _how_often_higher(one, other)
        p_value = float(norm.sf((separation - 0.5) / (SPREAD * deviation(len(one), len(other)))))
    return LinearProbe(
        accuracy=hits / len(indices),
        chance=chance,
        p_value=p_value,
        images=len(indices),
        classes=classes.astype(np.int64),
        labels=indices,
        scores=scores,
        separation=separation,
    )


def deviation(one: int, other: int) -> float:
    """Standard deviation of a separation of so many images of two classes that do not differ (Mann-Whitney)."""
    return float(np.sqrt((one + other + 1) / (12 * one * other)))


def _how_often_higher(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pairs of scores of `one` and `other` in which that of `one` is higher; a tie counts half."""
    return float((one[:, None] > other).mean() + 0.5 * (one[:, None] == other).mean())


def features(images: np.ndarray) -> np.ndarray:
    """Pixels averaged over cells, and each cell's edges: |d/dx|, |d/dy| and their signed product.

    Returns:
        float32 (n, features). Edges are included because the mean colour of a cell does not show its texture.

    Raises:
        InputError: the images have another shape, or values that are not finite.
    """
    if images.ndim != 4:
        raise InputError(f"images must have shape (n, height, width, channels), not {images.shape}")
    values = images.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError("images contain values that are not finite numbers")
    grey = values.mean(-1)
    down, right = np.zeros_like(grey), np.zeros_like(grey)
    down[:, :-1], right[:, :, :-1] = np.diff(grey, axis=1), np.diff(grey, axis=2)
    edges = np.stack([np.abs(down), np.abs(right), down * right], axis=-1)
    cells = [_cells(values, SIDE), _cells(edges, SIDE // 2)]
    return np.concatenate([part.reshape(len(images), -1) for part in cells], axis=1)


def _cells(maps: np.ndarray, side: int) -> np.ndarray:
    """Means over a grid of at most `side` by `side` cells of nearly equal size."""
    for axis in (1, 2):
        size = maps.shape[axis]
        count = min(side, size)
        starts = np.arange(count) * size // count
        sums = np.add.reduceat(maps, starts, axis=axis)
        lengths = np.diff([*starts, size]).astype(np.float32)
        maps = sums / lengths.reshape([-1 if i == axis else 1 for i in range(4)])
    return maps
