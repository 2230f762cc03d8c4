"""Random generators derived from (seed, purpose, indices), never from a global state.

The random numbers of, say, epoch 7, batch 3 are therefore the same even if epoch 6 ran in another process.
"""

from __future__ import annotations

import zlib

from kzoo.backend import quiet_import
from kzoo.lazy import np


def generator(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """A NumPy generator that depends on its arguments alone.

    Args:
        seed: the run's seed, a non-negative integer.
        purpose: what the numbers are for, e.g. ``"order"`` or ``"augment"``.
        indices: non-negative integers such as the epoch and the batch.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *indices])


def derived_seed(seed: int, purpose: str, *indices: int) -> int:
    """A 31-bit seed that depends on its arguments alone, for libraries that take an integer."""
    return int(generator(seed, purpose, *indices).integers(2**31))


def seed_keras(seed: int) -> None:
    """Seed the generators of Keras, NumPy and Python, from which Keras draws initial weights."""
    with quiet_import():  # Keras imports TensorFlow to seed it, whatever the backend is
        import keras

        keras.utils.set_random_seed(seed)
