"""DenseNets: the published counts, equality with PyTorch, and the effect of every option."""

import keras
import numpy as np
import pytest

from kzoo.errors import InputError
from kzoo.models import DenseNet, create_model
from tests.harness import call, check_call, check_model, images, parameters, randomize


def small(**options):
    return DenseNet(**{"depth": 10, "growth_rate": 4, "input_shape": (8, 8, 3), "classes": 3, **options})


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "count"), [(10, 769_162), (100, 800_032)])
def test_published_counts(classes, count):
    assert parameters(create_model("densenet-bc-100-12", classes=classes)) == count


@pytest.mark.slow
def test_has_about_as_many_parameters_as_vgg38():
    model, peer = create_model("densenet-bc-40-16", classes=100), create_model("vgg38-bn-res")
    assert 0.9 < parameters(model) / parameters(peer) < 1.1


@pytest.mark.backend
@pytest.mark.parametrize("layers", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_logits_equal_pytorchs(layers):
    pytest.importorskip("torch", reason="the reference is a PyTorch network")
    from torch_references import MEAN, STD, BottleneckDenseNet, copy_weights, logits

    keras.utils.set_random_seed(3)
    options = {"depth": 6 * layers + 4, "classes": 10, "mean": MEAN, "std": STD}
    model = create_model("densenet-bc-40-16", classifier_activation=None, **options)
    randomize(model)
    reference = BottleneckDenseNet(layers, 16)
    copy_weights(model, reference)
    x = images(model, 3)
    ours = call(model, x)
    assert ours.std(axis=0).mean() > 0.01
    np.testing.assert_allclose(ours, logits(reference, x), atol=1e-4, rtol=1e-4)


@pytest.mark.backend
@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_small_network_passes_all_checks(bottleneck, tmp_path):
    check_model(lambda: small(bottleneck=bottleneck, dropout=0.2), tmp_path)


def test_published_count_of_forty_layers():
    """With 12 filters per layer and no bottleneck: 1.0 million in Huang et al.'s table 2."""
    model = create_model("densenet-bc-40-16", bottleneck=False, compression=1.0, growth_rate=12, classes=10)
    assert parameters(model) == 1_019_722


def test_channels_grow_and_transitions_compress():
    def width(name, **options):
        return small(**options).get_layer(name).output.shape[1:]

    assert width("stage1_layer1_concat") == (8, 8, 12)  # 2 x 4 from the stem, and 4
    assert width("stage1_layer1_bottleneck_conv") == (8, 8, 16)
    assert width("stage1_transition_pool") == (4, 4, 6)
    assert width("stage3_layer1_concat") == (2, 2, 9)
    plain = {"bottleneck": False, "compression": 1.0}
    assert width("stem_conv", **plain) == (8, 8, 16)
    assert width("stage1_layer2_concat", **plain) == (8, 8, 24)
    assert width("stage1_transition_pool", **plain) == (4, 4, 24)
    assert width("stage2_layer2_concat", stages=2, depth=11) == (4, 4, 16)


def test_dropout_follows_every_convolution_but_the_stem():
    names = [layer.name for layer in small(dropout=0.2, stages=2, depth=7).layers if "dropout" in layer.name]
    assert names == [
        "stage1_layer1_bottleneck_dropout", "stage1_layer1_dropout", "stage1_transition_dropout",
        "stage2_layer1_bottleneck_dropout", "stage2_layer1_dropout",
    ]  # fmt: skip
    assert not [layer for layer in small().layers if "dropout" in layer.name]


def test_any_size_and_activation():
    model = small(input_shape=(None, None, 1), activation="elu")
    assert isinstance(model.get_layer("final_act"), keras.layers.ELU)
    assert call(model, np.zeros((1, 9, 5, 1), "float32")).shape == (1, 3)
    check_call(small(stages=1, depth=6))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 20}, r"depth=20: .* 4 more than a multiple of 6, such as 16 or 22"),
        ({"depth": 4}, r"depth=4: .* such as 10 or 16"),
        ({"depth": 41, "bottleneck": False}, "multiple of 3, such as 40 or 43"),
        ({"compression": 0}, "compression=0: must be a number above 0, up to 1"),
        ({"compression": 1.5}, "compression=1.5"),
        ({"growth_rate": 0}, "growth_rate=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"stages": 0}, "stages=0"),
        ({"input_shape": (3, 3, 3)}, r"smallest that fits is \(4, 4, 3\)"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        small(**options)
