"""Both ends of every kzoo network: input and normalization before it, pooling, classifier and weights after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import keras

from kzoo.checks import choice, of_unit_pixels, whole
from kzoo.errors import InputError
from kzoo.files import user_path
from kzoo.introspection.file_metadata import read_metadata
from kzoo.models import catalog
from kzoo.models.blocks import Layers
from kzoo.models.trained import load_file, load_set, name_classes
from kzoo.models.weight_sets import WeightSet, is_file, open_set

# The search for the smallest image that fits a network ends at this side.
_LARGEST_MINIMUM = 4096


@dataclass
class ModelBuilder:
    """The arguments that all builders share, as in `keras.applications`.

    Attributes:
        include_top: end in a classifier; otherwise in the last feature map, or its `pooling`.
        weights: None; a set of trained weights (`kzoo.models.weight_sets`: a tag if the model has a name, otherwise
            ``MODEL:TAG``, a folder, or the URL of a ``set.json``), which brings its classes, normalization and input
            shape; or the path of a weights file (``.weights.h5`` or ``.keras``) of this very model.
        input_tensor: a Keras tensor to build upon, or None.
        input_shape: (height, width, channels) of the images, None for the default.
        pooling: without top: None, ``"avg"`` or ``"max"`` (global).
        classes: number of classes, None for the default.
        classifier_activation: name of the last activation; None leaves the logits.
        name: the model's name.
        mean: per channel, or one number for all, in units of pixels / 255; needs `std` too. The model's first layer
            is then ``(pixels / 255 - mean) / std``. None: pixels are not scaled.
        std: as `mean`.
        default: the variant in the catalogue that gives the default classes and input shape.
        inputs: the Keras inputs that `start` builds upon.
        trained: description and weights file of the set, if `weights` names one.
    """

    include_top: bool
    weights: str | Path | None
    input_tensor: Any
    input_shape: Sequence[int | None] | None
    pooling: str | None
    classes: int | None
    classifier_activation: str | None
    name: str
    mean: Sequence[float] | float | None
    std: Sequence[float] | float | None
    default: catalog.Variant
    inputs: list[Any] = field(default_factory=list, init=False)
    trained: tuple[WeightSet, Path] | None = field(default=None, init=False)

    def start(self, final_size: Callable[[int], int], *, any_size: bool = True) -> Any:
        """Check the shared arguments and make input and normalization.

        Args:
            final_size: side of the last feature map as a function of the image's side; an image fits
                where this is at least 1.
            any_size: whether the network can be built for unknown height and width (None).

        Returns:
            A Keras tensor (batch, height, width, channels).

        Raises:
            InputError: an argument is wrong, or the image too small; the message names the smallest.
        """
        if keras.config.image_data_format() != "channels_last":
            raise InputError("image_data_format is 'channels_first': kzoo's models need 'channels_last'")
        self._open_weights()
        if self.pooling is not None:
            choice("pooling", self.pooling, ("avg", "max"))
        if self.classes is not None:
            self.classes = whole("classes", self.classes)
        if self.classifier_activation is not None:
            try:
                keras.activations.get(self.classifier_activation)
            except ValueError as error:
                message = f"classifier_activation={self.classifier_activation!r}: Keras has no such activation"
                raise InputError(message) from error

        # The shape of the images, and the input.
        if self.input_tensor is not None:
            if not keras.backend.is_keras_tensor(self.input_tensor):
                raise InputError(f"input_tensor: a Keras tensor is needed, not {type(self.input_tensor).__name__}")
            shape = tuple(self.input_tensor.shape[1:])
            if self.input_shape is not None and tuple(self.input_shape) != shape:
                raise InputError(f"input_shape={tuple(self.input_shape)}: differs from the input_tensor's {shape}")
        else:
            given = self.default.input_shape if self.input_shape is None else self.input_shape
            if not isinstance(given, Iterable):
                raise InputError(f"input_shape={given!r}: must be (height, width, channels), channels last")
            shape = tuple(int(n) if isinstance(n, Integral) else n for n in given)  # NumPy's too
        _check_shape(shape, final_size, any_size)
        if self.trained is not None and shape[-1] != self.trained[0].input_shape[-1]:
            channels = self.trained[0].input_shape[-1]
            raise InputError(f"input_shape={shape}: the weights {str(self.weights)!r} are for {channels} channels")
        x = keras.Input(shape, name="image") if self.input_tensor is None else self.input_tensor
        # Called here, not at the end: Keras follows every path back, and each residual block doubles their number.
        self.inputs = list(keras.utils.get_source_inputs(x))
        return self._normalize(x, shape[-1])

    def finish(
        self, x: Any, layers: Layers, *, pool: bool = True, hidden: Any = None, bias: bool = True
    ) -> keras.Model:
        """Make the top and the model, and load weights.

        Args:
            x: the last feature map (batch, height, width, channels), or features (batch, channels).
            layers: makes the classifier.
            pool: whether the top starts with global average pooling.
            hidden: with top: a function of the (pooled) features that goes before the classifier.
            bias: whether the classifier has one.
        """
        # The classifier, or the pooled features.
        if self.include_top:
            if pool:
                x = keras.layers.GlobalAveragePooling2D(name="global_pool")(x)
            if hidden is not None:
                x = hidden(x)
            x = layers.dense(x, self.classes or self.default.classes or 0, bias=bias, dtype="float32", name="logits")
            if self.classifier_activation is not None:
                x = keras.layers.Activation(self.classifier_activation, dtype="float32", name="predictions")(x)
        elif self.pooling is not None:
            if len(x.shape) != 4:
                raise InputError(
                    f"pooling={self.pooling!r}: this network's features are not a map, so there is nothing to pool"
                )
            kind = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}[self.pooling]
            x = kind(name="global_pool")(x)

        # The model, with weights.
        names: Sequence[str] = ()
        model = keras.Model(self.inputs[0] if len(self.inputs) == 1 else self.inputs, x, name=self.name)
        if self.trained is not None:
            load_set(model, self.trained[0].outline, self.trained[1], str(self.weights))
            names = self.trained[0].class_names
        elif self.weights is not None:
            path = user_path(self.weights)
            if not path.is_file():
                raise InputError(f"weights={str(self.weights)!r}: there is no such file")
            load_file(model, path, str(self.weights), whole=self.include_top)
            names = read_metadata(path).get("class_names") or ()
        if self.include_top:
            name_classes(model, names)
        return model

    def _open_weights(self) -> None:
        """Take classes, input shape and normalization from a set of weights if the caller passed none."""
        if self.weights is None or is_file(str(self.weights)):
            return
        self.trained = open_set(str(self.weights))
        weight_set = self.trained[0]
        if self.classes is None:
            self.classes = len(weight_set.class_names)
        elif self.include_top and self.classes != len(weight_set.class_names):
            raise InputError(
                f"classes={self.classes}: the weights {str(self.weights)!r} are for {len(weight_set.class_names)} "
                "classes; leave classes out, or drop their classifier with include_top=False"
            )
        if self.input_shape is None and self.input_tensor is None:
            self.input_shape = weight_set.input_shape
        for option, value, theirs in (("mean", self.mean, weight_set.mean), ("std", self.std, weight_set.std)):
            vector = None if value is None else tuple(_per_channel(option, value, weight_set.input_shape[-1]))
            if vector is not None and vector != theirs:
                raise InputError(f"{option}={value!r}: the weights {str(self.weights)!r} were trained with {theirs}")
        self.mean, self.std = weight_set.mean, weight_set.std

    def _normalize(self, x: Any, channels: int) -> Any:
        if self.mean is None and self.std is None:
            return x
        if self.mean is None or self.std is None:
            raise InputError("mean and std: give both or neither")
        mean, std = (_per_channel(name, value, channels) for name, value in (("mean", self.mean), ("std", self.std)))
        if min(std) <= 0:
            raise InputError(f"std={self.std!r}: must be greater than 0")
        of_unit_pixels("mean", mean)
        of_unit_pixels("std", std)
        # Rescaling, because the Normalization layer breaks the export to ONNX.
        return keras.layers.Rescaling(
            scale=[1 / (255 * s) for s in std],
            offset=[-m / s for m, s in zip(mean, std, strict=True)],
            dtype="float32",
            name="normalization",
        )(x)


def _per_channel(option: str, value: Any, channels: int) -> list[float]:
    numbers = [value] * channels if isinstance(value, Real) else list(value)
    if len(numbers) != channels:
        raise InputError(f"{option}={value!r}: {channels} numbers are needed, one per channel of the image")
    return [float(number) for number in numbers]


def _check_shape(shape: tuple[int | None, ...], final_size: Callable[[int], int], any_size: bool) -> None:
    if len(shape) != 3 or shape[2] is None or any(n is not None and (not isinstance(n, int) or n < 1) for n in shape):
        raise InputError(f"input_shape={shape}: must be (height, width, channels), channels last")
    if not any_size and None in shape:
        raise InputError(f"input_shape={shape}: this network needs a fixed height and width")
    smallest = next((n for n in range(1, _LARGEST_MINIMUM) if final_size(n) >= 1), None)
    if smallest is None:
        raise InputError(f"this network shrinks even images of {_LARGEST_MINIMUM} pixels a side to nothing: shorten it")
    if any(n is not None and n < smallest for n in shape[:2]):
        fits = (smallest, smallest, shape[2])
        raise InputError(f"input_shape={shape}: too small for this network; the smallest that fits is {fits}")
