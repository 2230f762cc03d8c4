"""A layer's class and what it does, in a word or two, for figures that name layers."""

from __future__ import annotations

from typing import Any

import keras

# Matched by parts of class names (the first match counts), because Keras's base classes are not public and custom
# layers have similar names.
KINDS = (
    ("input", ("InputLayer",)),
    (
        "merge",
        ("Add", "Concatenate", "Multiply", "Subtract", "Divide", "Average", "Maximum", "Minimum", "Dot", "Stack"),
    ),
    ("pooling", ("Pool",)),
    ("normalization", ("BatchNorm", "LayerNorm", "GroupNorm", "UnitNorm", "RMSNorm", "SpectralNorm")),
    ("regularization", ("Dropout", "Noise", "Regularization")),
    ("convolution", ("Conv",)),
    ("dense", ("Dense", "Embedding", "Attention", "LSTM", "GRU", "RNN")),
    ("activation", ("Activation", "ReLU", "Relu", "ELU", "Softmax", "Swish", "Silu", "Sigmoid", "Tanh", "Gelu")),
    (
        "shape",
        ("Flatten", "Reshape", "Padding", "Cropping", "Permute", "UpSampling", "Transpose", "Resizing", "Repeat"),
    ),
)
# These are whole names, because other classes' names contain them.
WHOLE = {"merge"}


def kind_of(layer: Any) -> str:
    """One of the kinds above, ``"model"`` for a nested model, or ``"other"``."""
    if isinstance(layer, keras.Model):
        return "model"
    name = type(layer).__name__
    for kind, parts in KINDS:
        if name in parts or (kind not in WHOLE and any(part in name for part in parts)):
            return kind
    return "other"


def words_for(layer: Any) -> str:
    """The layer's class, the settings that matter most, its activation: ``"Conv2D 3×3, 64, stride 2 · relu"``."""
    name = type(layer).__name__
    name = {"InputLayer": "Input", "BatchNormalization": "BatchNorm"}.get(name, name)
    if isinstance(layer, keras.layers.Activation):
        return _name(layer.activation)
    activation = getattr(layer, "activation", None)
    ends = activation is not None and activation is not keras.activations.linear
    return name + _settings(layer) + (f" · {_name(activation)}" if ends else "")


def _settings(layer: Any) -> str:
    window = _times(getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None))
    words = [window] if window else []
    for attribute in ("filters", "units", "rate", "negative_slope", "stddev"):
        value = getattr(layer, attribute, None)
        # Separable and depthwise convolutions have `filters` of None; a ReLU's slope is 0 unless it is leaky.
        if isinstance(value, int | float) and not (attribute == "negative_slope" and not value):
            words.append(f"{value:g}")
    strides = getattr(layer, "strides", None)
    if strides and max(_tuple(strides)) > 1:
        words.append(f"stride {_short(strides)}")
    dilation = getattr(layer, "dilation_rate", None)
    if dilation and max(_tuple(dilation)) > 1:
        words.append(f"dilation {_short(dilation)}")
    groups = getattr(layer, "groups", 1)
    if isinstance(groups, int) and groups > 1 and window:
        words.append(f"{groups} groups")
    return f" {', '.join(words)}" if words else ""


def _tuple(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _times(sizes: Any) -> str:
    return "×".join(map(str, _tuple(sizes))) if sizes else ""


def _short(sizes: Any) -> str:
    """One number if all are the same."""
    sizes = _tuple(sizes)
    return str(sizes[0]) if len(set(sizes)) == 1 else _times(sizes)


def _name(activation: Any) -> str:
    """The name of an activation: a function, a layer, or, in a custom layer, sometimes already a name."""
    if isinstance(activation, str):
        return activation
    return getattr(activation, "__name__", None) or type(activation).__name__


def shape_words(shape: tuple[int | None, ...]) -> str:
    """A shape without its batch, e.g. ``"32×32×64"``; a size that is not fixed is a question mark."""
    return "×".join("?" if size is None else str(size) for size in shape) or "scalar"
