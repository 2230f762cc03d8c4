"""What training and inspecting a model need from the backend, implemented for TensorFlow, JAX and PyTorch."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras

from kzoo.seeds import derived_seed

Function = Callable[[list[Any]], tuple[Any, list[Any]]]  # tensors -> (scalar, further tensors)


def differentiate(function: Function, tensors: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    """A function's value, its further results, and the value's gradients (zeros for tensors it does not depend on)."""
    of_backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return of_backend[keras.backend.backend()](function, tensors)


def _tensorflow(function: Function, tensors: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tensors)
        value, more = function(tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return value, more, [tf.convert_to_tensor(gradient) for gradient in gradients]  # sparse for an Embedding


def _jax(function: Function, tensors: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    import jax

    (value, more), gradients = jax.value_and_grad(function, has_aux=True)(tensors)
    return value, more, gradients


def _torch(function: Function, tensors: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    import torch

    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    with torch.enable_grad():
        value, more = function(leaves)
    if not value.requires_grad:
        return value, more, [torch.zeros_like(leaf) for leaf in leaves]
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    pairs = zip(gradients, leaves, strict=True)
    return value.detach(), more, [torch.zeros_like(b) if a is None else a for a, b in pairs]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of tensors, compiled at its first call if the backend compiles."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # TensorFlow warns about retracing if it sees the same code for each model: a partial hides the code.
        return tf.function(functools.partial(function), autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


def values(variables: list[Any]) -> list[Any]:
    """The current values of Keras variables, as tensors."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return [tf.convert_to_tensor(variable.value) for variable in variables]
    return [variable.value for variable in variables]


def sync(model: Any) -> None:
    """Update the model's variables in the middle of an epoch, when JAX keeps the current values elsewhere."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


@contextlib.contextmanager
def separate_random() -> Iterator[None]:
    """Run a block with PyTorch's global generators at a fixed seed, and restore them afterwards.

    On PyTorch, Keras draws dropout from them; on other backends, it keeps the state of all generators in variables.
    """
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(0)
        yield


@contextlib.contextmanager
def no_gradients() -> Iterator[None]:
    """Run a block in which PyTorch records nothing for a backward pass; other backends record only on request."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.no_grad():
        yield


def seed_step(seed: int, epoch: int, step: int) -> None:
    """Make a step's dropout depend only on the run's seed and the step's position.

    On PyTorch, Keras's dropout draws from PyTorch's global generator, not from the layer's seed generator, whose state
    is in the checkpoint.
    """
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(derived_seed(seed, "step", epoch, step))


def devices() -> list[str]:
    """The devices that Keras can compute on; empty if it cannot list them."""
    try:
        return list(keras.distribution.list_devices())
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return []
