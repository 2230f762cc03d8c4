"""The kinds of a classifier's outputs, read from their values alone (no Keras).

- ``"softmax"``: probabilities of classes that exclude each other; each row adds up to 1.
- ``"logits"``: class scores, which a softmax turns into such probabilities.
- ``"sigmoid"``: one output, the probability of the second of two classes.
- ``"sigmoids"``: one probability for each of several labels, which do not exclude each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import softmax

Kind = Literal["softmax", "logits", "sigmoid", "sigmoids"]


def kind_of(trials: Sequence[np.ndarray], rounding: float = 0.0) -> Kind:
    """The kind that fits all trials.

    Args:
        trials: arrays (n, outputs) of one network, preferably with several settings of its weights: an untrained
            network's outputs can lie between 0 and 1 by chance.
        rounding: largest rounding error of an output.
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
    """Outputs (n, outputs) as probabilities, float64: (n, classes), or (n, labels) for ``"sigmoids"``.

    One sigmoid becomes two columns, for the first and the second class.
    """
    values = np.asarray(outputs, np.float64)
    if kind == "logits":
        return softmax(values, axis=-1)
    if kind == "sigmoid":
        return np.concatenate([1 - values, values], axis=-1)
    return values
