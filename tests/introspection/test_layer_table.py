"""The per-layer table: sizes, memory, parameters and multiply-adds of any Keras model."""

import json
import re

import keras
import numpy as np
import pytest

from kzoo.errors import InputError
from kzoo.introspection.layer_table import layer_table
from kzoo.models import VGG08, create_model

L, ops = keras.layers, keras.ops


def rows(model):
    return {row.name: row for row in layer_table(model).rows}


def test_first_rows_of_report_cs_table():
    table = rows(create_model("vgg-e"))
    expected = {
        "image": ((32, 32, 3), 0, 0),
        "stage1_conv1": ((32, 32, 64), (9 * 3 + 1) * 64, 32 * 32 * 9 * 3 * 64),
        "stage1_pool": ((16, 16, 64), 0, 0),
        "stage2_conv2": ((16, 16, 128), (9 * 128 + 1) * 128, 16 * 16 * 9 * 128 * 128),
        "hidden1": ((500,), 4097 * 500, 4096 * 500),
    }
    for name, (shape, parameters, multiply_adds) in expected.items():
        row = table[name]
        assert (row.output_shape, row.parameters, row.multiply_adds) == (shape, parameters, multiply_adds)
        assert row.activation_bytes == 4 * np.prod(shape)


def test_totals_are_the_models():
    model = VGG08(batch_norm=True)
    table = layer_table(model)
    assert table.parameters == model.count_params()
    assert table.trainable_parameters == 60_100
    assert table.multiply_adds == sum(row.multiply_adds for row in table.rows)
    assert [row.name for row in table.rows] == [layer.name for layer in model.layers]
    assert table.uncounted == ()


def test_frozen_layers_are_not_trainable():
    model = VGG08()
    model.get_layer("logits").trainable = False
    assert rows(model)["logits"].trainable_parameters == 0
    assert rows(model)["logits"].parameters == 3300


def test_plain_data():
    data = json.loads(json.dumps(layer_table(VGG08()).to_dict()))
    assert data["name"] == "vgg08"
    assert data["trainable_parameters"] == 59_716
    assert data["layers"][1] == {
        "name": "entry_conv",
        "type": "Conv2D",
        "output_shape": [32, 32, 32],
        "activation_bytes": 4 * 32**3,
        "parameters": 864,
        "trainable_parameters": 864,
        "multiply_adds": 864 * 32 * 32,
        "receptive_field": [3, 3],
    }


@pytest.mark.parametrize("name", ["vgg08", "vgg38-bn-res", "vgg-e", "resnet24", "lenet2-strided", "lenet4-dilated"])
def test_multiply_adds_are_half_of_pytorchs_flops(name):
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's flop counter")
    from torch.utils.flop_counter import FlopCounterMode

    from tests.models import torch_references as references

    reference = {
        "vgg08": lambda: references.ThinVGG(0, False, False),
        "vgg38-bn-res": lambda: references.ThinVGG(5, True, True),
        "vgg-e": lambda: references.ThreeStageVGG((2, 2, 4), False),
        "resnet24": lambda: references.BasicResNet((3, 3, 2, 3), (64, 128, 128, 256)),
        "lenet2-strided": lambda: references.ReducingLeNet(2, "strided"),
        "lenet4-dilated": lambda: references.ReducingLeNet(4, "dilated"),
    }[name]()
    model = create_model(name)
    height, width, channels = model.input_shape[1:]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        reference.eval()(torch.zeros(1, channels, height, width))
    assert layer_table(model).multiply_adds == counter.get_total_flops() / 2


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (lambda: L.Conv2D(8, 3, strides=2, padding="same"), 3 * 4 * 9 * 4 * 8),
        (lambda: L.Conv2D(8, 3, groups=2), 4 * 5 * 9 * 2 * 8),
        (lambda: L.DepthwiseConv2D(3, depth_multiplier=2), 4 * 5 * 9 * 8),
        (lambda: L.SeparableConv2D(8, 3, depth_multiplier=2), 4 * 5 * (9 * 8 + 8 * 8)),
        (lambda: L.Conv2DTranspose(8, 3, strides=2), 6 * 7 * 9 * 4 * 8),
        (lambda: L.Dense(5), 6 * 7 * 4 * 5),
        (lambda: L.EinsumDense("bhwc,cd->bhwd", (6, 7, 5)), 6 * 7 * 4 * 5),
        (lambda: L.BatchNormalization(), 0),
        (lambda: L.PReLU(), 0),
        (lambda: L.AveragePooling2D(2), 0),
    ],
)
def test_multiply_adds_of_each_kind(layer, count):
    table = layer_table(keras.Sequential([keras.Input((6, 7, 4)), layer()]))
    assert table.multiply_adds == count
    assert table.uncounted == ()


def test_layers_whose_work_cannot_be_counted_are_named():
    image = keras.Input((6, 4))
    x = L.MultiHeadAttention(2, 3, name="attention")(image, image)
    table = layer_table(keras.Model(image, L.LSTM(3, name="memory")(L.LayerNormalization()(x))))
    assert table.uncounted == ("attention", "memory")
    assert table.multiply_adds == 0
    assert repr(table).endswith("0 multiply-adds an image without those of attention, memory)")


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: ops.dot_product_attention(x, x, x),
        lambda x: ops.tensordot(x, np.ones((4, 2), "float32"), axes=1),
        lambda x: ops.conv(x, np.ones((3, 3, 4, 2), "float32")),
        lambda x: ops.depthwise_conv(x, np.ones((3, 3, 4, 1), "float32")),
        lambda x: ops.inner(x, np.ones((2, 4), "float32")),
        lambda x: ops.fft2((x, ops.zeros_like(x)))[0],
        lambda x: ops.vectorized_map(lambda image: ops.square(image), x),
    ],
)
def test_operations_whose_work_cannot_be_counted_are_named(operation):
    image = keras.Input((5, 6, 4))
    table = layer_table(keras.Model(image, operation(image) + 1.0))
    assert len(table.uncounted) == 1
    assert table.multiply_adds == 0


def test_shared_layers_work_twice_and_have_one_set_of_parameters():
    image = keras.Input((8, 8, 2))
    conv = L.Conv2D(2, 3, padding="same", name="conv")
    model = keras.Model(image, conv(conv(image)))
    table = layer_table(model)
    assert [row.name for row in table.rows[1:]] == ["conv", "conv"]
    assert table.parameters == model.count_params() == 38
    assert table.multiply_adds == 2 * 64 * 36
    assert [row.receptive_field for row in table.rows] == [(1, 1), (3, 3), (5, 5)]


def test_nested_models_are_unfolded():
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(4, 3, name="conv"), L.MaxPooling2D(name="pool")], name="body"
    )
    image = keras.Input((8, 8, 3), name="image")
    outer = keras.Model(image, L.Conv2D(2, 2, name="head")(inner(image)))
    wrapped = keras.Sequential([keras.Input((8, 8, 3), name="x"), outer], name="all")
    table = rows(wrapped)
    prefix = f"{outer.name}/"
    assert list(table) == ["x", f"{prefix}body/conv", f"{prefix}body/pool", f"{prefix}head"]
    assert [row.receptive_field for row in table.values()] == [(1, 1), (3, 3), (4, 4), (6, 6)]
    assert layer_table(wrapped).parameters == wrapped.count_params()


def test_half_precision_takes_half_the_memory():
    model = keras.Sequential([keras.Input((4, 4, 2)), L.Conv2D(3, 1, dtype="mixed_bfloat16")])
    assert layer_table(model).rows[1].activation_bytes == 4 * 4 * 3 * 2


def test_truth_values_take_a_byte_each():
    x = keras.Input((4, 4, 2))
    rows = layer_table(keras.Model(x, keras.ops.greater(x, 0))).rows
    assert [row.activation_bytes for row in rows] == [4 * 4 * 2 * 4, 4 * 4 * 2]


def test_open_sizes():
    model = VGG08(input_shape=(None, None, 3))
    with pytest.raises(InputError, match=r"'image' has output \?x\?x3: give an input_shape"):
        layer_table(model)
    for same in (model, keras.Model(model.inputs, model.outputs, name=model.name)):
        assert layer_table(same, (32, 32, 3)).to_dict() == layer_table(VGG08()).to_dict()
    for wrong in ((32, 32, 1), (32, 32), (2, 2, 3), 32):
        with pytest.raises(InputError, match=re.escape(f"input_shape={wrong}: model 'vgg08' ")):
            layer_table(model, wrong)


def test_models_without_a_graph():
    with pytest.raises(InputError, match="Sequential without an input shape"):
        layer_table(keras.Sequential([L.Dense(3)]))

    class Custom(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(InputError, match=r"'vgg08' is a text: give a model, such as kzoo\.create_model\('vgg08'\)"):
        layer_table("vgg08")
    with pytest.raises(InputError, match="no fixed graph"):
        layer_table(Custom())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "billions"),  # from their papers or torchvision's documentation
    [("DenseNet121", 2.85), ("EfficientNetB0", 0.39), ("ConvNeXtTiny", 4.46), ("Xception", 8.4), ("MobileNet", 0.569)],
)
def test_networks_of_keras_applications(name, billions):
    model = getattr(keras.applications, name)(weights=None)
    table = layer_table(model)
    assert table.parameters == model.count_params()
    assert table.multiply_adds == pytest.approx(billions * 1e9, rel=0.03)
    assert table.uncounted == ()


@pytest.mark.slow
def test_network_of_keras_applications_with_open_sizes():
    model = keras.applications.MobileNetV3Small(weights=None)
    with pytest.raises(InputError, match="give an input_shape"):
        layer_table(model)
    table = layer_table(model, (224, 224, 3))
    assert table.parameters == model.count_params()
    assert table.multiply_adds == pytest.approx(56e6, rel=0.05)


def test_normalization_over_several_axes_is_not_counted_like_any_other():
    several = keras.layers.LayerNormalization(axis=(1, 2, 3)), keras.layers.Normalization(axis=(1, 2, 3))
    table = layer_table(keras.Sequential([keras.Input((4, 4, 2)), *several]))
    assert (table.multiply_adds, table.uncounted) == (0, ())
