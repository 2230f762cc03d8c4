"""What the tests of exports share."""

import keras
import pytest

import kzoo

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="elsewhere each export is a process of its own"
)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A LeNet that knows the digits."""
    place = tmp_path_factory.mktemp("exports") / "digits"
    options = {"epochs": 4, "batch_size": 20, "train_size": 800, "directory": place}
    return kzoo.train("lenet2-average", dataset="digits", progress=False, diagnostics=False, **options)


@pytest.fixture(scope="session")
def model():
    """A small network with BatchNorm and dropout, for 8x8 RGB images."""
    keras.utils.set_random_seed(5)
    return kzoo.create_model("vgg08-bn", input_shape=(8, 8, 3), classes=5, filters=8, dropout=0.5, mean=0.5, std=0.25)
