"""The demo's predictions: the most probable classes and, for a run, weight set or .keras file, a Grad-CAM map."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.data.images import resize
from kzoo.demo.pictures import as_data, centered, decoded
from kzoo.diagnostics.grad_cam import grad_cam, overlay
from kzoo.errors import InputError
from kzoo.exporting.predicting import Classifier, predict_images

TOP = 5
SHOWN = 224
"""Smallest side of the picture with the map, in pixels."""


class Network:
    """A classifier that handles one picture at a time.

    Attributes:
        title: name of the network, for the page.
        draws: whether users can draw, because the network takes grey images.
    """

    def __init__(self, target: str) -> None:
        """Open a run, a weight set or an exported file.

        Raises:
            InputError: the target is none of these.
        """
        self.classifier = Classifier(target)
        self.model = self.classifier.model
        self.title = Path(target).name
        self.draws = self.classifier.image_shape[2] == 1
        self._lock = threading.Lock()  # concurrent requests are handled one at a time

    def answer(self, content: bytes, *, drawn: bool = False) -> dict[str, Any]:
        """Predict a picture: classes with probabilities, the picture as the network sees it, and the map over it.

        Raises:
            InputError: the picture cannot be read, or nothing was drawn.
        """
        height, width, channels = self.classifier.image_shape
        image = decoded(content, channels, self.classifier.background)
        if drawn:
            image = centered(image)
        image = resize(image, (height or image.shape[0], width or image.shape[1]))
        with self._lock:
            (prediction,) = predict_images(self.classifier, [(Path("picture"), image)], top=TOP)
            heat = None if self.model is None else self._map(image)
        return {
            "classes": [[name, share] for name, share in prediction.classes],
            "seen": as_data(_enlarged(image)),
            "map": heat,
        }

    def _map(self, image: np.ndarray) -> str | None:

        try:
            heat = grad_cam(self.model, image[None])
        except InputError:
            return None  # a network without feature maps
        return as_data(overlay(_enlarged(image)[None], heat)[0])


def _enlarged(image: np.ndarray) -> np.ndarray:
    factor = max(1, -(-SHOWN // min(image.shape[:2])))
    return image.repeat(factor, 0).repeat(factor, 1)
