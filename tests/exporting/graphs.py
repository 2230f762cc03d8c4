"""Random graphs of convolutions, dense layers and BatchNorms, to fold; a graph is a function of a list of choices."""

import keras
import numpy as np
from hypothesis import strategies as st

layers = keras.layers

CONVS = ("conv", "depthwise", "separable", "transposed", "grouped")
STEPS = (*CONVS, "norm", "norm", "activation", "dropout", "branch", "shared", "add", "concatenate", "nested")


@st.composite
def choices(draw, largest=8):
    """Draw the choices from which `build` makes a graph."""
    step = st.fixed_dictionaries(
        {
            "kind": st.sampled_from(STEPS),
            "kernel": st.integers(1, 3),
            "stride": st.integers(1, 2),
            "dilation": st.integers(1, 2),
            "padding": st.sampled_from(["valid", "same"]),
            "bias": st.booleans(),
            "norms": st.sampled_from(["", "before", "after", "both"]),
            "scale": st.booleans(),
            "center": st.booleans(),
            "act": st.booleans(),
        }
    )
    return {
        "steps": draw(st.lists(step, min_size=1, max_size=largest)),
        "dense_norm": draw(st.sampled_from(["", "before", "after", "both"])),
        "tap": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**16)),
    }


def build(chosen):
    """A Functional model of images (11, 11, 2) with random weights and BatchNorm statistics."""
    image = keras.Input((11, 11, 2), name="image")
    x, taps, shared = image, [], None
    for step in chosen["steps"]:
        if step["kind"] == "shared" and shared is None:
            shared = (layers.Conv2D(4, 1), norm(step))
        x = advance(x, step, shared)
        taps.append(x)
    flat = layers.GlobalAveragePooling2D()(x)
    if "before" in chosen["dense_norm"] or chosen["dense_norm"] == "both":
        flat = layers.Dropout(0.5)(layers.BatchNormalization()(flat))
    y = layers.Dense(3, use_bias=False)(flat)
    if chosen["dense_norm"] in ("after", "both"):
        y = layers.BatchNormalization()(y)
    model = keras.Model(image, {"y": y, "tap": taps[len(taps) // 2]} if chosen["tap"] else y)
    randomize(model, np.random.default_rng(chosen["seed"]))
    return model


def norm(step):
    return layers.BatchNormalization(scale=step["scale"], center=step["center"], epsilon=1e-3)


def advance(x, step, shared):
    kind = step["kind"]
    if kind in CONVS:
        if step["norms"] in ("before", "both"):
            x = norm(step)(x)
        x = convolution(kind, step, x)
        if step["norms"] in ("after", "both"):
            x = norm(step)(x)
        return layers.ReLU()(x) if step["act"] else x
    if kind == "norm":
        return norm(step)(x)
    if kind == "activation":
        return layers.LeakyReLU(negative_slope=0.1)(x)
    if kind == "dropout":
        return layers.SpatialDropout2D(0.3)(layers.Identity()(x))
    if kind == "shared":
        conv, again = shared
        x = layers.Conv2D(4, 1, use_bias=step["bias"])(x)  # gives the shared layer its number of channels
        return again(conv(again(conv(x))))
    left, right = (layers.Conv2D(3, 1, use_bias=step["bias"])(x) for _ in range(2))
    if kind == "branch":  # one convolution with two users: neither of its BatchNorms may be folded into it
        return layers.Add()([norm(step)(left), norm(step)(left)])
    if kind == "add":
        return norm(step)(layers.Add()([norm(step)(left), right]))
    if kind == "concatenate":
        return norm(step)(layers.Concatenate()([left, norm(step)(right)]))
    inner = keras.Input((None, None, 3))
    z = norm(step)(layers.Conv2D(3, 1, use_bias=step["bias"])(inner))
    return norm(step)(keras.Model(inner, layers.Dropout(0.2)(z))(left))


def convolution(kind, step, x):
    size = min(step["kernel"], x.shape[1], x.shape[2])
    strides = step["stride"]
    dilation = 1 if strides > 1 or kind == "transposed" else step["dilation"]
    if (size - 1) * dilation + 1 > min(x.shape[1:3]):
        dilation = 1
    common = {"padding": step["padding"], "use_bias": step["bias"]}
    if kind == "transposed":
        # No stride, so that maps do not grow without limit.
        return layers.Conv2DTranspose(4, size, **common)(x)
    common |= {"strides": strides, "dilation_rate": dilation}
    if kind == "depthwise":
        return layers.DepthwiseConv2D(size, depth_multiplier=1 + step["bias"], **common)(x)
    if kind == "separable":
        return layers.SeparableConv2D(5, size, **common)(x)
    if kind == "grouped" and x.shape[-1] % 2 == 0:
        return layers.Conv2D(6, size, groups=2, **common)(x)
    return layers.Conv2D(4, size, **common)(x)


def randomize(model, rng):
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                positive = weight is layer.moving_variance or weight is layer.gamma
                weight.assign(rng.uniform(0.3, 2, weight.shape) if positive else rng.normal(0, 0.5, weight.shape))
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))


def outputs(model, images):
    """All outputs, flattened."""
    results = keras.tree.flatten(model(images, training=False))
    return [keras.ops.convert_to_numpy(each) for each in results]


def norms(model):
    """The number of BatchNorm layers in a model, including nested models."""
    return sum(isinstance(layer, layers.BatchNormalization) for layer in model._flatten_layers())
