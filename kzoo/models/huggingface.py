"""Writes a set of weights as a folder that Hugging Face's tools can upload as it is (no Keras, no network)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from kzoo._version import __version__
from kzoo.errors import InputError
from kzoo.files import user_path
from kzoo.models.weight_sets import CARD, DESCRIPTION, RECORD, WEIGHTS, WeightSet, open_set

CONFIG = "config.json"
FILES = (CARD, DESCRIPTION, RECORD, WEIGHTS)


def publish(source: str, directory: str | Path) -> Path:
    """Write a folder with a set's card, weights, record and ``config.json``; nothing is uploaded.

    The folder is a set as well: once it is uploaded, others load it by the URL of its ``set.json``.

    Args:
        source: a set of weights: ``MODEL:TAG``, a folder, or the URL of a ``set.json``.
        directory: the folder, which must be new or empty.

    Returns:
        The folder.

    Raises:
        InputError: there is no such set, a file of it is missing or damaged, or the folder is not empty.
    """
    weight_set, weights = open_set(source)
    for name in FILES:
        if not (weights.parent / name).is_file():
            raise InputError(f"set {source!r} lacks its {name}: copy it next to the weights")
    folder = user_path(directory)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"directory {str(folder)!r} is not empty: choose another, because nothing is overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(weights.parent / name, folder / name)
        (folder / CONFIG).write_text(json.dumps(config(weight_set), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"directory {str(folder)!r} cannot be written: {error.strerror}") from None
    return folder


def config(weight_set: WeightSet) -> dict[str, object]:
    """The content of ``config.json`` for a set: the network, its classes, and the scaling of pixels."""
    height, width, channels = weight_set.input_shape
    return {
        "library_name": "keras",
        "kzoo_version": __version__,
        "architectures": [weight_set.model],
        "model": weight_set.model,
        "model_options": weight_set.options,
        "num_labels": len(weight_set.class_names),
        "id2label": {str(label): name for label, name in enumerate(weight_set.class_names)},
        "label2id": {name: label for label, name in enumerate(weight_set.class_names)},
        "image_size": [height, width],
        "num_channels": channels,
        "pixels": "0-255; the normalization is the model's first layer",
        "image_mean": weight_set.mean,
        "image_std": weight_set.std,
        "resample": "bilinear",
        "weights": {"file": WEIGHTS, "sha256": weight_set.sha256},
    }
