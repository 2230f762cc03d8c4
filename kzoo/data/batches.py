"""Batches for Keras: a function of seed, epoch and batch number, whatever ran before."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kzoo.data.augmentation.base import UNIT, Augmentation, Normalization
from kzoo.data.augmentation.mixing import Mixing
from kzoo.data.augmentation.spec import AlternatingFlip
from kzoo.errors import InputError
from kzoo.seeds import generator


class Batches(keras.utils.PyDataset):
    """Images and labels in batches, shuffled and augmented when a seed is given.

    Batch b of epoch e holds the images from position ``b * batch_size`` of the permutation drawn from
    (seed, "order", e), augmented with draws from (seed, "augment", e, b). The last, smaller batch is kept.
    A batch is ``(images, targets)``: images (B, H, W, C), uint8, or float32 if any augmentation can return that;
    targets int64 (B,), or one-hot float32 (B, classes) when `soft`. With class weights it is
    ``(images, targets, weights)``: weights float32 (B,), where mixed targets get their classes' weights by share.

    Attributes:
        steps: batches in a whole epoch; ``len()`` counts only those from `first_step` on.
        epoch, first_step: as last set by `position`.
        soft: whether targets are one-hot.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        batch_size: int,
        classes: int,
        seed: int | None = None,
        augmentation: Sequence[Augmentation] = (),
        normalization: Normalization | None = None,
        soft: bool = False,
        label_smoothing: float = 0.0,
        class_weights: np.ndarray | None = None,
    ) -> None:
        """Start at the first step of epoch 0.

        Args:
            images: uint8 (N, H, W, C); may be memory-mapped.
            labels: integers (N,).
            batch_size: images per batch.
            classes: number of classes.
            seed: None gives the images in order and unchanged, for evaluation; the augmentation then only decides
                the dtype.
            augmentation: changes, in order.
            normalization: the network's, for changes in its units; None if it sees pixels / 255.
            soft: whether targets are one-hot, which mixup, cutmix and label smoothing need.
            label_smoothing: share of each one-hot target that is spread evenly over all classes.
            class_weights: float (classes,), or None.

        Raises:
            InputError: there are no images, the lengths differ, `batch_size` or `label_smoothing` is out of range, or
                soft targets are needed and `soft` is False.
        """
        # No workers: Keras would fetch batches of the next epoch before `position` is called for it.
        super().__init__(workers=0)
        if len(images) != len(labels) or not len(images):
            raise InputError(f"batches need as many images as labels, at least one: {len(images)} and {len(labels)}")
        if batch_size < 1:
            raise InputError(f"batch_size must be 1 or more, not {batch_size}")
        if not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing must be from 0 to below 1, not {label_smoothing}")
        if not soft and (label_smoothing or any(change.mixes for change in augmentation)):
            raise InputError("mixup, cutmix and label smoothing need soft=True (one-hot targets)")
        self._images, self._labels = images, labels
        self._batch_size, self._classes, self._seed = batch_size, classes, seed
        self._augmentation = tuple(augmentation)
        self._normalization = normalization or UNIT
        self.soft, self._smoothing, self._weights = soft, label_smoothing, class_weights
        self._float = any(change.gives_float for change in self._augmentation)
        self.steps = -(-len(images) // batch_size)
        if seed is not None:
            self._starts_mirrored = AlternatingFlip().draw(len(labels), (1, 1, 1), generator(seed, "alternating flip"))
        self.position(0)

    def position(self, epoch: int, first_step: int = 0) -> None:
        """Make ``self[i]`` batch ``first_step + i`` of an epoch.

        Args:
            epoch: counted from 0.
            first_step: batches of that epoch to skip, which an interrupted run has already used.

        Raises:
            InputError: there is no such step.
        """
        if epoch < 0 or not 0 <= first_step < self.steps:
            raise InputError(f"no step {first_step} in epoch {epoch}: steps are 0..{self.steps - 1}")
        self.epoch, self.first_step = epoch, first_step
        self._order = (
            None if self._seed is None else generator(self._seed, "order", epoch).permutation(len(self._labels))
        )

    def __len__(self) -> int:
        return self.steps - self.first_step

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        step = self.first_step + index
        chosen: np.ndarray | slice = slice(step * self._batch_size, (step + 1) * self._batch_size)
        if self._order is not None:
            chosen = self._order[chosen]
        # A slice is copied too, so that no later code can write into the dataset.
        images = np.array(self._images[chosen])
        targets: np.ndarray = np.array(self._labels[chosen], np.int64)
        if self.soft:
            targets = np.eye(self._classes, dtype=np.float32)[targets]
            targets = targets * np.float32(1 - self._smoothing) + np.float32(self._smoothing / self._classes)

        # Augment; batch and epoch determine the draws.
        if self._seed is not None:
            rng = generator(self._seed, "augment", self.epoch, step)
            for change in self._augmentation:
                if isinstance(change, Mixing):
                    images, targets = change.mix(images, targets, rng)
                elif isinstance(change, AlternatingFlip):
                    images = change.apply(images, self._starts_mirrored[chosen] ^ bool(self.epoch % 2))
                else:
                    images = change(images, rng, self._normalization)
        images = images.astype(np.float32) if self._float else images
        return (images, targets) if self._weights is None else (images, targets, self._image_weights(targets))

    def _image_weights(self, targets: np.ndarray) -> np.ndarray:
        """Each image's weight, from its classes' shares without the smoothing."""
        assert self._weights is not None
        if not self.soft:
            return self._weights[targets].astype(np.float32)
        shares = (targets - self._smoothing / self._classes) / (1 - self._smoothing)
        return (shares @ self._weights).astype(np.float32)
