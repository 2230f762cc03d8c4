"""What is trained: the model up to its logits, with BatchNorm's training step done by TensorFlow's fused kernel.

Keras 3 computes BatchNorm's statistics with separate operations; TensorFlow's fused kernel does it in one pass over
the map, forward and backward. The trained view shares every variable with the stock model, and only the stock
model is ever saved.
"""

from __future__ import annotations

from typing import Any

import keras

from kzoo.introspection.graph import has_graph
from kzoo.introspection.outputs import class_outputs


def training_view(model: keras.Model) -> tuple[keras.Model, bool]:
    """The model to call `fit` on, with one output for each class, and whether its outputs are logits.

    A softmax or sigmoid at the end is left out (the loss computes it from logits, exactly and in one step); one sigmoid
    becomes two columns. Layers are shared with `model`, except BatchNorm layers on TensorFlow, which share its
    variables.

    Args:
        model: any Keras model with one output, see `kzoo.introspection.outputs`.

    Returns:
        A model and True if its outputs are logits, False if probabilities.

    Raises:
        InputError: the outputs are not those of a classifier of one class an image.
    """
    outputs = class_outputs(model)
    target, logits = outputs.model, outputs.logits
    # Nothing between the parts of a nested model can be exchanged from outside.
    nested = any(isinstance(layer, keras.Model) for layer in model.layers)
    fusable = has_graph(model) and not nested and keras.backend.backend() == "tensorflow"
    if not fusable or not any(map(_can_be_fused, model.layers)):
        return target, logits
    view = keras.models.clone_model(keras.Model(target.input, target.outputs[0]), clone_function=_fused_or_same)
    view.name = model.name
    return view, logits


def _can_be_fused(layer: Any) -> bool:
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


def _fused_or_same(layer: Any) -> Any:
    return fused(layer) if _can_be_fused(layer) else layer


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


def _fused_class() -> type:
    global _class
    if _class is not None:
        return _class
    import tensorflow as tf

    stock = keras.layers.BatchNormalization

    class BatchNormalization(stock):  # type: ignore[misc, valid-type]
        def build(self, input_shape: Any) -> None:
            """Nothing: the variables are another layer's."""

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if not training or not self.trainable or mask is not None:
                return super().call(inputs, training=training, mask=mask)
            inputs = tf.cast(inputs, self.compute_dtype)
            outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones_like(tf.convert_to_tensor(self.beta)),
                offset=tf.convert_to_tensor(self.beta),
                mean=tf.zeros([0], tf.float32),
                variance=tf.zeros([0], tf.float32),
                epsilon=self.epsilon,
                exponential_avg_factor=1.0,
                data_format="NHWC",
                is_training=True,
            )
            # The kernel gives the unbiased variance, Keras averages the biased one.
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
                moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
            return outputs

    # Weight files are keyed by class name and configurations by module: whatever saves the view saves stock layers.
    BatchNormalization.__module__ = stock.__module__
    BatchNormalization.__qualname__ = stock.__qualname__
    _class = BatchNormalization
    return _class


_class: type | None = None
