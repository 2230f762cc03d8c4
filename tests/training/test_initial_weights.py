"""Weights that runs start from: whatever form they come in, they belong, or are refused."""

import sys
import warnings

import numpy as np
import pytest

import kzoo
from kzoo.errors import InputError
from kzoo.training.initial_weights import initial_weights_file, load_initial_weights
from kzoo.training.publishing import save_weights_set
from kzoo.training.saved_run import Run

SMALL = {"dataset": "digits", "train_size": 60, "batch_size": 60, "epochs": 1, "progress": False, "diagnostics": False}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run on five of the digits."""
    place = tmp_path_factory.mktemp("runs") / "source"
    return kzoo.train("vgg08-bn", directory=place, class_names=[0, 1, 2, 3, 4], **{**SMALL, "model_options.filters": 4})


def fresh(names="01234", **options):
    return kzoo.create_model(
        "vgg08-bn", classes=len(names), input_shape=(8, 8, 1), filters=4, mean=0.1, std=1.0, **options
    )


def same(one, other, but=()):
    return all(
        all(map(np.array_equal, layer.get_weights(), other.get_layer(layer.name).get_weights()))
        for layer in one.layers
        if layer.weights and layer.name not in but
    )


@pytest.mark.parametrize("form", ["directory", "best", "keras", "bare", "set", "set.json", "url"])
def test_every_form(form, source, tmp_path):
    forms = {"directory": source.directory, "best": source.directory / "best.weights.h5"}
    if form == "keras":
        forms[form] = kzoo.export(source, tmp_path / "net.keras", fold=False).path
    elif form == "bare":
        source.model.save_weights(tmp_path / "bare.weights.h5")
        forms[form] = tmp_path / "bare.weights.h5"
    elif form.startswith(("set", "url")):
        folder = save_weights_set(source, tmp_path / "sets" / "mine")
        forms |= {"set": folder, "set.json": folder / "set.json", "url": (folder / "set.json").as_uri()}
    model = fresh()
    done = load_initial_weights(model, str(forms[form]), class_names="01234")
    assert same(source.model, model)
    assert done.afresh == []
    assert bool(done.notes) == (form == "bare")

    # Two classes more, in another order: taken by name, except from a file that names nothing.
    model = fresh("43210ab")
    if form == "bare":
        with pytest.raises(InputError, match="cannot be"):
            load_initial_weights(model, str(forms[form]), class_names="43210ab")
        return
    done = load_initial_weights(model, str(forms[form]), class_names="43210ab")
    assert same(source.model, model, but=["logits"])
    kernel = source.model.get_layer("logits").get_weights()[0]
    np.testing.assert_array_equal(model.get_layer("logits").get_weights()[0][:, :5], kernel[:, ::-1])
    assert "2 classes that they do not know start afresh (a, b)" in done.line(form)


def test_accuracy_survives_another_order_of_classes(source):
    changes = {**SMALL, "model_options.filters": 4, "optimizer.learning_rate": 1e-12, "class_names": [4, 2, 0, 1, 3]}
    with pytest.warns(UserWarning, match="classes are taken by name"):
        run = kzoo.train("vgg08-bn", initial_weights=str(source.directory), **changes)
    part = source.part("test")
    own = source.model.predict(part.images, verbose=0)
    turned = run.model.predict(part.images, verbose=0)
    np.testing.assert_allclose(turned, own[:, [4, 2, 0, 1, 3]], atol=2e-3)


def test_partial_and_freeze(source):
    other = {**SMALL, "model_options.filters": 4, "class_names": [0, 1, 2, 3, 4]}
    begin = {"initial_weights": str(source.directory)}
    with pytest.raises(InputError, match="initial_weights_partial=true"):
        kzoo.train("vgg38-bn", **other, **begin)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = kzoo.train(
            "vgg38-bn", **other, **begin, initial_weights_partial=True, **{"optimizer.learning_rate": 1e-12}
        )
    assert any("15 layers taken (entry_conv, " in str(one.message) for one in caught)
    first = source.model.layers[2].name
    np.testing.assert_allclose(
        run.model.get_layer(first).get_weights()[0], source.model.get_layer(first).get_weights()[0], atol=1e-6
    )
    with pytest.raises(InputError, match="freeze: layer 'logits' would keep random weights"):
        kzoo.train("vgg38-bn", **{**other, "class_names": [7, 8]}, **begin, freeze=["logits"])


def test_frozen_layers_are_counted_and_the_card_names_the_weights(source, tmp_path):
    changes = {**SMALL, "model_options.filters": 4, "class_names": [0, 1, 2, 3, 4], "freeze": ["entry_conv"]}
    run = kzoo.train("vgg08-bn", initial_weights=str(source.directory), **changes)
    kernel = source.model.get_layer("entry_conv").count_params()
    assert run.result.all_parameters == source.result.parameters == run.result.parameters + kernel
    told = f"{source.result.parameters:,} parameters, {run.result.parameters:,} of them trained"
    assert run.result.parameters_in_words() == told
    card = (save_weights_set(run, tmp_path / "set") / "README.md").read_text()
    assert f"Training started from the weights `{source.directory}`" in card
    assert f"{run.result.parameters:,} of its {run.result.all_parameters:,} parameters were trained" in card
    assert "license" not in card


def test_names_that_are_no_file():
    with pytest.raises(InputError, match="did you mean the set 'vgg08:cifar10'"):
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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MaxPooling2D", "AveragePooling2D", "AveragePooling2D instead of MaxPooling2D"),
        ('"relu"', '"elu"', "activation 'elu' instead of 'relu'"),
        ('"conv")(x)', '"conv", dilation_rate=2)(x)', r"dilation_rate \[2, 2\] instead of \[1, 1\]"),
        ("Flatten()(y)", "Dropout(0.5)(keras.layers.Flatten()(y))", "Dropout instead of Dense"),
    ],
)
def test_a_builder_that_was_changed_since_is_refused(old, new, message, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"nets_{abs(hash(new))}"
    (tmp_path / f"{name}.py").write_text(BUILDER)
    recipe = kzoo.Recipe("own/net", model=f"{name}:net")
    run = kzoo.train(recipe, **SMALL)
    part = run.part("test").images[:8]
    expected = run.model.predict(part, verbose=0)
    np.testing.assert_allclose(Run(run.directory).model.predict(part, verbose=0), expected, atol=1e-6)

    (tmp_path / f"{name}.py").write_text(BUILDER.replace(old, new) + "\n" * len(new))
    del sys.modules[name]
    with pytest.raises(InputError, match=f"code of its model 'net' has changed since it began: .*{message}"):
        Run(run.directory).model  # noqa: B018
    with pytest.raises(InputError, match="has changed since"):
        kzoo.doctor(run.directory)

    # Runs made before structures were kept stay as they were.
    (run.directory / "structure.json").unlink()
    assert Run(run.directory).model.name == "net"
