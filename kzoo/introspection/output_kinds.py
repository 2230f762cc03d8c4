"""The kinds of a classifier's outputs, read from their values alone (no Keras).

- ``"softmax"``: probabilities of classes that exclude each other; each row adds up to 1.
- ``"logits"``: a softmax turns them into those.
- ``"sigmoid"``: one output, the probability of the second of two classes.
- ``"sigmoids"``: several probabilities that do not exclude each other: labels, of which an image may have several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import softmax

Kind = Literal["softmax", "logits", "sigmoid", "sigmoids"]


def kind_of(trials: Sequence[np.ndarray], rounding: float = 0.0) -> Kind:
    """The kind that all of some outputs can be.

    Args:
        trials: arrays (n, outputs) of one network, best with several settings of its weights: outputs of an untrained
            network may lie between 0 and 1 by chance.
        rounding: by how much each may be off.
    """
    values = [np.asarray(outputs, np.float64) for outputs in trials]
    bounded = all(bool((v >= -1e-6 - rounding).all() and (v <= 1 + 1e-3 + rounding).all()) for v in values)
    if not bounded:
        return "logits"
    if values[0].shape[-1] == 1:
        return "sigmoid"
    adds_up = all(np.allclose(v.sum(-1), 1, atol=5e-3 + rounding * v.shape[-1]) for v in values)
    return "softmax" if adds_up else "sigmoids"


def as_probabilities(outputs: np.ndarray, kind: Kind) -> np.ndarray:
    """Outputs (n, outputs) as probabilities, float64: (n, classes), or (n, labels) where they are ``"sigmoids"``.

    One sigmoid becomes two columns, of the first class and the second.
    """
    values = np.asarray(outputs, np.float64)
    if kind == "logits":
        return softmax(values, axis=-1)
    if kind == "sigmoid":
        return np.concatenate([1 - values, values], axis=-1)
    return values
