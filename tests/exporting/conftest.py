"""Fixtures for the tests of exports."""

import keras
import pytest

from kzoo.exporting.export import export

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="elsewhere each export is a process of its own"
)


@pytest.fixture(scope="session")
def run(digits_run):
    """A LeNet that knows the digits."""
    return digits_run


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory):
    """Returns the run's exported file with a name, whose suffix determines the format. Each is made once."""
    directory, made = tmp_path_factory.mktemp("exports"), {}

    def path(name):
        if name not in made:
            made[name] = directory / name
            export(run, made[name])
        return made[name]

    return path


@pytest.fixture(scope="session")
def model():
    """A small network with one BatchNorm and dropout, for 8x8 RGB images. Folding removes both.

    ONNX has no operator for its exact GELU.
    """
    keras.utils.set_random_seed(5)
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same")(layers.Rescaling(1 / 128, offset=-1.0)(image))
    x = layers.Dropout(0.5)(layers.Activation("gelu")(layers.BatchNormalization()(x)))
    x = layers.Dense(5)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Softmax()(x), name="small")
