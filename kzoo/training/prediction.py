"""From images to classes: of image files, and of a part of a run's data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from kzoo.data.images import read_image, resize
from kzoo.errors import RunFailed
from kzoo.models.transfer import top_k
from kzoo.training.fast_batch_norm import training_view
from kzoo.training.saved_run import Run


class Predictions(NamedTuple):
    """What a run's best weights make of a part of its data.

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
        data_dir: as for `kzoo.train`; where the run found its data, if not given.

    Raises:
        InputError: there is no such part, or the data is not what the run was trained on.
        RunFailed: the model's outputs are not finite.
    """
    found = run.part(part, data_dir)
    view, logits = training_view(run.model)
    outputs = np.asarray(view.predict(found.images, batch_size=run.recipe.batch_size, verbose=0), np.float64)
    if not np.isfinite(outputs).all():
        raise RunFailed(f"run {str(run.directory)!r} gives outputs that are not finite")
    return Predictions(found.images, found.labels, softmax(outputs, axis=-1) if logits else outputs)


def predict_files(run: Run, paths: Sequence[Path], top: int = 3) -> list[tuple[Path, list[tuple[str, float]]]]:
    """The most probable classes of image files.

    Args:
        run: a finished run.
        paths: image files of any size; they are scaled to the model's, and turned grey or RGB as it needs.
        top: classes for each, most probable first.

    Returns:
        For each file its path and (class name, probability) pairs.

    Raises:
        InputError: a file is missing or no image; it is named.
    """
    height, width, channels = run.result.data["image_shape"]
    images = np.stack([resize(read_image(path, channels=channels), (height, width)) for path in paths])
    probabilities = run.model.predict(images, verbose=0)
    return list(zip(paths, top_k(probabilities, run.class_names, min(top, len(run.class_names))), strict=True))
