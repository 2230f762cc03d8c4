"""What one backend needs and the others do not, so that a run can be cut off at any step."""

from __future__ import annotations

from typing import Any

import keras

from kzoo.seeds import derived_seed


def sync(model: Any) -> None:
    """Bring the model's variables up to date in the middle of an epoch (JAX keeps them elsewhere meanwhile)."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def seed_step(seed: int, epoch: int, step: int) -> None:
    """Make a step's dropout depend on the run's seed and its place alone.

    Keras's dropout on PyTorch draws from PyTorch's global generator, not from its layer's seed generator, whose state
    a checkpoint holds.
    """
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(derived_seed(seed, "step", epoch, step))
