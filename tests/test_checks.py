"""Option values that are refused: each error names the option and the value."""

import json

import numpy as np
import pytest

from kzoo import checks
from kzoo.errors import InputError
from kzoo.models import MLP, VGG, VGG08, VGGADE, VGGE, LeNet, ResNet


def named(value):
    """A test's name, which is the same in every process: a function's name, or the value."""
    return getattr(value, "__name__", str(value)[:60])


BAD = [
    (VGG, {"reduction": "avg"}, "unknown reduction 'avg'.*average"),
    (VGG, {"shortcut": "pool"}, "unknown shortcut 'pool'.*pooled"),
    (VGG, {"blocks": -1}, "blocks=-1"),
    (VGG, {"blocks": "five"}, "blocks='five'"),
    (VGG, {"blocks": (1, 2.5)}, "blocks=2.5"),
    (VGG, {"kernel_size": 4}, "kernel_size=4.*odd"),
    (VGG, {"filters": 0}, "filters=0"),
    (VGG, {"filters": True}, "filters=True"),
    (VGG, {"entry_stride": 0}, "entry_stride=0"),
    (VGG, {"dropout": 1.0}, "dropout=1.0"),
    (VGG, {"activation": "leaky"}, "unknown activation 'leaky'.*leaky_relu"),
    (VGG, {"kernel_initializer": "he"}, "kernel_initializer='he'"),
    (VGG, {"kernel_initializer": 3}, "kernel_initializer=3"),
    (VGG, {"classes": 0}, "classes=0"),
    (VGG, {"pooling": "mean"}, "unknown pooling 'mean'"),
    (VGG, {"classifier_activation": "sofmax"}, "classifier_activation='sofmax'"),
    (VGG, {"mean": (0.5, 0.5, 0.5)}, "both or neither"),
    (VGG, {"mean": (0.5, 0.5), "std": (0.2, 0.2)}, "3 numbers are needed"),
    (VGG, {"mean": 0.5, "std": 0.0}, "std=0.0"),
    (VGG, {"mean": 125.3, "std": 0.25}, "mean=.*units of pixels / 255"),
    (VGG, {"mean": 0.5, "std": float("nan")}, "std=.*finite"),
    (VGG, {"blocks": (0,) * 13}, "even images of 4096 pixels"),
    (VGG, {"input_shape": 32}, "input_shape=32.*channels"),
    (VGG, {"input_shape": (32, 32)}, r"input_shape=\(32, 32\).*channels"),
    (VGG, {"input_shape": (32, 32, 0)}, "input_shape"),
    (VGG, {"weights": "cifar100"}, "weights='cifar100': a set's name is MODEL:TAG; there are .*fastnet-s:cifar10, "),
    (VGG, {"weights": "no/where"}, "weights='no/where': there is no readable 'no/where/set.json'"),
    (VGG, {"input_tensor": 3}, "input_tensor"),
    (VGG08, {"weights": "cifar100", "input_shape": (32, 32, 1)}, r"input_shape=\(32, 32, 1\): .* for 3 channels"),
    (VGGADE, {"convs": (1, 1)}, "one number per stage"),
    (VGGADE, {"convs": ()}, "one number per stage"),
    (VGGE, {"stages": 5}, "stages=5.*4 stages"),
    (VGGE, {"stages": 0}, "stages=0"),
    (VGGE, {"pooling_type": "min"}, "unknown pooling_type 'min'"),
    (VGGE, {"dropout_placement": "pool"}, "unknown dropout_placement 'pool'.*pools"),
    (VGGE, {"hidden": 500}, "hidden=500"),
    (VGGE, {"input_shape": (None, None, 3)}, "fixed height and width"),
    (ResNet, {"block_order": "preactivation"}, "unknown block_order"),
    (ResNet, {"blocks": (1, 1)}, "one number per stage"),
    (ResNet, {"kernel_size": (3, 3)}, "4 numbers are needed"),
    (ResNet, {"shortcut_kernel_size": 2}, "shortcut_kernel_size=2.*odd"),
    (LeNet, {"layers": 0}, "layers=0"),
    (LeNet, {"reduction": "dilate"}, "unknown reduction 'dilate'.*dilated"),
    (MLP, {"hidden": (0,)}, "hidden=0"),
    (MLP, {"include_top": False, "pooling": "avg"}, "nothing to pool"),
]


@pytest.mark.parametrize(("builder", "options", "message"), BAD, ids=named)
def test_refused(builder, options, message):
    with pytest.raises(InputError, match=message):
        builder(**options)


@pytest.mark.parametrize(
    ("check", "allowed", "refused"),
    [
        (checks.whole, [1, np.int8(3)], [0, -1, 1.5, True, "1", None]),
        (lambda option, value: checks.whole(option, value, 0), [0, 2], [-1]),
        (checks.positive, [1e-9, 3, np.float32(0.5)], [0, -1.0, True, float("inf"), float("nan"), "1"]),
        (checks.odd, [1, 3], [0, 2, 4, 1.0]),
        (checks.rate, [0, 0.99], [1, 1.0, -0.1, False, float("nan"), "0"]),
    ],
    ids=["whole", "from 0", "positive", "odd", "rate"],
)
def test_bounds_of_numbers(check, allowed, refused):
    assert [check("width", value) for value in allowed] == allowed
    for value in refused:
        with pytest.raises(InputError, match="width="):
            check("width", value)


def test_sequences_of_numbers():
    assert checks.several("width", 3, 2) == (3, 3)
    assert checks.several("width", [1, 2]) == checks.several("width", (1, 2), 2) == (1, 2)
    assert checks.several("width", []) == ()
    for value, length in ((3, None), ("12", 2), ([1, 2], 3), ([1, 0], 2), ({1, 2}, 2)):
        with pytest.raises(InputError, match="width="):
            checks.several("width", value, length)
    checks.of_unit_pixels("mean", [0.0, 1.0])
    for wrong in (1.01, [0.5, 2]):
        with pytest.raises(InputError, match="divide values for 0-255 by 255"):
            checks.of_unit_pixels("mean", wrong)


def test_numbers_of_numpy_are_numbers():
    model = LeNet(
        classes=np.int64(3),
        layers=np.int32(1),
        mean=np.float32(0.5),
        std=np.float32(0.25),
        input_shape=np.array([8, 8, 1]),
    )
    assert model.output_shape == (None, 3)
    json.dumps(model.get_config())
    assert VGG(blocks=np.int64(0)).count_params() == VGG(blocks=0).count_params()


SMALLEST = [
    (VGG, {"blocks": 0}, 8),
    (VGG, {"blocks": (0, 0)}, 4),
    (VGG, {"blocks": 0, "entry_stride": 2}, 15),
    (VGG, {"blocks": 0, "entry_stride": 3, "kernel_size": 5}, 22),
    (VGG, {"blocks": 0, "reduction": "max", "shortcut": "pooled"}, 8),
    (VGG, {"blocks": 0, "reduction": "space-to-depth"}, 8),
    (VGG, {"blocks": 0, "reduction": "strided"}, 1),
    (VGGADE, {"convs": (1, 1, 1)}, 8),
    (VGGADE, {"convs": (1, 1, 1, 1), "filters": (8, 8, 8, 8)}, 16),
    (ResNet, {"blocks": (1, 1), "channels": (8, 8)}, 1),
    (LeNet, {"layers": 4, "reduction": "max"}, 1),
    (LeNet, {"layers": 3, "reduction": "strided"}, 1),
    (LeNet, {"layers": 1, "reduction": "dilated"}, 3),
    (LeNet, {"layers": 2, "reduction": "dilated"}, 7),
    (LeNet, {"layers": 3, "reduction": "dilated"}, 13),
    (LeNet, {"layers": 4, "reduction": "dilated"}, 21),
    (MLP, {}, 1),
]


@pytest.mark.parametrize(("builder", "options", "smallest"), SMALLEST, ids=named)
def test_smallest_image_fits_and_a_smaller_one_is_refused(builder, options, smallest):
    model = builder(**options, input_shape=(smallest, smallest + 1, 2), classes=3)
    assert model.output_shape == (None, 3)
    if smallest > 1:
        message = rf"too small for this network; the smallest that fits is \({smallest}, {smallest}, 2\)"
        with pytest.raises(InputError, match=message):
            builder(**options, input_shape=(smallest + 1, smallest - 1, 2), classes=3)
