"""Initial weights of runs, in any form: they fit the network, or are refused."""

import json
import shutil
import sys
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import kzoo
from kzoo.errors import InputError
from kzoo.training.build import seed_and_freeze
from kzoo.training.finding import initial_weights_file
from kzoo.training.initial_weights import begin_with_weights, load_initial_weights
from kzoo.training.publishing import save_weights_set
from kzoo.training.run import Run

pytestmark = pytest.mark.usefixtures("eagerly")

SMALL = {"dataset": "digits", "train_size": 60, "batch_size": 400, "epochs": 1, "progress": False, "diagnostics": False}
NET = {"filters": 4, "blocks": [0]}
OPTIONS = {f"model_options.{name}": value for name, value in NET.items()}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run on five of the digits."""
    directory = tmp_path_factory.mktemp("runs") / "source"
    return kzoo.train("vgg08-bn", directory=directory, class_names=[0, 1, 2, 3, 4], **SMALL, **OPTIONS)


@pytest.fixture(scope="module")
def published(source, tmp_path_factory):
    """The folder of a weight set made from that run."""
    return save_weights_set(source, tmp_path_factory.mktemp("sets") / "mine")


def fresh(names="01234", **options):
    return kzoo.create_model(
        "vgg08-bn", classes=len(names), input_shape=(8, 8, 1), mean=0.3053, std=0.3759, **NET, **options
    )


def same(one, other, but=()):
    return all(
        all(map(np.array_equal, layer.get_weights(), other.get_layer(layer.name).get_weights()))
        for layer in one.layers
        if layer.weights and layer.name not in but
    )


@pytest.mark.parametrize("form", ["directory", "best", "keras", "bare", "set", "set.json", "url"])
def test_every_form(form, source, tmp_path, request):
    forms = {"directory": source.directory, "best": source.directory / "best.weights.h5"}
    if form == "keras":
        forms[form] = kzoo.export(source, tmp_path / "net.keras", fold=False).path
    elif form == "bare":
        source.model.save_weights(tmp_path / "bare.weights.h5")
        forms[form] = tmp_path / "bare.weights.h5"
    elif form.startswith(("set", "url")):
        folder = request.getfixturevalue("published")
        forms |= {"set": folder, "set.json": folder / "set.json", "url": (folder / "set.json").as_uri()}
    model = fresh()
    done = load_initial_weights(model, str(forms[form]), class_names="01234")
    assert same(source.model, model)
    assert done.initialized == []
    assert bool(done.notes) == (form == "bare")

    # Two more classes, in another order: weights are taken by name, except from a file without names.
    model = fresh("43210ab")
    if form == "bare":
        with pytest.raises(InputError, match="cannot be"):
            load_initial_weights(model, str(forms[form]), class_names="43210ab")
        return
    done = load_initial_weights(model, str(forms[form]), class_names="43210ab")
    assert same(source.model, model, but=["logits"])
    kernel = source.model.get_layer("logits").get_weights()[0]
    np.testing.assert_array_equal(model.get_layer("logits").get_weights()[0][:, :5], kernel[:, ::-1])
    assert "2 classes that they do not know start from random weights (a, b)" in done.line(form)


def test_accuracy_survives_another_order_of_classes(source):
    changes = {**SMALL, **OPTIONS, "optimizer.learning_rate": 1e-12, "class_names": [4, 2, 0, 1, 3]}
    changes["freeze"] = ["*_bn"]  # otherwise, the epoch changes their moving averages
    with pytest.warns(UserWarning, match="classes are taken by name"):
        run = kzoo.train("vgg08-bn", initial_weights=str(source.directory), **changes)
    part = source.part("test")
    probabilities = source.model.predict(part.images, verbose=0)
    turned = run.model.predict(part.images, verbose=0)
    np.testing.assert_allclose(turned, probabilities[:, [4, 2, 0, 1, 3]], atol=1e-5)


def test_partial_and_freeze(source):
    """Another network has more layers; those of the same name and shape are used, if requested."""
    other = {**SMALL, **OPTIONS, "model_options.blocks": [1], "class_names": [0, 1, 2, 3, 4]}
    begin = {"initial_weights": str(source.directory)}
    with pytest.raises(InputError, match="initial_weights_partial=true"):
        kzoo.train("vgg08-bn", **other, **begin)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = kzoo.train(
            "vgg08-bn", **other, **begin, initial_weights_partial=True, **{"optimizer.learning_rate": 1e-12}
        )
    taken = sum(bool(layer.weights) for layer in source.model.layers)
    assert any(f"{taken} layers taken (entry_conv, " in str(one.message) for one in caught)
    first = source.model.layers[2].name
    np.testing.assert_allclose(
        run.model.get_layer(first).get_weights()[0], source.model.get_layer(first).get_weights()[0], atol=1e-6
    )
    with pytest.raises(InputError, match="freeze: layer 'logits' would keep random weights"):
        kzoo.train("vgg08-bn", **{**other, "class_names": [7, 8]}, **begin, freeze=["logits"])


def test_a_frozen_model_within_keeps_no_random_weights(tmp_path):
    def net(filters):
        x = image = keras.Input((8, 8, 1))
        within = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(filters, 3, name="deep")], name="within")
        x = within(keras.layers.Conv2D(2, 3, padding="same", name="first")(x))
        return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))

    net(4).save(tmp_path / "net.keras")
    recipe = kzoo.Recipe("a/b", model="mlp", initial_weights=str(tmp_path / "net.keras"), freeze=["within"])
    for filters in (4, 5):
        model = net(filters)
        seed_and_freeze(model, recipe)
        if filters == 4:
            with pytest.warns(UserWarning, match=r"2 layers taken \(first, deep\)"):
                begin_with_weights(model, recipe, "abc")
        else:
            with pytest.raises(InputError, match="freeze: layer 'deep' would keep random weights"):
                begin_with_weights(model, recipe, "abc")


def test_frozen_layers_are_counted_and_the_card_names_the_weights(source, tmp_path, command):
    changes = {**SMALL, **OPTIONS, "class_names": [0, 1, 2, 3, 4], "freeze": ["entry_conv"]}
    run = kzoo.train("vgg08-bn", initial_weights=str(source.directory), **changes)
    kernel = source.model.get_layer("entry_conv").count_params()
    assert run.result.all_parameters == source.result.parameters == run.result.parameters + kernel
    text = f"{source.result.parameters:,} parameters, {run.result.parameters:,} of them trained"
    assert run.result.parameters_in_words() == text
    assert text in command("resume", run.directory)[1]
    card = (save_weights_set(run, tmp_path / "set") / "README.md").read_text()
    assert f"Training started from the weights `{source.directory.name}`" in card
    assert f"{run.result.parameters:,} of its {run.result.all_parameters:,} parameters were trained" in card
    assert f"{run.result.all_parameters:,} parameters" in card
    assert f"{run.result.parameters:,} parameters" not in card
    assert "fine-tuned on one dataset" in card
    about = json.loads((tmp_path / "set" / "set.json").read_text())
    assert about["parameters"] == run.result.all_parameters
    assert "license" not in card


def test_names_that_are_not_files():
    with pytest.raises(InputError, match=r"did you mean the set .*'fastnet-s:cifar10' or 'vgg08:cifar10'"):
        initial_weights_file("cifar10")
    with pytest.raises(InputError, match="did you mean the set 'lenet1-max:emnist'"):
        initial_weights_file("lenet1-max")
    with pytest.raises(InputError, match=r"there is no file 'nothing'$"):
        initial_weights_file("nothing")


BUILDER = """
import keras
def net(classes, input_shape):
    x = keras.Input(input_shape)
    y = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    y = keras.layers.MaxPooling2D(2)(y)
    return keras.Model(x, keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(y)), name="net")
"""


BUILT = "nets_of_initial_weights"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A run of the builder above, and its network's outputs for a few images; tests copy it."""
    folder = tmp_path_factory.mktemp("built")
    (folder / f"{BUILT}.py").write_text(BUILDER)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        run = kzoo.train(kzoo.Recipe("own/net", model=f"{BUILT}:net"), directory=folder / "run", **SMALL)
    sys.modules.pop(BUILT)
    images = run.part("test").images[:8]
    return SimpleNamespace(directory=run.directory, images=images, expected=run.model.predict(images, verbose=0))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MaxPooling2D", "AveragePooling2D", "AveragePooling2D instead of MaxPooling2D"),
        ('"relu"', '"elu"', "activation 'elu' instead of 'relu'"),
        ('"conv")(x)', '"conv", dilation_rate=2)(x)', r"dilation_rate \[2, 2\] instead of \[1, 1\]"),
        ("Flatten()(y)", "Dropout(0.5)(keras.layers.Flatten()(y))", "Dropout instead of Dense"),
    ],
)
def test_a_builder_that_was_changed_since_is_refused(old, new, message, built, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, BUILT, raising=False)
    directory, part, expected = shutil.copytree(built.directory, tmp_path / "run"), built.images, built.expected
    (tmp_path / f"{BUILT}.py").write_text(BUILDER)
    np.testing.assert_allclose(Run(directory).model.predict(part, verbose=0), expected, atol=1e-6)

    (tmp_path / f"{BUILT}.py").write_text(BUILDER.replace(old, new) + "\n" * len(new))
    del sys.modules[BUILT]
    with pytest.raises(InputError, match=f"code of its model 'net' has changed since it began: .*{message}"):
        Run(directory).model  # noqa: B018
    with pytest.raises(InputError, match="has changed since"):
        kzoo.doctor(directory)

    # Runs from before structures were saved use the builder, as before.
    (directory / "structure.json").unlink()
    assert Run(directory).model.name == "net"
