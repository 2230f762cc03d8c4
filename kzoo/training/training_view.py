"""What is trained: the model up to its logits, with the training step of some layers done in one pass over the map.

On TensorFlow, Keras 3 computes BatchNorm's statistics, GELU and SiLU with several operations, each of which reads and
writes the whole map. In training, TensorFlow's fused kernel computes BatchNorm, and on processors XLA compiles each
activation, and its gradient, to one operation. For kernels' gradients on narrow maps, see `narrow_maps`. The
trained view shares every variable with the stock model, and only the stock model is ever saved.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras

from kzoo.introspection.graph import has_graph, input_structure
from kzoo.introspection.outputs import class_outputs
from kzoo.training.narrow_maps import is_slow, side_by_side

SHORT = ("bfloat16", "float16")
"""Types in which predictions, too, are computed in one pass, in a quarter of the time. In float32, that would gain
nothing, and predictions are bit for bit those of the stock model."""


def training_view(model: keras.Model) -> tuple[keras.Model, bool]:
    """The model to call `fit` on, with one output for each class, and whether its outputs are logits.

    A softmax or sigmoid at the end is left out (the loss computes it from logits, exactly and in one step); one sigmoid
    becomes two columns. Layers are shared with `model`, except those that are computed another way on
    TensorFlow (BatchNorm, GELU, SiLU, some convolutions), which share its variables.

    Args:
        model: any Keras model with one output, see `kzoo.introspection.outputs`.

    Returns:
        A model and True if its outputs are logits, False if probabilities.

    Raises:
        InputError: the outputs are not those of a classifier with one class per image.
    """
    outputs = class_outputs(model)
    target, logits = outputs.model, outputs.logits
    # Layers inside a nested model cannot be replaced from outside.
    nested = any(isinstance(layer, keras.Model) for layer in model.layers)
    fusable = has_graph(model) and not nested and keras.backend.backend() == "tensorflow"
    if not fusable or not any(map(_can_be_fused, model.layers)):
        return target, logits
    view = keras.models.clone_model(
        keras.Model(input_structure(target), target.outputs[0]), clone_function=_fused_or_same
    )
    view.name = model.name
    return view, logits


def _can_be_fused(layer: Any) -> bool:
    return _is_fusable_batch_norm(layer) or _is_fusable_activation(layer) or is_slow(layer)


def _is_fusable_batch_norm(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.input_spec is not None
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.variable_dtype == "float32"  # the kernel's sums
        and layer.center
        and not layer.renorm
        and not layer.synchronized
    )


def _is_fusable_activation(layer: Any) -> bool:
    activations = (keras.activations.gelu, keras.activations.silu)
    return type(layer) is keras.layers.Activation and layer.activation in activations and _can_compile()


def _fused_or_same(layer: Any) -> Any:
    if _is_fusable_batch_norm(layer):
        return fused(layer)
    if _is_fusable_activation(layer):
        return _activation_class()(**layer.get_config())
    if is_slow(layer):
        return side_by_side(layer)
    return layer


def fused(layer: keras.layers.BatchNormalization) -> keras.layers.BatchNormalization:
    """A stand-in for a built BatchNorm layer: the same variables, the fused kernel in training (TensorFlow only).

    Statistics and moving averages are those of the stock layer (biased variance), up to rounding.
    """
    stand_in = _fused_class()(**{k: v for k, v in layer.get_config().items() if not k.startswith("renorm")})
    stand_in.trainable = layer.trainable
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        setattr(stand_in, name, getattr(layer, name))
    stand_in.input_spec = layer.input_spec
    stand_in._reduction_axes = layer._reduction_axes
    stand_in.built = True
    return stand_in


@cache
def _fused_class() -> type:
    import tensorflow as tf

    stock = keras.layers.BatchNormalization

    class BatchNormalization(stock):  # type: ignore[misc, valid-type]
        from_config = stock.from_config  # copies are stock layers, with variables of their own

        def build(self, input_shape: Any) -> None:
            """Do nothing: the variables are another layer's."""

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            training = bool(training and self.trainable)
            if mask is not None or not (training or self.compute_dtype in SHORT):
                return super().call(inputs, training=training, mask=mask)
            beta, mean, variance = map(tf.convert_to_tensor, (self.beta, self.moving_mean, self.moving_variance))
            inputs = tf.cast(inputs, self.compute_dtype)
            outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones_like(beta),
                offset=beta,
                mean=tf.zeros([0], tf.float32) if training else mean,
                variance=tf.zeros([0], tf.float32) if training else variance,
                epsilon=self.epsilon,
                exponential_avg_factor=1.0,
                data_format="NHWC",
                is_training=training,
            )
            if training:
                # The kernel gives the unbiased variance, Keras averages the biased one.
                count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
                for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
                    moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
            return outputs

    # Weight files are keyed by class name and configurations by module: whatever saves the view saves stock layers.
    BatchNormalization.__module__ = stock.__module__
    BatchNormalization.__qualname__ = stock.__qualname__
    return BatchNormalization


@cache
def _activation_class() -> type[keras.layers.Activation]:
    stock = keras.layers.Activation

    class Activation(stock):  # type: ignore[misc, valid-type]
        from_config = stock.from_config

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            one_pass = training or self.compute_dtype in SHORT
            return compiled(self.activation)(inputs) if one_pass else super().call(inputs)

    Activation.__module__ = stock.__module__
    Activation.__qualname__ = stock.__qualname__
    return Activation


@cache
def compiled(activation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An activation in one operation, and its gradient in another, both in float32 inside (TensorFlow only).

    The gradient is computed from the input, so that nothing else has to be kept until the backward pass.
    """
    import tensorflow as tf

    def in_float32(inputs: Any) -> Any:
        return tf.cast(activation(tf.cast(inputs, tf.float32)), inputs.dtype)

    @tf.function(jit_compile=True, autograph=False)
    def backward(inputs: Any, gradient: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = in_float32(inputs)
        return tape.gradient(outputs, inputs, gradient)

    forward = tf.function(in_float32, jit_compile=True, autograph=False)
    return tf.custom_gradient(lambda inputs: (forward(inputs), lambda gradient: backward(inputs, gradient)))


@cache
def _can_compile() -> bool:
    """Whether XLA can compile for this processor, and there is no GPU (whose XLA needs more libraries)."""
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return False
    try:
        tf.function(tf.abs, jit_compile=True)(tf.zeros([1]))
    except tf.errors.OpError:
        return False
    return True
