"""A network that kzoo does not have."""

import keras


@keras.saving.register_keras_serializable(package="zoo_extras")
class Half(keras.layers.Layer):
    """Halves its input: a layer that only this package knows."""

    def call(self, inputs):
        return inputs / 2


def small(classes, input_shape, name="small"):
    inputs = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(x)
    x = Half()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.1)(x)
    return keras.Model(inputs, keras.layers.Dense(classes, name="head")(x), name=name)
