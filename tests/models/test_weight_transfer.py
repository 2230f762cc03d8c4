"""Weights are loaded class by class into the network that they belong to, and never silently into another one."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

import kzoo
from kzoo.errors import InputError
from kzoo.models import trained
from kzoo.models.structure import difference, structure
from kzoo.models.trained import load_file
from kzoo.models.weight_sets import PACKAGED
from kzoo.models.weight_transfer import Transfer, pixel_scaling, same_scaling, transfer

pytestmark = pytest.mark.usefixtures("eagerly")

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 1)).astype("float32")


def network(
    classes=3,
    scaling=(1 / 255, 0.0),
    prefix="",
    kernels=4,
    dropout=None,
    end="softmax",
    pool=layers.MaxPooling2D,
    extra=0,
    epsilon=1e-3,
    **conv,
):
    x = keras.Input((8, 8, 1))
    y = layers.Rescaling(*scaling)(x)
    conv = {"padding": "same", "activation": "relu", **conv}
    y = layers.Conv2D(kernels, 3, name=f"{prefix}conv1", **conv)(y)
    y = layers.BatchNormalization(name=f"{prefix}norm", epsilon=epsilon)(y)
    y = pool(2)(y)
    for i in range(extra):
        y = layers.Conv2D(kernels, 3, padding="same", name=f"{prefix}extra{i}")(y)
    if dropout:
        y = layers.Dropout(dropout)(y)
    y = layers.GlobalAveragePooling2D()(y)
    model = keras.Model(x, layers.Dense(classes, activation=end, name=f"{prefix}head")(y), name="net")
    rng = np.random.default_rng(classes + extra)
    model.set_weights([rng.uniform(0.1, 1, value.shape) for value in model.get_weights()])
    return model


def outputs(model):
    return np.asarray(model.predict_on_batch(IMAGES))


ALIKE = {
    "other names": {"prefix": "b_"},
    "dropout": {"dropout": 0.5},
    "logits": {"end": None},
}


@pytest.mark.parametrize("options", ALIKE.values(), ids=ALIKE)
def test_the_same_network_takes_them_all(options):
    trained, new = network(), network(**options)
    new.set_weights([value * 0 + 0.5 for value in new.get_weights()])
    done = transfer(trained, new, what="weights", source_names="abc", target_names="abc")
    assert (done.initialized, done.notes) == ([], [])
    assert len(done.taken) == 3
    expected = outputs(network(end=None) if "end" in options else trained)
    np.testing.assert_allclose(outputs(new), expected, rtol=1e-5)


OTHERS = {
    "stride": ({"strides": 2}, r"strides \[2, 2\] instead of \[1, 1\]"),
    "dilation": ({"dilation_rate": 2}, "dilation_rate"),
    "padding": ({"padding": "valid"}, "padding 'valid' instead of 'same'"),
    "pooling": ({"pool": layers.AveragePooling2D}, "AveragePooling2D instead of MaxPooling2D"),
    "activation": ({"activation": "elu"}, "activation 'elu' instead of 'relu'"),
    "slope": ({"activation": layers.LeakyReLU(negative_slope=0.3)}, "activation"),
    "kernels": ({"kernels": 5}, "filters 5 instead of 4"),
    "epsilon": ({"epsilon": 1e-5}, "epsilon 1e-05 instead of 0.001"),
    "no bias": ({"use_bias": False}, "use_bias False instead of True"),
    "one layer more": ({"extra": 1}, "Conv2D instead of GlobalAveragePooling2D"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_network_is_refused_both_ways(case):
    options, message = OTHERS[case]
    known, other = network(), network(**options)
    with pytest.raises(InputError, match=message):
        transfer(known, other, what="weights")
    before = known.get_weights()
    with pytest.raises(InputError, match="belong to another network than 'net'"):
        transfer(other, known, what="weights")
    assert all(map(np.array_equal, before, known.get_weights()))

    # The same for weight sets, which have outlines.
    assert trained.difference(known, trained.outline(other)) != ""
    assert trained.difference(other, trained.outline(known)) != ""


@pytest.mark.parametrize("names", ["cab", "ab", "abcd", "xcay", "bx"])
def test_classes_are_taken_by_name(names):
    trained, new = network(), network(len(names))
    initial = new.get_layer("head").get_weights()
    done = transfer(trained, new, what="weights", source_names="abc", target_names=names)
    kernel, bias = trained.get_layer("head").get_weights()
    for index, name in enumerate(names):
        of = (
            (kernel[:, "abc".index(name)], bias["abc".index(name)])
            if name in "abc"
            else (initial[0][:, index], initial[1][index])
        )
        np.testing.assert_array_equal(new.get_layer("head").get_weights()[0][:, index], of[0])
        assert new.get_layer("head").get_weights()[1][index] == of[1]
    fresh = [name for name in names if name not in "abc"]
    assert (
        f"{len(fresh)} classes that they do not know start from random weights ({', '.join(fresh)})" in done.line("w")
    ) == bool(fresh)


def test_classes_without_names_and_without_any_in_common():
    trained, same, fewer = network(), network(), network(2)
    assert "class names are missing" in transfer(trained, same, what="weights").line("w")
    done = transfer(trained, fewer, what="weights")
    assert done.initialized == ["head"]
    assert "they have 3 classes, so the classifier starts from random weights" in done.line("w")
    done = transfer(trained, network(), what="weights", source_names="abc", target_names="xyz")
    assert (done.taken, done.initialized) == (["conv1", "norm"], ["head"])
    one = network(1, end="sigmoid")
    assert transfer(one, network(1, end="sigmoid"), what="w", source_names="ab", target_names="ab").initialized == []
    done = transfer(one, network(1, end="sigmoid"), what="w", source_names="ab", target_names="ba")
    assert done.initialized == ["head"]


def test_layers_that_one_of_two_networks_has_at_its_end():
    def chain(*ends):
        return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="head"), *ends], name="net")

    short, long = chain(), chain(layers.ReLU(name="first"), layers.LeakyReLU(name="second"))
    with pytest.raises(InputError, match="it has a layer 'first' that they were not trained with"):
        transfer(short, long, what="weights")
    with pytest.raises(InputError, match=r"it lacks 2 of their layers \('first' and what follows\)"):
        transfer(long, short, what="weights")
    assert difference(structure(long), structure(short)) == "it has a layer 'first' that was not there"
    assert difference(structure(short), structure(long)) == "it lacks the layer 'first' and 1 more"
    other = chain(layers.ELU(name="third"))
    assert "layer 'first' (it was called 'third'), number 2, has" in difference(structure(long), structure(other))


def test_one_output_fits_no_classes_by_name():
    one, two = network(1, end="sigmoid"), network(2)
    for source, target in ((one, two), (two, one)):
        done = transfer(source, target, what="w", source_names="ab", target_names="ab")
        assert done.initialized == ["head"]
        assert done.notes == ["the classifier starts from random weights: one of the two has a single output"]
    # If the number of names differs from the number of outputs, they are ignored.
    done = transfer(network(), network(), what="w", source_names="ab", target_names="abc")
    assert done.notes == ["class names are missing, so the classes are taken in order"]


def test_more_than_four_names_are_shortened():
    done = Transfer(taken=list("abcde"), initialized=list("wxyz"), notes=["so it is"])
    assert done.line("s") == (
        "weights of s: 5 layers taken (a, b, c, d and 1 more), 4 start from random weights (w, x, y, z); so it is"
    )
    assert Transfer(taken=["a"]).line("s") == "weights of s: 1 layer taken"


def test_in_part_if_requested():
    trained, new = network(), network(extra=1)
    fresh = new.get_layer("extra0").get_weights()
    done = transfer(trained, new, what="weights", partial=True)
    assert (done.taken, done.initialized) == (["conv1", "norm", "head"], ["extra0"])
    assert done.line("'a.keras'").startswith(
        "weights of 'a.keras': 3 layers taken (conv1, norm, head), 1 start from random weights (extra0)"
    )
    np.testing.assert_array_equal(new.get_layer("conv1").get_weights()[0], trained.get_layer("conv1").get_weights()[0])
    np.testing.assert_array_equal(new.get_layer("extra0").get_weights()[0], fresh[0])

    # A layer with the same name but another computation is left out; other names are matched in order.
    assert "conv1" in transfer(trained, network(strides=2), what="weights", partial=True).initialized
    assert not any("position" in note for note in done.notes)
    done = transfer(trained, network(prefix="b_", extra=1), what="weights", partial=True)
    assert done.taken == ["b_conv1", "b_norm"]
    assert "matched by position" in done.line("s")
    with pytest.raises(InputError, match="no layer of 'net' fits them"):
        transfer(trained, network(prefix="b_", kernels=7, strides=2), what="weights", partial=True)


def test_a_file_of_exclusive_classes_does_not_fit_independent_labels(tmp_path):
    path = tmp_path / "exclusive.keras"
    network(end="softmax").save(path)
    with pytest.raises(InputError, match="they were trained with a softmax end, it has a sigmoids end"):
        load_file(network(end="sigmoid"), path, "exclusive.keras")
    load_file(network(end=None), path, "exclusive.keras")  # logits, from which the softmax can be computed


@pytest.mark.parametrize("partial", [False, True])
def test_layers_of_one_name_in_two_nested_models(partial):
    def tower(name):
        x = keras.Input((4,))
        return keras.Model(x, layers.Dense(3, name="dense")(x), name=name)

    def towers():
        x = keras.Input((4,))
        y = layers.Concatenate()([tower("left")(x), tower("right")(x)])
        return keras.Model(x, layers.Dense(2, name="head")(y), name="net")

    trained, new = towers(), towers()
    done = transfer(trained, new, what="weights", partial=partial)
    assert (done.taken, done.initialized) == (["left/dense", "right/dense", "head"], [])
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(new.predict(x, verbose=0), trained.predict(x, verbose=0))


def test_a_structure_knows_no_names_and_finds_constants():
    assert difference(structure(network(prefix="x")), structure(network())) == ""
    x = keras.Input((4,))
    once, twice = (keras.Model(x, layers.Dense(2, name="d")(x) * factor) for factor in (1.5, 2.5))
    assert "constants ['2.5'] instead of ['1.5']" in difference(structure(twice), structure(once))
    nested = keras.Sequential([keras.Input((8, 8, 1)), network()])
    assert [entry["class"] for entry in structure(nested)] == [entry["class"] for entry in structure(network())]
    branches = layers.Add()([layers.Dense(4, name="l")(x), layers.Dense(4, name="r", activation="relu")(x)])
    turned = layers.Add()([layers.Dense(4, name="r", activation="relu")(x), layers.Dense(4, name="l")(x)])
    assert difference(structure(keras.Model(x, turned)), structure(keras.Model(x, branches))) != ""


@pytest.mark.parametrize("ending", ["net.keras", "net.weights.h5"])
def test_files_with_layers_to_spare_are_refused(ending, tmp_path):
    options = {"classes": 10, "input_shape": (32, 32, 1)}
    larger, smaller = (kzoo.create_model(f"lenet{n}-max", **options) for n in (3, 2))
    path = str(tmp_path / ending)
    (larger.save if ending == "net.keras" else larger.save_weights)(path)
    with pytest.raises(InputError, match="another network than 'lenet2-max'"):
        kzoo.create_model("lenet2-max", weights=path, **options)
    assert kzoo.create_model("lenet3-max", weights=path, **options).count_params() == larger.count_params()
    assert smaller.name == "lenet2-max"


SCALINGS = {
    (1 / 127.5, -1.0): "times 0.007843 plus -1",
    (1.0, 0.0): "as they are",
    (0.02, (0.5,)): "times 0.02 plus 0.5",
    (0.02, 0.0): "times 0.02",
}


@pytest.mark.parametrize("damage", [(b"HEAP", b"PEAH"), (b"SNOD", b"DONS"), (b"TREE", b"EERT")])
def test_a_damaged_file_is_one_error(damage, tmp_path):
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    path = tmp_path / "net.weights.h5"
    model.save_weights(path)
    content = path.read_bytes()
    assert damage[0] in content
    path.write_bytes(content.replace(*damage))
    with pytest.raises(InputError, match=r"net\.weights\.h5'.*cannot be loaded into") as caught:
        load_file(model, path, str(path))
    assert "\n" not in str(caught.value)


def test_a_damaged_keras_file_is_one_error(tmp_path):
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    path = tmp_path / "net.keras"
    model.save(path)
    content = path.read_bytes()
    assert b'"config"' in content
    path.write_bytes(content.replace(b'"config"', b'"confix"'))  # the archive's checksum shows it
    with pytest.raises(InputError, match=r"net\.keras'.*cannot be loaded into"):
        load_file(model, path, str(path))


@pytest.mark.parametrize("scaling", SCALINGS)
def test_another_scaling_of_pixels_is_reported_and_where_nothing_is_trained_refused(scaling, tmp_path):
    note = f"they were trained with pixels {SCALINGS[scaling]}, 'net' takes pixels times 0.003922"
    done = transfer(network(scaling=scaling), network(), what="w", source_names="abc", target_names="abc")
    assert done.notes == [note]
    network(scaling=scaling).save(tmp_path / "net.keras")
    with pytest.raises(InputError, match=re.escape(note)):
        load_file(network(), tmp_path / "net.keras", "net.keras")


def test_the_same_scaling_written_otherwise_is_the_same():
    x = keras.Input((8, 8, 1))
    twice = layers.Rescaling(2.0)(layers.RandomFlip()(layers.Rescaling(1 / 510, offset=[0.0])(x)))
    one, other = (pixel_scaling(structure(model)) for model in (keras.Model(x, twice), network()))
    assert same_scaling(one, other)
    assert not same_scaling(one, pixel_scaling(structure(keras.Model(x, layers.Rescaling(0.5)(twice)))))


CONSTANTS = {
    "Rescaling within": lambda c: layers.Rescaling(c),
    "Rescaling's offset": lambda c: layers.Rescaling(1.0, offset=c),
    "Normalization's mean": lambda c: layers.Normalization(mean=[c] * 4, variance=[1.0] * 4),
    "Normalization's variance": lambda c: layers.Normalization(mean=[0.0] * 4, variance=[c] * 4),
    "LeakyReLU": lambda c: layers.LeakyReLU(negative_slope=c),
    "ELU": lambda c: layers.ELU(alpha=c),
    "ReLU": lambda c: layers.ReLU(max_value=c),
    "ReLU's threshold": lambda c: layers.ReLU(threshold=c),
    "BatchNormalization": lambda c: layers.BatchNormalization(epsilon=c),
    "LayerNormalization": lambda c: layers.LayerNormalization(epsilon=c),
    "ZeroPadding": lambda c: layers.ZeroPadding2D(int(10 * c)),
    "Cropping": lambda c: layers.Cropping2D(int(10 * c)),
    "Resizing": lambda c: layers.Resizing(8, 8, interpolation="bilinear" if c > 0.2 else "nearest"),
    "UpSampling": lambda c: layers.UpSampling2D(2, interpolation="bilinear" if c > 0.2 else "nearest"),
    "Activation": lambda c: layers.Activation(layers.LeakyReLU(negative_slope=c)),
    "GroupNormalization": lambda c: layers.GroupNormalization(2, epsilon=c),
}


@pytest.mark.parametrize("kind", CONSTANTS)
def test_constants_of_layers_distinguish_networks(kind, tmp_path):
    def made(constant):
        x = keras.Input((8, 8, 1))
        layer = CONSTANTS[kind](constant)
        layer.name = "constant"
        y = layer(layers.Conv2D(4, 3, padding="same", name="conv")(x))
        y = layers.GlobalAveragePooling2D(name="mean")(y)
        return keras.Model(x, layers.Dense(3, name="head")(y), name="net")

    one, same, other = made(0.1), made(0.1), made(0.3)
    for source, target in ((one, other), (other, one)):
        with pytest.raises(InputError, match="belong to another network than 'net'"):
            transfer(source, target, what="weights")
    transfer(one, same, what="weights")

    # The same for weight sets, which have outlines.
    assert trained.difference(other, trained.outline(one)) != ""
    assert trained.difference(same, trained.outline(one)) == ""


def plain(between):
    """A network whose layers Keras names with numbers that continue from model to model."""
    x = keras.Input((8, 8, 1))
    y = between(layers.Conv2D(4, 3, padding="same")(x))
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3)(y))), name="net")


def within(pool):
    inner = keras.Input((8, 8, 4))
    return keras.Model(inner, pool(2)(layers.Conv2D(4, 1)(inner)))


UNNAMED = {
    "pooling": (layers.MaxPooling2D(2), layers.AveragePooling2D(2)),
    "size": (layers.MaxPooling2D(2), layers.MaxPooling2D(2, strides=1, padding="same")),
    "activation": (layers.Activation("relu"), layers.Activation("tanh")),
    "one layer more": (layers.ReLU(), lambda y: layers.ReLU(max_value=0.1)(layers.ReLU()(y))),
    "none": (layers.ReLU(), lambda y: y),
    "operation": (lambda y: ops.max_pool(y, 2), lambda y: ops.average_pool(y, 2)),
    "constant": (lambda y: ops.relu(y * 0.5), lambda y: ops.relu(y * 0.25)),
    "within": (lambda y: within(layers.MaxPooling2D)(y), lambda y: within(layers.AveragePooling2D)(y)),
}


@pytest.mark.parametrize("case", UNNAMED)
def test_sets_of_networks_whose_layers_keras_names(case):
    one, same, other = (plain(UNNAMED[case][which]) for which in (0, 0, 1))
    assert [layer.name for layer in one.layers] != [layer.name for layer in same.layers]
    assert trained.difference(same, trained.outline(one)) == ""
    assert trained.difference(other, trained.outline(one)) != ""
    assert trained.difference(one, trained.outline(other)) != ""


def test_outlines_of_earlier_versions_had_no_operations_and_no_layers_of_models_within():
    for between in (lambda y: ops.relu(y), lambda y: within(layers.MaxPooling2D)(y)):
        model = plain(between)
        early = {name: line for name, line in trained.outline(model).items() if "/" not in name and "(" not in name}
        assert len(early) < len(trained.outline(model))
        assert trained.difference(plain(between), early) == ""


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("lenet2-max", "lenet3-max", "it lacks the layer 'block3_conv'"),
        ("lenet3-max", "lenet2-max", "it has a layer 'block3_conv'"),
        ("lenet1-average", "lenet1-max", "'AveragePooling2D'.* they were trained in .'MaxPooling2D'"),
        ("lenet1-dilated", "lenet2-max", "another network"),
        ("lenet1-strided", "lenet2-average", "another network"),
    ],
)
def test_packaged_sets_of_another_network(name, weights, message):
    with pytest.raises(InputError, match=message):
        kzoo.create_model(name, weights=str(PACKAGED / weights / "emnist"))


def test_outlines_of_earlier_versions_are_read():
    x = keras.Input((8, 8, 1))
    model = keras.Model(x, layers.Conv2D(2, 3, activation=layers.LeakyReLU(negative_slope=0.3), name="conv")(x))
    now = trained.outline(model)["conv"]
    assert now[1]["activation"] == ["LeakyReLU", {"negative_slope": 0.3}]
    before = ["Conv2D", {"strides": [1, 1], "padding": "valid", "activation": "LeakyReLU"}, now[2]]
    assert trained.difference(model, {"conv": before}) == ""
    assert trained.difference(model, {"conv": [*before[:1], {**before[1], "activation": "ELU"}, now[2]]})


def test_an_adapted_normalization_goes_along():
    def made():
        x = keras.Input((8, 8, 1))
        y = layers.GlobalAveragePooling2D()(layers.Normalization(name="norm")(x))
        return keras.Model(x, layers.Dense(3, name="head")(y), name="net")

    adapted, new = made(), made()
    adapted.get_layer("norm").adapt(IMAGES)
    transfer(adapted, new, what="weights")
    np.testing.assert_allclose(outputs(new), outputs(adapted), rtol=1e-5)


def test_files_of_another_pooling_or_dilation_are_refused(tmp_path):
    options = {"classes": 10, "input_shape": (32, 32, 1)}
    path = str(tmp_path / "net.keras")
    kzoo.create_model("lenet2-max", **options).save(path)
    with pytest.raises(InputError, match="AveragePooling2D instead of MaxPooling2D"):
        kzoo.create_model("lenet2-average", weights=path, **options)


def test_a_set_is_named_where_a_builder_was_looked_for():
    with pytest.raises(InputError, match="is a set of weights of model 'vgg08'"):
        kzoo.create_model("vgg08:cifar10")
    with pytest.raises(InputError, match=r"'emnist' is not one of its sets of weights .*vgg08:cifar10"):
        kzoo.create_model("vgg08:emnist")


def test_states_of_random_layers_are_not_weights(tmp_path):
    """A file of a network with dropout and augmentation also contains the states of their generators."""

    def small(*between):
        x = keras.Input((4, 4, 1))
        y = layers.Flatten()(layers.RandomFlip()(x))
        for layer in between:
            y = layer(y)
        return keras.Model(x, layers.Dense(3)(layers.Dropout(0.5)(y)))

    small().save_weights(tmp_path / "net.weights.h5")
    target = small()
    load_file(target, tmp_path / "net.weights.h5", "net")
    small(layers.Dense(16)).save_weights(tmp_path / "more.weights.h5")
    with pytest.raises(InputError, match="the file has 4 weights, the model 2"):
        load_file(small(), tmp_path / "more.weights.h5", "more")
