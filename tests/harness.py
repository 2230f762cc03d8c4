"""Checks for any model: build, call, save, reload, mixed precision, different kernels per layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

Build = Callable[[], Any]


def images(model: Any, count: int = 2, seed: int = 0) -> np.ndarray:
    """Noise of a different colour and strength per image, 0 to 255, in the model's input shape."""
    rng = np.random.default_rng(seed)
    color = rng.uniform(0, 255, (count, 1, 1, model.input_shape[-1]))
    share = rng.uniform(0.2, 0.8, (count, 1, 1, 1))
    return np.round((1 - share) * color + share * rng.uniform(0, 255, (count, *model.input_shape[1:]))).astype(
        "float32"
    )


def call(model: Any, x: np.ndarray) -> np.ndarray:
    """The model's output in inference mode."""
    if keras.backend.backend() != "jax":
        return keras.ops.convert_to_numpy(model(x, training=False))
    import jax

    # Compile one program, as in training: otherwise, JAX compiles each operation separately for each shape.
    state = [
        [variable.value for variable in kind] for kind in (model.trainable_variables, model.non_trainable_variables)
    ]
    outputs, _ = jax.jit(lambda t, n, x: model.stateless_call(t, n, x, training=False))(*state, x)
    return np.asarray(outputs)


def parameters(model: Any) -> int:
    """Number of trainable parameters."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def randomize(model: Any, seed: int = 0) -> None:
    """Give every bias and BatchNorm vector random values, so that a missing one is noticed."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for weight in layer.weights:
                positive = weight.name in ("gamma", "moving_variance")
                weight.assign(rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.2, weight.shape))
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))


def check_model(build: Build, folder: Path, trainable: int | None = None) -> None:
    """All checks on one model.

    Args:
        build: builds a new model.
        folder: where to save.
        trainable: how many trainable parameters it must have.
    """
    keras.utils.set_random_seed(1)
    model = build()
    if trainable is not None:
        assert parameters(model) == trainable
    check_call(model)
    check_stock(model)
    check_kernels_differ(model)
    check_reload(model, folder)
    check_mixed_precision(build)


def check_call(model: Any) -> None:
    """Probabilities, one row per image, and different images differ."""
    y = call(model, images(model))
    assert y.shape == (2, *model.output_shape[1:])
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)


def check_stock(model: Any) -> None:
    """Only Keras's own layers, so that the file loads where kzoo is not installed; no Lambda."""
    for layer in model.layers:
        assert type(layer).__module__.startswith("keras."), layer
        assert not isinstance(layer, keras.layers.Lambda), layer


def check_kernels_differ(model: Any) -> None:
    """No two layers start with the same kernel (as they do when they share an initializer).

    Zeros and ones do not count: filters that start as the identity have nothing else.
    """
    kernels = [np.asarray(keras.ops.convert_to_numpy(w)) for w in model.trainable_weights if w.name == "kernel"]
    assert kernels
    drawn = [kernel[(kernel != 0) & (kernel != 1)] for kernel in kernels]
    first = [values[:5] for values in drawn if len(values) >= 5]
    assert first
    for i, kernel in enumerate(first):
        assert not any(np.allclose(kernel, other) for other in first[:i])


def check_reload(model: Any, folder: Path) -> None:
    """A saved and reloaded model has the same weights and outputs."""
    randomize(model)
    path = folder / f"{model.name}.keras"
    model.save(path)
    again = keras.saving.load_model(path)
    assert again.name == model.name
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    x = images(model)
    np.testing.assert_allclose(call(model, x), call(again, x), atol=1e-6)


def check_mixed_precision(build: Build) -> None:
    """In bfloat16: the same outputs apart from rounding, float32 at the end, float32 variables."""
    precise = build()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy(before)
    computes_in = {layer.name: layer.compute_dtype for layer in model.layers}
    assert "bfloat16" in computes_in.values()
    assert computes_in.get("normalization", "float32") == "float32"
    assert computes_in.get("logits", "float32") == "float32"
    assert computes_in.get("predictions", "float32") == "float32"
    assert all(weight.dtype == "float32" for weight in model.weights)
    model.set_weights(precise.get_weights())
    x = images(model) / 255  # not raw pixels: without normalization they saturate the softmax, where rounding decides
    y = call(model, x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, call(precise, x), atol=0.05)
