"""From image files to class names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kzoo.data.images import read_image, resize
from kzoo.models.transfer import top_k
from kzoo.training.saved_run import Run


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
