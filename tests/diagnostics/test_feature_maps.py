"""Feature maps, kernels, and their figures."""

import keras
import numpy as np
import pytest

from kzoo.diagnostics.feature_maps import feature_maps, plot_feature_maps, plot_kernels
from kzoo.errors import InputError
from kzoo.models import create_model

L = keras.layers
IMAGE = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype("uint8")


@pytest.fixture(scope="module")
def model():
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            L.Rescaling(1 / 255),
            L.Conv2D(5, 3, name="first"),
            L.ReLU(name="act"),
            L.Conv2D(20, 3, strides=2, name="second"),
            L.Flatten(name="flat"),
            L.Dense(2),
        ]
    )


@pytest.mark.backend
def test_maps_are_the_outputs_of_the_layers(model):
    maps = feature_maps(model, IMAGE, ["second", "act"])
    assert list(maps) == ["second", "act"]
    expected = keras.Model(model.inputs[0], model.get_layer("act").output)(IMAGE[None].astype("float32"))
    np.testing.assert_allclose(maps["act"], keras.ops.convert_to_numpy(expected)[0], rtol=1e-5)
    np.testing.assert_array_equal(feature_maps(model, IMAGE[None], ["act"])["act"], maps["act"])
    outer = keras.Sequential([keras.Input((12, 12, 3)), model])
    np.testing.assert_array_equal(feature_maps(outer, IMAGE, ["act"])[f"{model.name}/act"], maps["act"])


def test_figures(model):
    figure = plot_feature_maps(model, IMAGE, channels=6)
    assert len(figure.axes) == 2 * 6
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(shown) == 5 + 6
    np.testing.assert_array_equal(shown[5], feature_maps(model, IMAGE, ["second"])["second"][..., 0])
    assert "4x4, 6 of 20" in figure.axes[6].get_ylabel()
    kernels = plot_kernels(model)
    assert sum(bool(axes.images) for axes in kernels.axes) == 5
    deep = plot_kernels(model, "second", kernels=3)
    assert sum(bool(axes.images) for axes in deep.axes) >= 3
    kernel = keras.ops.convert_to_numpy(model.get_layer("second").kernel)
    np.testing.assert_allclose(deep.axes[1].images[0].get_array(), kernel[..., 1].mean(-1), rtol=1e-5)
    assert len(plot_feature_maps(create_model("vgg08"), np.zeros((32, 32, 3)), channels=2).axes) == 6 * 2


CASES = [
    ({"image": IMAGE[:5]}, "images must be one or more of shape"),
    ({"image": np.stack([IMAGE, IMAGE])}, "one image"),
    ({"layers": ["frist"]}, "did you mean 'first'"),
    ({"layers": ["flat"]}, "'flat' gives"),
    ({"layers": []}, "layers is empty"),
]


@pytest.mark.parametrize(("options", "message"), CASES)
def test_bad_input_is_one_error(model, options, message):
    with pytest.raises(InputError, match=message):
        feature_maps(model, **{"image": IMAGE, "layers": ["act"], **options})


def test_convolutions_that_were_never_called_are_left_out():
    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            self.unused, self.used = L.Conv2D(2, 3), L.Conv2D(3, 3, name="used")

        def call(self, x):
            return self.used(x)

    model = Custom()
    model(IMAGE[None].astype("float32"))
    assert plot_feature_maps(model, IMAGE).axes[0].get_ylabel().startswith("used")
    assert plot_kernels(model).get_suptitle().startswith("used: 3 of 3")


def test_figures_refuse_what_has_no_convolution(model):
    with pytest.raises(InputError, match="has no convolution"):
        plot_feature_maps(create_model("mlp"), np.zeros((32, 32, 3)))
    with pytest.raises(InputError, match="has no two-dimensional convolution"):
        plot_kernels(create_model("mlp"))
    with pytest.raises(InputError, match="'flat' is a Flatten"):
        plot_kernels(model, "flat")
    with pytest.raises(InputError, match="not built"):
        plot_kernels(keras.Sequential([L.Conv2D(2, 3)]))
    with pytest.raises(InputError, match="channels=0"):
        plot_feature_maps(model, IMAGE, channels=0)
    with pytest.raises(InputError, match="kernels=0"):
        plot_kernels(model, kernels=0)
