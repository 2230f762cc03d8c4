"""What one backend needs and the others do not, so that a run can be cut off at any step."""

from __future__ import annotations

import keras

from kzoo.introspection.backends import sync
from kzoo.seeds import derived_seed

__all__ = ["devices", "seed_step", "sync"]


def seed_step(seed: int, epoch: int, step: int) -> None:
    """Make a step's dropout depend on the run's seed and its position alone.

    Keras's dropout on PyTorch draws from PyTorch's global generator, not from its layer's seed generator, whose state
    a checkpoint holds.
    """
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(derived_seed(seed, "step", epoch, step))


def devices() -> list[str]:
    """The devices that Keras can compute on; empty where it cannot list them."""
    try:
        return list(keras.distribution.list_devices())
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return []
