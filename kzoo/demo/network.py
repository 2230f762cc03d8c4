"""What the demo asks: the likeliest classes of a picture and, of a run, a set or a .keras file, its Grad-CAM map."""

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
"""Side of the picture with the map, in pixels, at least."""


class Network:
    """A classifier that answers one picture at a time.

    Attributes:
        title: what it is.
        draws: whether drawing makes sense: it takes grey images.
    """

    def __init__(self, target: str) -> None:
        """Open a run, a set of weights or an exported file.

        Raises:
            InputError: it is none of these.
        """
        self.classifier = Classifier(target)
        self.model = self.classifier.model
        self.title = Path(target).name
        self.draws = self.classifier.image_shape[2] == 1
        self._lock = threading.Lock()  # of the requests that come at once, one is worked on at a time

    def answer(self, content: bytes, *, drawn: bool = False) -> dict[str, Any]:
        """Classes and probabilities of a picture, the picture as the network sees it, and the map over it.

        Args:
            content: of an image file.
            drawn: whether it is a light drawing on black, to be cut out and centred.

        Raises:
            InputError: it is no picture that can be read, or nothing is drawn.
        """
        height, width, channels = self.classifier.image_shape
        image = decoded(content, channels or 3, self.classifier.background)
        if drawn:
            image = centered(image)
        image = resize(image, (height or image.shape[0], width or image.shape[1]))
        with self._lock:
            (found,) = predict_images(self.classifier, [(Path("picture"), image)], top=TOP)
            heat = None if self.model is None else self._map(image)
        return {
            "classes": [[name, share] for name, share in found.classes],
            "seen": as_data(_enlarged(image)),
            "map": heat,
        }

    def _map(self, image: np.ndarray) -> str | None:

        try:
            found = grad_cam(self.model, image[None])
        except InputError:
            return None  # a network without a map in it
        return as_data(overlay(_enlarged(image)[None], found)[0])


def _enlarged(image: np.ndarray) -> np.ndarray:
    factor = max(1, -(-SHOWN // min(image.shape[:2])))
    return image.repeat(factor, 0).repeat(factor, 1)
