"""From image files to class names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from kzoo.errors import InputError
from kzoo.models.transfer import top_k
from kzoo.training.saved_run import Run


def read_image(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """An image file as uint8 (height, width, channels), resized to `shape` (bilinear) and turned grey or RGB.

    Raises:
        InputError: the file is missing or no image.
    """
    height, width, channels = shape
    try:
        with Image.open(path) as file:
            image = file.convert("L" if channels == 1 else "RGB")
            if image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(image, np.uint8).reshape(shape)
    except FileNotFoundError:
        raise InputError(f"image {str(path)!r} does not exist") from None
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"image {str(path)!r} cannot be read: {error}") from None


def predict_files(run: Run, paths: Sequence[Path], top: int = 3) -> list[tuple[Path, list[tuple[str, float]]]]:
    """The most probable classes of image files.

    Args:
        run: a finished run.
        paths: image files of any size.
        top: classes for each, most probable first.

    Returns:
        For each file its path and (class name, probability) pairs.
    """
    shape = tuple(run.result.data["image_shape"])
    images = np.stack([read_image(path, shape) for path in paths])
    probabilities = run.model.predict(images, verbose=0)
    return list(zip(paths, top_k(probabilities, run.class_names, min(top, len(run.class_names))), strict=True))
