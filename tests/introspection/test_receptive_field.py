"""Receptive fields equal those found by lighting up one input row or column at a time."""

import keras
import numpy as np
import pytest

from kzoo.diagnostics.receptive_field.effective import theoretical_fields
from kzoo.diagnostics.receptive_field.report_d import report_d_side
from kzoo.introspection.layer_table import layer_table
from kzoo.models import VGG, LeNet, ResNet, create_model, list_models

L = keras.layers
SIZE = 64


def ones(**options):
    return {"kernel_initializer": "ones", "use_bias": False, **options}


def reach(model, axis):
    """For each output position along an axis, the number of rows from the first to the last that change it."""
    size = model.input_shape[1 + axis]
    shape = (size, *model.input_shape[1:])
    lit = np.zeros(shape, "float32")
    for i in range(size):
        lit[(i, *([slice(None)] * axis), i)] = 1
    out = keras.ops.convert_to_numpy(model(lit, training=False))
    others = tuple(i for i in range(1, out.ndim) if i != 1 + axis)
    changed = np.abs(out).max(axis=others) > 0  # (input row, output row)
    return [np.ptp(np.flatnonzero(column)) + 1 for column in changed.T if column.any()]


def field(model):
    return layer_table(model).rows[-1].receptive_field


def stack(*layers, shape=(SIZE, SIZE, 1)):
    return keras.Sequential([keras.Input(shape), *layers])


def conv(size, **options):
    return L.Conv2D(1, size, **ones(**options))


STACKS = {
    "convolution": lambda: stack(conv((3, 5))),
    "dilated": lambda: stack(conv(3, dilation_rate=3, padding="same"), conv(3)),
    "strided, same": lambda: stack(conv(3, strides=2, padding="same"), conv(4, strides=3, padding="same"), conv(3)),
    "pooling": lambda: stack(conv(3), L.MaxPooling2D(3, 2), L.AveragePooling2D(2), conv(3)),
    "padding and cropping": lambda: stack(
        L.ZeroPadding2D(((1, 2), (0, 3))), conv(3, strides=2), L.Cropping2D(((1, 0), (2, 1))), conv(2)
    ),
    "separable and depthwise": lambda: stack(
        L.DepthwiseConv2D(3, depthwise_initializer="ones"),
        L.SeparableConv2D(1, 5, depthwise_initializer="ones", pointwise_initializer="ones"),
    ),
    "transposed": lambda: stack(conv(3, strides=4), L.Conv2DTranspose(1, 3, strides=2, **ones()), conv(3)),
    "transposed, same": lambda: stack(
        conv(2, strides=2), L.Conv2DTranspose(1, 4, strides=2, **ones(padding="same")), conv(2)
    ),
    "upsampling": lambda: stack(conv(3, strides=4), L.UpSampling2D(2), conv(3), conv(2)),
    "bilinear upsampling": lambda: stack(conv(2, strides=2), L.UpSampling2D(2, interpolation="bilinear"), conv(2)),
    "lanczos3": lambda: stack(conv(2, strides=2), L.UpSampling2D(2, interpolation="lanczos3")),
    "lanczos5": lambda: stack(conv(2, strides=2), L.UpSampling2D(2, interpolation="lanczos5")),
    "adaptive pooling": lambda: stack(conv(3), L.AdaptiveAveragePooling2D(9), conv(2)),
    "pointwise": lambda: stack(conv(3), L.BatchNormalization(), L.ReLU(), L.Dense(2, **ones()), L.Dropout(0.5)),
    "one axis": lambda: stack(L.Conv1D(1, 3, **ones(padding="causal")), L.MaxPooling1D(2), shape=(SIZE, 1)),
}


@pytest.mark.parametrize("name", STACKS)
def test_equals_what_lights_up(name):
    if name.startswith("lanczos") and keras.backend.backend() == "torch":
        pytest.skip("PyTorch cannot interpolate so")
    model = STACKS[name]()
    expected = tuple(max(reach(model, axis)) for axis in range(len(model.input_shape) - 2))
    assert field(model) == expected


def test_upsampling_where_the_size_is_open():
    def fields(size):
        model = stack(conv(3), L.MaxPooling2D(), L.UpSampling2D(2), conv(3), shape=(size, size, 1))
        return list(theoretical_fields(model).values())

    assert fields(None) == fields(SIZE)
    assert fields(None)[-1] == (6, 6)


def test_branches_meet_in_their_hull():
    image = keras.Input((SIZE, SIZE, 1))
    wide, narrow = conv((7, 3), padding="same")(image), conv((1, 5), padding="same")(image)
    shifted = L.Cropping2D(((4, 0), (0, 0)))(L.ZeroPadding2D(((0, 4), (0, 0)))(narrow))
    for join in (L.Add(), L.Concatenate(), L.Multiply()):
        assert field(keras.Model(image, join([wide, narrow]))) == (7, 5)
    assert field(keras.Model(image, wide + narrow)) == (7, 5)
    model = keras.Model(image, L.Add()([wide, shifted]))
    assert field(model) == (8, 5) == tuple(max(reach(model, axis)) for axis in (0, 1))


def ahead(x, rows=10):
    """Shift the map so that each pixel becomes the one `rows` further down and to the right."""
    x = L.ZeroPadding2D(((0, rows), (0, rows)))(x)
    return L.Cropping2D(((rows, 0), (rows, 0)))(x)


def every(step):
    return conv(1, strides=step)


# The start of a branch matters only next to another branch: here, one that looks ten rows ahead at the same rate.
BESIDE = {
    "strided, same": ((conv(3, strides=2, padding="same"),), (every(2),)),
    "by three, same": ((conv(4, strides=3, padding="same"),), (conv(1, strides=3, padding="same"),)),
    "even, same": ((conv(4, padding="same"),), ()),
    "dilated, same": ((conv(3, dilation_rate=3, padding="same"),), ()),
    "pooling, same": ((L.MaxPooling2D(3, 2, padding="same"),), (every(2),)),
    "padding": ((L.ZeroPadding2D(((3, 0), (2, 0))), L.Cropping2D(((0, 3), (0, 2)))), ()),
    "transposed": ((every(2), L.Conv2DTranspose(1, 2, strides=2, **ones())), ()),
    "transposed, same": ((every(2), L.Conv2DTranspose(1, 4, strides=2, **ones(padding="same"))), ()),
    "upsampling": ((every(4), L.UpSampling2D(4)), ()),
    "bilinear": ((every(2), L.UpSampling2D(2, interpolation="bilinear")), ()),
    "bilinear, by three": ((every(3), L.UpSampling2D(3, interpolation="bilinear")), ()),
    "bicubic": ((every(2), L.UpSampling2D(2, interpolation="bicubic")), ()),
    "adaptive": ((L.AdaptiveAveragePooling2D(9),), (L.AdaptiveAveragePooling2D(9),)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_where_a_branch_begins(name):
    enlarged = any(isinstance(layer, L.UpSampling2D | L.Conv2DTranspose) for layer in BESIDE[name][0])
    image = keras.Input((36, 36 if enlarged else 37, 1))  # "same" depends on whether a side is even
    branches = []
    for start, parts in zip((image, ahead(image)), BESIDE[name], strict=True):
        for layer in parts:
            start = type(layer).from_config(layer.get_config())(start)
        branches.append(start)
    model = keras.Model(image, L.Add()(branches))
    assert field(model) == tuple(max(reach(model, axis)) for axis in (0, 1))


def test_of_several_inputs_the_hull_counts():
    one, other = keras.Input((SIZE, SIZE, 1)), keras.Input((SIZE, SIZE, 1))
    later = conv((3, 1), padding="same")(other)
    for deeper in (L.Identity(), lambda x: L.ReLU()(L.ReLU()(L.ReLU()(x)))):  # then the other input comes first
        around = conv((3, 1), padding="same")(deeper(one))
        assert field(keras.Model([one, other], L.Add()([around, ahead(later)]))) == (13, 11)  # from -1 or 0 to 11 or 10


def test_channels_first():
    def made(order, axis):
        shape = (SIZE, SIZE, 4) if axis == -1 else (4, SIZE, SIZE)
        image = keras.Input(shape)
        x = L.Conv2D(4, (3, 5), strides=2, padding="same", data_format=order)(image)
        x = L.Concatenate(axis=axis)([L.BatchNormalization(axis=axis)(x), L.Softmax(axis=axis)(x)])
        x = L.ZeroPadding2D(1, data_format=order)(L.MaxPooling2D(2, data_format=order)(x))
        x = L.Conv2D(2, 3, data_format=order)(x)
        return [row.receptive_field for row in layer_table(keras.Model(image, L.Flatten()(x))).rows]

    fields = made("channels_first", 1)
    assert fields == made("channels_last", -1)
    assert fields[-3:] == [(5, 7), (13, 15), None]
    dense = keras.Sequential([keras.Input((4, SIZE, SIZE)), L.Conv2D(4, 3, data_format="channels_first"), L.Dense(2)])
    assert field(dense) is None  # along the columns of a map with channels first


def test_not_cut_off_at_the_border():
    assert field(stack(*(conv(3, padding="same") for _ in range(5)), shape=(4, 4, 1))) == (11, 11)


@pytest.mark.parametrize(
    "layer",
    [
        L.Flatten(),
        L.GlobalAveragePooling2D(),
        L.GlobalMaxPooling2D(keepdims=True),
        L.GroupNormalization(1),
        L.Softmax(axis=1),
        L.Permute((2, 1, 3)),
        L.Reshape((SIZE * SIZE, 1)),
        L.Reshape((SIZE // 2, 2 * SIZE, 1)),  # rows are joined in pairs, columns come from anywhere
        L.Resizing(16, 16),
    ],
)
def test_whole_input_or_unknown(layer):
    model = stack(conv(3), L.ZeroPadding2D(1), layer, L.ReLU())
    assert [row.receptive_field for row in layer_table(model).rows] == [(1, 1), (3, 3), (3, 3), None, None]


def test_squeeze_and_excitation_sees_the_whole_input():
    image = keras.Input((8, 8, 2))
    scale = L.Dense(2)(L.GlobalAveragePooling2D(keepdims=True)(image))
    assert field(keras.Model(image, L.Multiply()([image, scale]))) is None


def test_custom_layers_are_unknown_and_derived_ones_known():
    class Custom(keras.layers.Layer):
        def call(self, x):
            return x

    class Derived(L.Conv2D):
        pass

    assert field(stack(Custom())) is None
    assert field(stack(Derived(1, 3))) == (3, 3)


@pytest.mark.parametrize("reduction", ["average", "max", "strided", "space-to-depth"])
def test_vggs_with_every_reduction(reduction):
    model = VGG(blocks=1, reduction=reduction, include_top=False)
    size, jump = 3, 1
    for _ in range(3):
        size += 3 * 2 * jump  # two convolutions of the block, the first one of the reduction
        size += (3 - 1) * jump if reduction == "strided" else (2 - 1) * jump
        jump *= 2
        size += 0 if reduction == "strided" else 2 * jump
    assert field(model) == (size, size)


def test_resnet24():
    # conv1 of a strided block still sees the finer map
    size, jump = 3, 1
    for stage, blocks in enumerate((3, 3, 2, 3)):
        for block in range(blocks):
            size += 2 * jump
            jump *= 2 if stage and block == 0 else 1
            size += 2 * jump
    assert field(ResNet(include_top=False)) == (size, size)


@pytest.mark.parametrize(("reduction", "sizes"), [("dilated", (7, 15, 25, 37)), ("max", (4, 10, 22, 46))])
def test_lenets(reduction, sizes):
    for layers, size in enumerate(sizes, 1):
        assert field(LeNet(layers=layers, reduction=reduction, include_top=False)) == (size, size)


def positive(model):
    """The model with positive kernels, so that no two paths from a pixel to an output cancel."""
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        if weight.name == "kernel":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) / np.prod(weight.shape[:-1]))
    return model


def perturbed(model, size):
    """By layer, the box of the input pixels, lit one by one, that change the output's centre unit."""
    middle = size // 2
    lit = np.zeros((2, size, size, size, model.input_shape[-1]), "float32")
    for i in range(size):
        lit[0, i, i, middle] = lit[1, i, middle, i] = 1
    layers = [layer for layer in model.layers if len(layer.output.shape) == 4]
    outputs = keras.Model(model.input, [layer.output for layer in layers])(lit.reshape(-1, *lit.shape[2:]))
    boxes = {}
    for layer, output in zip(layers, map(keras.ops.convert_to_numpy, outputs), strict=True):
        centre = output[:, output.shape[1] // 2, output.shape[2] // 2].max(-1).reshape(2, size)
        boxes[layer.name] = tuple(int(np.ptp(np.flatnonzero(axis))) + 1 for axis in centre)
        assert not centre[:, [0, -1]].any()  # the input is large enough
    return boxes


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(
            pytest.param(name, {"filters": 2}, marks=() if name.startswith("lenet3") else pytest.mark.slow)
            for name in list_models("lenet*")
        ),
        pytest.param("resnet10", {}, marks=pytest.mark.slow),
    ],
)
def test_equals_what_perturbed_pixels_reach(name, options):
    size = 80 if options else 64
    model = create_model(name, include_top=False, input_shape=(size, size, 1), **options)
    exact = {row.name: row.receptive_field for row in layer_table(create_model(name)).rows}  # at the usual size
    fields = perturbed(positive(model), size)
    assert len(fields) >= 5
    assert fields == {layer: exact[layer] for layer in fields}


def test_report_d_formula():
    # The report's 9, 49 and 225 belong to dilations 1, 2 and 4 in sequence; its formula gives them for 0, 2 and 4.
    assert [report_d_side(rate) ** 2 for rate in (0, 2, 4)] == [9, 49, 225]
    exact = [field(LeNet(layers=layers, reduction="dilated", include_top=False))[0] for layers in (1, 2, 3, 4)]
    assert exact[0] == report_d_side(2) == 7
    assert all(side > report_d_side(rate) for side, rate in zip(exact[1:], (3, 4, 5), strict=True))


def test_classifier_has_none():
    rows = {row.name: row for row in layer_table(create_model("vgg38")).rows}
    assert rows["global_pool"].receptive_field is rows["predictions"].receptive_field is None
    assert rows["stage1_block1_conv1"].receptive_field == (5, 5)
