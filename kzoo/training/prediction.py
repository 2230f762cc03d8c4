"""Predicts the classes of a part of a run's data."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from kzoo.errors import RunFailed
from kzoo.training.evaluation import predict
from kzoo.training.run import Run


class Predictions(NamedTuple):
    """The predictions of a run's best weights for a part of its data.

    Attributes:
        images: uint8 (n, height, width, channels), as they are in the dataset.
        labels: int64 (n,).
        probabilities: float64 (n, classes).
    """

    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def predict_part(run: Run, part: str = "test", data_dir: str | Path | None = None) -> Predictions:
    """Probabilities for all images of ``"train"``, ``"validation"`` or ``"test"``.

    Args:
        run: a finished run.
        part: of its data.
        data_dir: as for `kzoo.train`; by default the directory that the run used.

    Raises:
        InputError: the part is unknown, or the data differs from what the run was trained on.
        RunFailed: the model's outputs are not finite.
    """
    chosen = run.part(part, data_dir)
    view, logits = run.view
    outputs = predict(view, chosen.images, chosen.labels, run.recipe.batch_size).astype(np.float64)
    if not np.isfinite(outputs).all():
        raise RunFailed(f"run {str(run.directory)!r} gives outputs that are not finite")
    return Predictions(chosen.images, chosen.labels, softmax(outputs, axis=-1) if logits else outputs)
