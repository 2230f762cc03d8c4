"""Grad-CAM finds the part of the image that a class depends on, in models of any structure."""

import keras
import numpy as np
import pytest

from kzoo.diagnostics.feature_maps import feature_maps
from kzoo.diagnostics.grad_cam import grad_cam, last_map, overlay, plot_grad_cam, predicted
from kzoo.diagnostics.receptive_field.effective import effective_field
from kzoo.errors import InputError
from kzoo.introspection.outputs import read_outputs
from kzoo.models import create_model

L = keras.layers
SIZE, HALF = 24, 12
# Rows and columns of the quadrant that the class depends on: lower left.
QUADRANT = (slice(HALF, SIZE), slice(0, HALF))
PATTERN = (slice(HALF + 2, SIZE - 2), slice(2, HALF - 2))


def patterned(count, channels=1, seed=0):
    """Grey with some noise, and in one quadrant stripes that are horizontal, vertical or diagonal, by class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.uniform(110, 145, (count, SIZE, SIZE, channels))
    rows, columns = np.indices((HALF - 4, HALF - 4))
    waves = [rows // 2 % 2, columns // 2 % 2, (rows + columns) // 2 % 2]
    for image, label in zip(images, labels, strict=True):
        image[PATTERN] = 255 * waves[label][..., None]
    return images.round().astype("uint8"), labels


def body(channels=1):
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, channels)),
            L.Conv2D(8, 3, padding="same", use_bias=False, activation="relu", name="first"),
            L.Conv2D(12, 3, padding="same", use_bias=False, activation="relu", name="second"),
            L.MaxPooling2D(2, name="smaller"),
            L.GlobalAveragePooling2D(),
        ],
        name="body",
    )


def flat(channels=1):
    inner = body(channels)
    return keras.Sequential(
        [keras.Input((SIZE, SIZE, channels)), L.Rescaling(1 / 127.5, -1), *inner.layers, L.Dense(3, name="logits")]
    )


def nested():
    image = keras.Input((SIZE, SIZE, 1))
    inner = keras.Sequential(
        [keras.Input((SIZE, SIZE, 1)), *body().layers, L.Dense(3, activation="softmax")], name="net"
    )
    return keras.Model(image, inner(L.Rescaling(1 / 127.5, -1)(image)), name="outer")


def with_softmax():
    model = flat(3)
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), model, L.Softmax()])


class Custom(keras.Model):
    def __init__(self):
        super().__init__()
        self.scale, self.body, self.top = L.Rescaling(1 / 127.5, -1), body(), L.Dense(3, activation="softmax")

    def call(self, x):
        return self.top(self.body(self.scale(x)))


MODELS = {"raw pixels": (flat, 1), "nested": (nested, 1), "softmax, colour": (with_softmax, 3), "subclass": (Custom, 1)}


@pytest.fixture(scope="module")
def trained():
    """Returns a model by name, with the weights of one trained model, spread over the channels."""
    keras.utils.set_random_seed(1)
    model, (images, labels) = flat(), patterned(300)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(images.astype("float32"), labels, batch_size=30, epochs=5, verbose=0)
    first, *others = model.get_weights()

    def give(name):
        build, channels = MODELS[name]
        other = build()
        other(np.zeros((1, SIZE, SIZE, channels), "float32"))
        other.set_weights([first.repeat(channels, axis=2) / channels, *others])
        return other

    return give


@pytest.mark.parametrize(
    "name",
    ["softmax, colour", "subclass", *(pytest.param(n, marks=pytest.mark.slow) for n in ("raw pixels", "nested"))],
)
def test_the_mass_lies_in_the_quadrant(trained, name):
    model = trained(name)
    images, labels = patterned(30, MODELS[name][1], seed=9)
    assert (model.predict(images.astype("float32"), verbose=0).argmax(-1) == labels).mean() > 0.95
    maps = grad_cam(model, images, batch_size=7)
    assert maps.shape == (30, SIZE, SIZE)
    assert maps.dtype == np.float32
    assert maps.min() == 0
    assert 0.9 < maps.max() <= 1  # 1 on the layer's map, which is coarser
    inside = maps[:, *QUADRANT].sum((1, 2)) / maps.sum((1, 2))
    assert inside.min() > 0.8


def tiny(activation=None, scale=1.0, top="dense"):
    """A convolution, global pooling and a classifier: Grad-CAM of its last map is a weighted sum of channels."""
    keras.utils.set_random_seed(3)
    image = keras.Input((6, 6, 2))
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="relu", name="map")(image))
    last = L.Dense(3, name="top", activation=activation if top == "dense" else None)
    x = last(x)
    if top != "dense":
        ends = {"activation": L.Activation("softmax"), "softmax": L.Softmax()}
        ends["operation, float32"] = lambda y: L.Activation("linear", dtype="float32")(keras.ops.softmax(y))
        x = ends[top](x)
    last.kernel.assign(scale * keras.ops.convert_to_numpy(last.kernel))
    return keras.Model(image, x)


def class_map(model, images, weights):
    """The class activation map of Zhou et al. 2016."""
    part = keras.Model(model.input, model.get_layer("map").output)
    maps = np.maximum(part.predict(images, verbose=0) @ weights, 0)
    return maps / np.maximum(maps.max((1, 2), keepdims=True), 1e-30)


@pytest.mark.backend
@pytest.mark.usefixtures("eagerly_once")
@pytest.mark.parametrize(
    "top", ["logits", "dense", "activation", "softmax", "operation, float32", "nested", "saturated"]
)
def test_equals_class_activation_maps(top):
    scale = 3000.0 if top == "saturated" else 1.0
    activation = None if top == "logits" else "softmax"
    model = tiny(activation, scale, "dense" if top in ("logits", "nested", "saturated") else top)
    weights = keras.ops.convert_to_numpy(model.get_layer("top").kernel)
    images = np.random.default_rng(0).normal(size=(5, 6, 6, 2)).astype("float32")
    outer = keras.Sequential([keras.Input((6, 6, 2)), model]) if top == "nested" else model
    before = outer.predict(images, verbose=0)
    for label in range(3):
        maps = grad_cam(outer, images, "map", label, upsample=False)
        np.testing.assert_allclose(maps, class_map(model, images, weights[:, label]), atol=1e-5)
    np.testing.assert_array_equal(outer.predict(images, verbose=0), before)
    each = grad_cam(outer, images, "map", [0, 1, 2, 1, 0], upsample=False)
    np.testing.assert_allclose(each[1], grad_cam(outer, images, "map", 1, upsample=False)[1], atol=1e-6)


@pytest.mark.backend
@pytest.mark.usefixtures("eagerly_once")
def test_where_the_softmax_cannot_be_left_out_its_logarithm_is_taken():
    class Wrapped(keras.Model):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return keras.ops.softmax(self.inner(x))

    inner = tiny()
    weights = keras.ops.convert_to_numpy(inner.get_layer("top").kernel)
    images = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")
    model = Wrapped(inner)
    model(images)
    maps = grad_cam(model, images, "map", 2, upsample=False)
    np.testing.assert_allclose(maps, class_map(inner, images, weights[:, 2] - weights.mean(1)), atol=1e-4)


@pytest.mark.usefixtures("eagerly_once")
def test_a_softmax_that_is_used_elsewhere_too_stays_switched_on():
    """Its second use is attention over the channels, so the maps are those of a model with two such layers."""

    def attentive(attention, end):
        keras.utils.set_random_seed(0)
        x = keras.Input((6, 6, 2))
        y = L.GlobalAveragePooling2D()(L.Conv2D(3, 3, activation="relu", name="map")(x))
        y = L.Multiply()([y, attention(L.Dense(3)(y))])
        return keras.Model(x, end(L.Dense(3)(y)))

    shared = L.Softmax()
    images = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")
    model, other = attentive(shared, shared), attentive(L.Softmax(), L.Activation(lambda x: keras.ops.softmax(x)))
    other.set_weights(model.get_weights())
    assert read_outputs(model).ending is None
    maps = grad_cam(model, images, "map", 1, upsample=False)
    logits = keras.Model(other.inputs, other.layers[-2].output)
    mean = keras.Model(logits.inputs, logits.output - keras.ops.mean(logits.output, axis=-1, keepdims=True))
    np.testing.assert_allclose(maps, grad_cam(mean, images, "map", 1, upsample=False), atol=1e-5)


def test_maps_with_channels_first_are_refused():
    model = keras.Sequential(
        [
            keras.Input((3, 8, 8)),
            L.Conv2D(4, 3, data_format="channels_first"),
            L.GlobalAveragePooling2D(data_format="channels_first"),
            L.Dense(2),
        ],
        name="first",
    )
    images = np.zeros((1, 3, 8, 8), "float32")
    for measure in (
        lambda: grad_cam(model, images),
        lambda: last_map(model, images),
        lambda: feature_maps(model, images, [model.layers[0]]),
        lambda: effective_field(model),
    ):
        with pytest.raises(InputError, match="model 'first' has layers with data_format='channels_first': maps are"):
            measure()


def test_default_layer():
    images = np.zeros((1, 28, 28, 1), "uint8")
    assert last_map(create_model("lenet4-max"), images) == "block4_conv_act"  # 5x5; later maps are 3x3 and 2x2
    assert last_map(create_model("lenet1-average"), images) == "block1_reduction_pool"
    small = keras.Sequential([keras.Input((5, 5, 1)), L.Conv2D(2, 3, name="three"), L.Conv2D(2, 2, name="two")])
    assert last_map(small, np.zeros((1, 5, 5, 1))) == "three"


def test_overlay_colours_where_the_map_is():
    for channels in (1, 3, 2):
        images = np.full((2, 8, 8, channels), 100, "uint8")
        maps = np.zeros((2, 4, 4), "float32")
        maps[:, 0, 0] = 1
        laid = overlay(images, maps)
        assert laid.shape == (2, 8, 8, 3)
        assert laid.dtype == np.uint8
        assert (laid[:, 4:, 4:] == 100).all()
        assert (laid[:, 0, 0, 0] > 150).all()
    floats = np.linspace(-1, 1, 64).reshape(1, 8, 8, 1)
    plain = overlay(floats, np.zeros((1, 8, 8)))
    assert (plain.min(), plain.max()) == (0, 255)
    with pytest.raises(InputError, match="as many maps"):
        overlay(images, maps[:1])


def test_figure_has_a_row_for_each_image_and_class():
    model, images = tiny(), np.random.default_rng(0).normal(size=(2, 6, 6, 2))
    figure = plot_grad_cam(model, images, ["map"], classes=[2, 0], class_names=["a", "b", "c"])
    assert len(figure.axes) == 8
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["for c", "for a", "for c", "for a"]
    assert len(plot_grad_cam(model, images).axes) == 4


CASES = {
    "unbuilt": (lambda: keras.Sequential([L.Conv2D(2, 3), L.Flatten(), L.Dense(2)]), {}, "is not built"),
    "no map": (lambda: keras.Sequential([keras.Input((6, 6, 2)), L.Flatten(), L.Dense(3)]), {}, "has no layer with"),
    "unknown layer": (tiny, {"layer": "mapp"}, "did you mean 'map'"),
    "layer without a map": (tiny, {"layer": "top"}, "'top' gives .3,. for an image"),
    "class out of range": (tiny, {"classes": 3}, "allowed are 0..2"),
    "negative class": (tiny, {"classes": -1}, "allowed are 0..2"),
    "classes of another number": (tiny, {"classes": [0, 1]}, "one for each of 3"),
    "no batch": (tiny, {"batch_size": 0}, "batch_size=0"),
    "wrong shape": (lambda: create_model("vgg08"), {}, "images must be one or more of shape"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_error(case):
    build, options, message = CASES[case]
    with pytest.raises(InputError, match=message):
        grad_cam(build(), np.zeros((3, 6, 6, 2)), **options)


def test_any_type_of_pixels_and_only_numbers_as_outputs():
    model, images = Custom(), patterned(2)[0]
    model.scale = L.Identity()
    model(images.astype("float32"))
    np.testing.assert_allclose(grad_cam(model, images), grad_cam(model, images.astype("float32")))
    assert len(plot_grad_cam(model, images, classes=1).axes) == 4
    with pytest.raises(InputError, match=r"class_names has 2 names, model .* gives 3 classes"):
        plot_grad_cam(model, images, class_names=["a", "b"])
    model.top.bias.assign(np.full(3, np.nan))
    with pytest.raises(InputError, match="outputs that are not finite for 2 of 2 images"):
        predicted(model, images)


def test_several_inputs_and_no_trainable_weights():
    a, b = keras.Input((6, 6, 2), name="a"), keras.Input((6, 6, 2), name="b")
    both = keras.Model([a, b], L.Add()([a, b]))
    with pytest.raises(InputError, match="several inputs"):
        grad_cam(both, np.zeros((3, 6, 6, 2)))
    frozen = tiny()
    frozen.trainable = False
    assert grad_cam(frozen, np.ones((3, 6, 6, 2))).shape == (3, 6, 6)
