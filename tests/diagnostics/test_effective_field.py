"""Effective fields are exact if the gradient is known, and their support is the theoretical field."""

import json

import keras
import numpy as np
import pytest
from matplotlib.patches import Circle, Rectangle

from kzoo.diagnostics.receptive_field.effective import EffectiveField, effective_field, mean_field
from kzoo.diagnostics.receptive_field.lenet_plots import plot_lenet_fields
from kzoo.diagnostics.receptive_field.lenets import lenet_fields
from kzoo.diagnostics.receptive_field.plots import plot_effective_fields, plot_field_table
from kzoo.diagnostics.receptive_field.table import field_table
from kzoo.errors import InputError
from kzoo.models import create_model, list_models

L = keras.layers


def linear(*kernels, size=11):
    """Convolutions without bias or activation: for any image, the gradient is the convolution of the kernels."""
    model = keras.Sequential([keras.Input((size, size, 1)), *(L.Conv2D(1, 3, use_bias=False) for _ in kernels)])
    for layer, kernel in zip(model.layers, kernels, strict=True):
        layer.kernel.assign(np.asarray(kernel, "float32")[..., None, None])
    return model


def test_equals_the_kernel_of_a_linear_network():
    kernel = np.array([[1, -2, 3], [0, 5, -1], [2, 2, -4]])
    field = effective_field(linear(kernel))
    expected = np.zeros((11, 11))
    expected[4:7, 4:7] = np.abs(kernel) / 20
    np.testing.assert_allclose(field.map, expected, atol=1e-6)
    twice = effective_field(linear(np.ones((3, 3)), np.ones((3, 3))), count=3)
    triangle = np.array([1, 2, 3, 2, 1]) / 9
    middle = slice(twice.reached[0][0], twice.reached[0][1] + 1)
    np.testing.assert_allclose(twice.map[middle, middle], np.outer(triangle, triangle), atol=1e-6)
    assert twice.theoretical == twice.support == (5, 5)
    assert twice.deviation == pytest.approx(np.sqrt(4 / 3), rel=1e-5)
    assert (field.images, twice.images) == (32, 3)


def made(weights):
    return EffectiveField("m", "l", np.asarray(weights, float) / np.sum(weights), None, 1)


def test_extent_counted_by_hand():
    cross = np.zeros((7, 7))
    cross[3, 3], cross[3, 1], cross[3, 5], cross[1, 3], cross[5, 3] = 88, 3, 3, 3, 3
    field = made(cross)
    assert field.centre == pytest.approx((3, 3))
    assert field.radius == pytest.approx(2)  # the middle alone has 88%
    assert field.deviation == pytest.approx(np.sqrt(6 / 100 * 4))
    assert field.size == 1  # the arms have 3.4% of the middle
    assert (field.reached, field.support) == (((1, 5), (1, 5)), (5, 5))
    cross[3, 3] = 988
    assert made(cross).radius == pytest.approx(0)


@pytest.mark.parametrize("name", [name for name in list_models("lenet*") if "max" not in name])
def test_support_is_the_theoretical_field(name):
    # Max pooling passes the gradient to one pixel alone, so its support is smaller.
    model = create_model(name, filters=4)
    for weight in model.trainable_weights:
        weight.assign(np.full(weight.shape, 1 / np.prod(weight.shape[:-1])))
    last = [layer.name for layer in model.layers if "reduction" in layer.name][-1]
    field = effective_field(model, last, count=1, image_size=80)
    assert field.support == field.theoretical
    assert field.map.shape == (80, 80)


def test_image_size_keeps_the_weights_and_the_model():
    model = create_model("lenet1-dilated", filters=2)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:  # positive: no ReLU is off, so the gradient is the same everywhere
        weight.assign(rng.uniform(0.1, 1, weight.shape))
    small, large = (effective_field(model, "block1_reduction_conv", count=1, image_size=n) for n in (12, 20))
    assert small.theoretical == large.theoretical == (7, 7)
    assert small.support == large.support == (7, 7)
    cut = [field.map[slice(*(np.add(field.reached[0], (0, 1)))), slice(*(np.add(field.reached[1], (0, 1))))]
           for field in (small, large)]  # fmt: skip
    np.testing.assert_allclose(cut[0], cut[1], rtol=1e-4)
    assert model.input_shape == (None, 28, 28, 1)


def test_nested_models_and_custom_images():
    inner = linear([[0, 0, 0], [0, 0, 1], [0, 0, 0]])
    outer = keras.Sequential([keras.Input((11, 11, 1)), L.Rescaling(2.0), inner, L.Flatten(), L.Dense(2)])
    field = effective_field(outer, inner.layers[0].name, images=np.ones((2, 11, 11, 1)))
    assert field.layer == f"{inner.name}/{inner.layers[0].name}"
    assert field.theoretical == (3, 3)
    assert field.map[5, 6] == pytest.approx(1)
    assert effective_field(outer).map[5, 6] == pytest.approx(1)  # the last layer with a known field
    with pytest.raises(InputError, match="nested model"):
        effective_field(outer, field.layer, image_size=20)


def test_default_layer_is_a_layer_though_an_operation_follows():
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 3, name="conv")(image)
    x = keras.ops.relu(x + x)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    assert effective_field(model, count=1).layer == "conv"


def test_mean_of_several_draws():
    one, two = made(np.eye(3)), made(np.ones((3, 3)))
    mean = mean_field([one, two])
    np.testing.assert_allclose(mean.map, (one.map + two.map) / 2)
    assert mean.images == 2
    with pytest.raises(InputError, match="input size"):
        mean_field([one, made(np.eye(4))])


def test_table_has_exact_report_and_effective_fields():
    rows = field_table(create_model("lenet2-dilated"), count=1)
    by_name = {row.name: row for row in rows}
    assert by_name["block2_reduction_conv"].exact == (15, 15)
    assert by_name["block1_reduction_conv"].report_d == (7, 7)
    assert by_name["block2_reduction_conv"].report_d == pytest.approx((10.3137, 10.3137), abs=1e-4)
    assert by_name["block2_conv"].report_d is None
    assert by_name["block2_conv"].effective.radius < 7
    assert by_name["block2_conv_act"].effective is None
    assert "predictions" not in by_name
    pooled = {row.name: row for row in field_table(create_model("lenet2-average"), effective=False)}
    assert pooled["block2_reduction_pool"].exact == (10, 10)
    assert pooled["block2_reduction_pool"].report_d == (8, 8)  # pooling "does not change" it
    assert all(row.effective is None for row in pooled.values())
    shown = json.loads(json.dumps([row.to_dict() for row in rows]))
    assert len(shown) == len(rows)
    assert shown[0]["effective"].keys() == {"radius", "deviation", "size"}
    measured = [row.effective.layer for row in rows if row.effective is not None]
    shown = [axes.get_title().partition("\n")[2] for axes in plot_field_table(rows, at_most=3).axes]
    assert shown == [measured[0], measured[(len(measured) - 1) // 2], measured[-1]]
    with pytest.raises(InputError, match="none was measured"):
        plot_field_table(list(pooled.values()))


def test_lenets_side_by_side():
    fields = lenet_fields(layers=(1, 2), draws=2, count=1)
    assert [field.theoretical for field in fields["average"]] == [(4, 4), (10, 10)]
    assert [field.theoretical for field in fields["dilated"]] == [(7, 7), (15, 15)]
    assert all(field.support == field.theoretical for field in fields["dilated"])
    text = [axes.get_xlabel() for axes in plot_lenet_fields(fields, (1, 2)).axes]
    assert "exact 10x10" in text[1]
    assert "report d: 5x5, unchanged" in text[1]
    assert "exact 15x15" in text[3]
    assert "report d: 10.3x10.3 at rate 3" in text[3]
    assert [label.count("report d") for label in text[:2]] == [1, 1]

    # By default, the fields are those of one to four blocks. The report gives none for strides.
    text = [axes.get_xlabel() for axes in plot_lenet_fields({"dilated": fields["dilated"][:1] * 4}).axes]
    for label, rate, side in zip(text, (2, 3, 4, 5), ("7.0", "10.3", "15.0", "21.6"), strict=True):
        assert f"report d: {side}x{side} at rate {rate}" in label
    (axes,) = plot_lenet_fields({"strided": fields["average"][:1]}, (1,)).axes
    assert "report d" not in axes.get_xlabel()


def boxes(axes, kind):
    """Left, top, right and bottom, in pixels, of a panel's patches of one kind, in drawing order."""
    patches = [patch for patch in axes.patches if type(patch) is kind]
    return [
        np.array(patch.get_path().transformed(patch.get_patch_transform()).get_extents().extents) for patch in patches
    ]


def test_a_field_larger_than_the_image_is_seen_whole_with_the_images_border():
    field = EffectiveField("m", "l", np.full((10, 10), 0.01), (41, 21), 1)
    small = EffectiveField("m", "l", made(np.pad([[1.0]], 5)).map, (3, 3), 1)
    large, within = plot_effective_fields([field, small]).axes
    left, right = large.get_xlim()
    bottom, top = large.get_ylim()
    whole, border = boxes(large, Rectangle)
    assert (whole[2] - whole[0], whole[3] - whole[1]) == pytest.approx((21, 41))
    np.testing.assert_allclose(border, (-0.5, -0.5, 9.5, 9.5))
    (circle,) = boxes(large, Circle)
    for x0, y0, x1, y1 in (whole, border, circle):
        assert left < x0 < x1 < right
        assert top < y0 < y1 < bottom
    assert large.get_aspect() == 1
    assert "the image's border" in [text.get_text() for text in large.figure.legends[0].get_texts()]
    # If the field is within the image, the panel shows only the image.
    assert (*within.get_xlim(), *within.get_ylim()) == (-0.5, 10.5, 10.5, -0.5)
    assert len(boxes(within, Rectangle)) == 1
    assert len(plot_effective_fields([small]).legends[0].get_texts()) == 2


def test_the_table_of_a_deep_network_shows_its_fields_whole():
    convolutions = [L.Conv2D(1, 3, dilation_rate=rate, padding="same") for rate in (1, 4, 8)]
    rows = field_table(keras.Sequential([keras.Input((12, 12, 1)), *convolutions]), count=1)
    assert [row.exact for row in rows] == [(3, 3), (11, 11), (27, 27)]
    for axes, row in zip(plot_field_table(rows).axes, rows, strict=False):
        box = boxes(axes, Rectangle)[0]
        assert (box[2] - box[0], box[3] - box[1]) == pytest.approx(row.exact)
        for low, high, limits in ((box[0], box[2], axes.get_xlim()), (box[1], box[3], axes.get_ylim())):
            assert min(limits) <= low < high <= max(limits)
            assert min(limits) <= -0.5 < 11.5 <= max(limits)


CASES = {
    "unbuilt": (lambda: keras.Sequential([L.Conv2D(2, 3)]), {}, "not built"),
    "unknown layer": (lambda: linear(np.ones((3, 3))), {"layer": "conv"}, "unknown layer"),
    "no image": (lambda: linear(np.ones((3, 3))), {"count": 0}, "count=0"),
    "no size": (lambda: linear(np.ones((3, 3))), {"image_size": 0}, "image_size=0"),
    "too small": (lambda: linear(np.ones((3, 3))), {"image_size": 2}, "cannot take images of 2x2"),
    "both": (
        lambda: linear(np.ones((3, 3))),
        {"image_size": 20, "images": np.ones((1, 11, 11, 1))},
        "together with images",
    ),
    "wrong images": (lambda: linear(np.ones((3, 3))), {"images": np.ones((1, 5, 5, 1))}, "images must be"),
    "no map": (lambda: create_model("mlp"), {"layer": "flatten"}, "a map .height, width, channels. is needed"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_error(case):
    build, options, message = CASES[case]
    with pytest.raises(InputError, match=message):
        effective_field(build(), **options)
    with pytest.raises(InputError, match="fields is empty"):
        plot_effective_fields([])
