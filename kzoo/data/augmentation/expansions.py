"""Transformed copies that are added to a training set once, before training (report c, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from kzoo.data.augmentation.base import CHUNK
from kzoo.data.augmentation.geometry import rotate
from kzoo.data.augmentation.pixels import median_filter, stretch_contrast
from kzoo.errors import InputError, unknown
from kzoo.lazy import np

ROTATIONS = tuple(range(15, 181, 15))
"""Degrees: report c turns each image in steps of 15 degrees between 0 and 180, twelve copies."""

Change = Callable[["np.ndarray"], "np.ndarray"]


CHANGES: dict[str, tuple[Change, ...]] = {
    "mirror": (lambda images: images[:, :, ::-1],),
    "contrast": (stretch_contrast,),
    "median": (median_filter,),
    "median-per-channel": (partial(median_filter, per_channel=True),),
    "rotations": tuple(partial(rotate, degrees=degrees) for degrees in ROTATIONS),
}
EXPANSIONS = tuple(CHANGES)


def expand(images: np.ndarray, labels: np.ndarray, expansions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The images, followed by changed copies of all of them.

    Args:
        images: uint8 (N, H, W, C).
        labels: (N,).
        expansions: any of ``mirror``, ``contrast``, ``median``, ``median-per-channel`` (one copy each) and
            ``rotations`` (twelve copies, by 15 to 180 degrees). Report c's 4x data is the first three.

    Returns:
        Images (K * N, H, W, C) and labels (K * N,): the originals first, then copy after copy in the same order.

    Raises:
        InputError: an unknown expansion, or one named twice, or not one label for each image.
    """
    if len(images) != len(labels):
        raise InputError(f"expand needs one label for each image, not {len(images)} images and {len(labels)} labels")
    for name in expansions:
        if name not in CHANGES:
            raise unknown("expansion", name, EXPANSIONS)
    if len(set(expansions)) < len(expansions):
        raise InputError(f"expansions names one twice: {', '.join(expansions)}")
    changes = [change for name in expansions for change in CHANGES[name]]
    if not changes:
        return images, labels
    count = len(images)
    result = np.empty(((1 + len(changes)) * count, *images.shape[1:]), images.dtype)
    result[:count] = images
    for copy, change in enumerate(changes, start=1):
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            result[copy * count + start : copy * count + stop] = change(images[start:stop])
    return result, np.tile(labels, 1 + len(changes))
