"""Drawing parts of a dataset: from all images at once, or class by class in equal proportions."""

from __future__ import annotations

from typing import NamedTuple

from kzoo.lazy import np


class Drawn(NamedTuple):
    """Indices of the images of each part, in random order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def drawn_at_once(labels: np.ndarray, order: np.ndarray, validation: int, test: int) -> Drawn:
    """The first images of a random order for testing, the next ones for validation, the rest for training."""
    return Drawn(order[test + validation :], order[test : test + validation], order[:test])


def drawn_by_class(labels: np.ndarray, order: np.ndarray, validation: int, test: int) -> Drawn:
    """Parts that hold the classes in the proportions of the whole, and every class where possible.

    Of each class, the first images of the random order are for testing, the next ones for validation. If a class has
    too few images for all parts, training gets one before testing, and testing before validation. Any leading part of
    the training images is stratified too and starts with one image of each class.

    Args:
        labels: integers (N,).
        order: a permutation of 0 .. N - 1.
        validation: images for validation.
        test: images for testing; the two together leave at least one image of each class.
    """
    ordered = labels[order]
    counts = np.bincount(labels)
    for_test = shares(counts, test, keep=1 + (validation > 0))
    for_validation = shares(counts - for_test, validation, keep=1)

    # The rank of each image within its class.
    by_class = np.argsort(ordered, kind="stable")
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(labels), np.int64)
    rank[by_class] = np.arange(len(labels)) - starts[ordered[by_class]]

    testing = rank < for_test[ordered]
    held_out = rank < (for_test + for_validation)[ordered]
    training = np.flatnonzero(~held_out)

    # Even spacing: image j of m comes at (j + 1/2) / m of the way, the first of each class before all others.
    nth = (rank - (for_test + for_validation)[ordered])[training]
    many = (counts - for_test - for_validation)[ordered][training]
    way = np.where(nth == 0, -1, (nth + 0.5) / many)
    return Drawn(order[training[np.argsort(way, kind="stable")]], order[held_out & ~testing], order[testing])


def shares(counts: np.ndarray, take: int, keep: int) -> np.ndarray:
    """How many images of each class to take: in proportion by largest remainders, at least one of each where possible.

    Args:
        counts: images of each class.
        take: how many in all, at most the sum of ``counts - 1``.
        keep: images of each class to leave for other parts, as long as one remains to take.

    Returns:
        Integers that sum to `take`, each less than its count.
    """
    quota = counts * (take / max(1, counts.sum()))
    room = np.maximum(counts - np.clip(counts - 1, 1, keep), 0)
    least = np.minimum(room, 1)
    if least.sum() > take:
        least[:] = 0
    taken = np.clip(np.floor(quota).astype(np.int64), least, room)
    while taken.sum() > take:
        spare = np.where(taken > least, taken - quota, -np.inf)
        taken[np.argmax(spare)] -= 1
    while taken.sum() < take:
        lack = np.where(taken < room, quota - taken, -np.inf)
        if np.isneginf(lack).all():  # more than other parts can spare
            room = np.maximum(counts - 1, 0)
            continue
        taken[np.argmax(lack)] += 1
    return taken
