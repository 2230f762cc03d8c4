"""A classifier's probabilities for images of any type."""

from __future__ import annotations

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.introspection.gradients import prepare_images
from kzoo.introspection.output_kinds import Kind, as_probabilities


def probabilities_of(model: keras.Model, images: np.ndarray, kind: Kind, batch_size: int = 32) -> np.ndarray:
    """Probabilities of a model's classes, float64 (n, classes); see `kzoo.introspection.output_kinds.as_probabilities`.

    Args:
        model: a built classifier.
        images: (n, ...), of any type.
        kind: kind of its outputs, see `kzoo.introspection.outputs.read_outputs`.
        batch_size: images processed at once.

    Raises:
        InputError: the images do not fit the model, or a probability is NaN.
    """
    outputs = []
    for start in range(0, len(images), batch_size):
        part = keras.ops.convert_to_numpy(prepare_images(model, images[start : start + batch_size]))
        outputs.append(np.asarray(model.predict_on_batch(part)))
    shares = as_probabilities(np.concatenate(outputs), kind)
    if np.isnan(shares).any():
        count = int(np.isnan(shares).any(-1).sum())
        raise InputError(f"model {model.name!r} gives outputs that are not finite for {count} of {len(shares)} images")
    return shares
