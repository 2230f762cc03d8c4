"""The same command after code, data or callbacks have changed: the old result is never returned silently."""

import importlib
import json
import os
import shutil
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import kzoo
from kzoo.training import checkpoint
from kzoo.training.records import folder_name

pytestmark = pytest.mark.usefixtures("eagerly")

NETS = """
import keras

SCALE = 2.0
SEEN = {}  # filled by the code itself, more so in a process that builds the model twice

def helper(x):
    return x * 3.0

class Scaled(keras.layers.Layer):
    def call(self, x):
        SEEN[len(SEEN)] = str(x)
        return helper(x) * SCALE

def net(classes, input_shape):
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(Scaled()(keras.layers.Rescaling(1 / 255)(inputs)))
    x = keras.layers.Dense(8, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, kernel_initializer="he_normal")(x))

def images(data_dir):
    import numpy as np
    images = np.random.default_rng(1).integers(0, 255, (60, 8, 8, 1)).astype("uint8")
    return {"images": images, "labels": np.arange(60) % 3, "class_names": ["a", "b", "c"]}
"""
QUICK = {"epochs": 1, "batch_size": 60, "progress": False, "diagnostics": False}


def write_module(folder, text):
    """Write the module, so that the next import is as in a new process."""
    folder.mkdir(exist_ok=True)
    (folder / "nets_under_test.py").write_text(textwrap.dedent(text))
    sys.modules.pop("nets_under_test", None)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    importlib.invalidate_caches()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One run whose model and dataset are functions of a module; tests copy it."""
    folder = tmp_path_factory.mktemp("asked-again")
    write_module(folder / "code", NETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "code"))
        run = ask(folder / "run")
    sys.modules.pop("nets_under_test", None)
    return run.directory


@pytest.fixture
def there(trained, tmp_path, monkeypatch):
    """A copy of the run, with the unchanged module on the path."""
    write_module(tmp_path / "code", NETS)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    yield Path(shutil.copytree(trained, tmp_path / "run"))
    sys.modules.pop("nets_under_test", None)


def ask(directory, **changes):
    options = {"dataset": "nets_under_test:images", **QUICK, **changes}
    return kzoo.train("nets_under_test:net", directory=directory, **options)


def edit(tmp_path, before, after):
    assert before in NETS
    write_module(tmp_path / "code", NETS.replace(before, after))


def test_an_unchanged_run_is_reported_and_returned(there, tmp_path, command):
    # Other line numbers, a comment, a docstring and the numbers in Keras's names are not changes.
    edit(tmp_path, "    def call(self, x):\n", '    # A comment.\n    def call(self, x):\n        """A docstring."""\n')
    keras.layers.Dense(1)
    before = (there / "result.json").read_bytes()
    assert ask(there).result.epochs == 1
    words = ["train", "nets_under_test:net", "--dataset", "nets_under_test:images", "--epochs", 1, "--batch-size", 60]
    code, out, errors = command(*words, "--directory", there)
    assert (code, errors) == (0, "")
    assert "finished on 20" in out
    assert "nothing was trained; --fresh" in out
    assert (there / "result.json").read_bytes() == before


CHANGES = {
    "a layer's setting": ('activation="relu"', 'activation="tanh"', r"layer 'dense\w*' \(Dense\) differs"),
    "a layer more": (
        "keras.layers.Dense(8",
        "keras.layers.Dense(8)(x)\n    x = keras.layers.Dense(8",
        "7 layers, it had 6",
    ),
    "another layer": ("keras.layers.Flatten()", "keras.layers.GlobalAveragePooling2D()", "it was Flatten"),
    "an initializer": ("he_normal", "glorot_uniform", "differs"),
    "code of a layer": ("helper(x) * SCALE", "helper(x) + SCALE", "code of nets_under_test.Scaled has changed"),
    "a constant that it uses": ("SCALE = 2.0", "SCALE = 4.0", "because of the value of nets_under_test.SCALE, which"),
    "a function that it calls": ("x * 3.0", "x * 5.0", "code of nets_under_test.Scaled has changed"),
    "how layers are joined": ("(keras.layers.Rescaling(1 / 255)(inputs))", "(inputs)", "5 layers, it had 6"),
    "images of a dataset": ("default_rng(1)", "default_rng(2)", "other data"),
    "labels of a dataset": ("np.arange(60) % 3", "np.arange(60)[::-1] % 3", "other data"),
    "names of classes": ('["a", "b", "c"]', '["a", "x", "c"]', "other class names \\('x', it was 'b'\\)"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_changed_code_or_data_is_refused(there, tmp_path, what):
    before, after, message = CHANGES[what]
    edit(tmp_path, before, after)
    with pytest.raises(kzoo.InputError, match="is not what is asked for now") as caught:
        ask(there)
    assert caught.match(message)
    assert caught.match("--fresh")
    with pytest.raises(kzoo.InputError, match="is not what is asked for now"):
        kzoo.resume(there, progress=False)


def test_data_is_read_again_from_where_it_was(there, tmp_path):
    record = json.loads((there / "result.json").read_text())
    record["data"]["data_dir"] = "recorded"
    (there / "result.json").write_text(json.dumps(record))
    for data_dir, used in ((None, "recorded"), ("given", "given")):
        edit(tmp_path, "    import numpy as np\n", f"    import numpy as np\n    assert str(data_dir) == {used!r}\n")
        assert ask(there, data_dir=data_dir).result.epochs == 1


def test_the_default_directory_is_refused_too_and_fresh_trains_anew(there, tmp_path):
    record = kzoo.Run(there).result
    default = Path(shutil.copytree(there, Path("runs") / folder_name(record.name, record.digest)))
    first = ask(None)
    assert (first.directory, first.result) == (default, record)
    edit(tmp_path, 'activation="relu"', 'activation="tanh"')
    with pytest.raises(kzoo.InputError, match="--fresh"):
        ask(None)
    again = ask(None, fresh=True)
    assert again.directory.name == first.directory.name + "-2"
    assert again.model.layers[4].activation is keras.activations.tanh


def test_other_callbacks_are_refused(there, tmp_path):
    class Mine(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = epoch

    with pytest.raises(kzoo.InputError, match=r"other callbacks \(Mine\(\); it was trained with no callback\)"):
        ask(there, callbacks=[Mine()])
    with pytest.raises(kzoo.InputError, match="other callbacks"):
        kzoo.resume(there, progress=False, callbacks=[Mine()])

    stopper = keras.callbacks.EarlyStopping("val_accuracy", patience=3, min_delta=0.1)
    directory = tmp_path / "with"
    ask(directory, callbacks=[stopper])
    assert ask(directory, callbacks=[stopper]).result.epochs == 1  # the same object, changed by its training
    assert ask(directory, callbacks=[keras.callbacks.EarlyStopping("val_accuracy", patience=3, min_delta=0.1)])
    assert kzoo.resume(directory, progress=False).result.epochs == 1
    with pytest.raises(kzoo.InputError, match="patience=4"):
        ask(directory, callbacks=[keras.callbacks.EarlyStopping("val_accuracy", patience=4, min_delta=0.1)])
    with pytest.raises(kzoo.InputError, match="it was trained with EarlyStopping"):
        ask(directory)


def test_code_of_a_callback(there, tmp_path):
    def made(rate):
        return keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 * rate)

    directory = tmp_path / "scheduled"
    run = ask(directory, callbacks=[made(0.02)])
    assert run.history["learning_rate"] == [pytest.approx(0.01, rel=1e-6)]  # the used rate, not the recipe's 0.001
    assert ask(directory, callbacks=[made(0.02)]).result == run.result
    with pytest.raises(kzoo.InputError, match="other callbacks"):
        ask(directory, callbacks=[made(0.03)])
    with pytest.raises(kzoo.InputError, match="other callbacks"):
        ask(directory, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.01)])


def test_pictures_replaced_by_others_of_the_same_name_and_size(tmp_path):
    def draw(seed):
        for name in "ab":
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            for index in range(12):
                pixels = np.random.default_rng([seed, index, ord(name)]).integers(0, 255, (8, 8)).astype("uint8")
                Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.bmp")  # no compression: equal sizes

    def ask_folder():
        dataset = f"folder:{tmp_path / 'photos'}"
        return kzoo.train("mlp", dataset=dataset, directory="run", **{"model_options.hidden": [4]}, **QUICK)

    draw(0)
    run = ask_folder()
    assert ask_folder().result == run.result
    draw(1)
    with pytest.raises(kzoo.InputError, match="other data"):
        ask_folder()
    draw(0)
    assert ask_folder().result == run.result

    # Changed by a tool that keeps times, such as rsync and unzip.
    file = tmp_path / "photos" / "a" / "0.bmp"
    times = file.stat()
    Image.fromarray(np.full((8, 8), 7, "uint8")).save(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(kzoo.InputError, match="other data"):
        ask_folder()


def test_npz_with_other_pixels(tmp_path):
    def write(seed):
        images = np.random.default_rng(seed).integers(0, 255, (60, 8, 8, 1)).astype("uint8")
        np.savez(tmp_path / "data.npz", images=images, labels=np.arange(60) % 3)

    def ask_npz():
        dataset = f"npz:{tmp_path / 'data.npz'}"
        return kzoo.train("mlp", dataset=dataset, directory="run", **{"model_options.hidden": [4]}, **QUICK)

    write(0)
    first = ask_npz()
    assert ask_npz().result == first.result
    write(1)
    with pytest.raises(kzoo.InputError, match="other data"):
        ask_npz()


def test_functions_of_a_notebook(tmp_path, monkeypatch):
    """Names that a cell defines belong to `__main__`, and are defined again when the cell is run again."""
    import __main__

    def cell(units):
        def net(classes, input_shape):
            inputs = keras.Input(input_shape)
            x = keras.layers.Dense(units)(keras.layers.Flatten()(inputs))
            return keras.Model(inputs, keras.layers.Dense(classes)(x))

        net.__module__, net.__qualname__ = "__main__", "net"
        monkeypatch.setattr(__main__, "net", net, raising=False)
        return net

    options = {"dataset": "digits", "train_size": 60, "directory": "run", **QUICK, "batch_size": 400}
    cell(4)
    first = kzoo.train("__main__:net", **options)
    assert kzoo.train(cell(4), **options).result == first.result  # the function itself instead of its name
    cell(5)
    with pytest.raises(kzoo.InputError, match=r"layer 'dense\w*' \(Dense\) differs"):
        kzoo.train("__main__:net", **options)


def test_what_is_not_a_recipe_is_refused():
    def local(classes):
        raise AssertionError

    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)], name="mine")
    for recipe, message in (
        (local, "cannot be found by its name"),
        (lambda: model, "cannot be found by its name"),
        (model, "recipe is the model 'mine': give a recipe first"),
        (None, "not NoneType"),
        ({"model": "mlp"}, "not dict"),
    ):
        with pytest.raises(kzoo.InputError, match=message):
            kzoo.train(recipe, dataset="digits", progress=False)
    both = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    with pytest.raises(kzoo.InputError, match="must have one input to be trained on labelled images"):
        kzoo.train("mlp", model=keras.Model(both, keras.layers.Flatten()(both[0] + both[1])), progress=False)


def test_a_run_is_resumed_only_as_it_began(there, tmp_path):
    class Stop(keras.callbacks.Callback):
        def __init__(self, folder="a"):
            super().__init__()
            self.path = f"{folder}/log"

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0 and not Path("go on").exists():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask("cut", epochs=2, callbacks=[Stop()])
    edit(tmp_path, "x * 3.0", "x * 5.0")
    with pytest.raises(kzoo.InputError, match=r"code of nets_under_test\.Scaled has changed"):
        kzoo.resume("cut", progress=False, callbacks=[Stop()])
    edit(tmp_path, "x * 3.0", "x * 3.0")
    with pytest.raises(kzoo.InputError, match="other callbacks"):
        kzoo.resume("cut", progress=False, callbacks=[keras.callbacks.CSVLogger("log.csv")])

    # A mistake in a callback may have stopped the run, so its code can change, which is reported. Its attributes can
    # change too, except its arguments: a time differs for each object.
    Path("go on").touch()
    Stop.on_epoch_begin = lambda self, epoch, logs=None: None
    with pytest.warns(UserWarning, match="resumes with") as warned:
        assert kzoo.resume("cut", progress=False, callbacks=[Stop("b")]).result.epochs == 2
    texts = [str(one.message) for one in warned]
    assert any(
        "resumes with other callbacks (Stop(path='b/log'); it was trained with Stop(path='a/log'))" in t for t in texts
    )
    assert any("other code of callback Stop" in t for t in texts)

    # Now that the run is finished, other callbacks are an error.
    with pytest.raises(kzoo.InputError, match="other callbacks"):
        ask("cut", epochs=2, callbacks=[Stop("c")])


def test_runs_of_an_earlier_kzoo_cannot_be_checked(there):
    record = json.loads((there / "result.json").read_text())
    del record["origin"]
    (there / "result.json").write_text(json.dumps(record))
    with pytest.warns(UserWarning, match="whether its model changed since cannot be checked"):
        ask(there)
    # A run of a model of the zoo needs no check.
    small = {**QUICK, "train_size": 60, "batch_size": 400, "model_options.hidden": [4]}
    run = kzoo.train("mlp", dataset="digits", directory="zoo", **small)
    record = json.loads((run.directory / "result.json").read_text())
    assert record.pop("origin")["model"] is None
    (run.directory / "result.json").write_text(json.dumps(record))
    kzoo.resume("zoo", progress=False)


def test_initial_weights_of_unknown_origin(there, tmp_path):
    drawn = 'initializer="he_normal"', "initializer=keras.initializers.Constant(0.1)"
    edit(tmp_path, *drawn)
    ask("constant")
    # As if the builder loaded a file of weights.
    text = NETS.replace(*drawn).replace("    return keras.Model(inputs, ", "    model = keras.Model(inputs, ")
    loaded = "\n    model.layers[-2].set_weights([w + 0.5 for w in model.layers[-2].get_weights()])\n    return model\n"
    write_module(tmp_path / "code", text.replace("\n\ndef images", f"{loaded}\ndef images"))
    with pytest.raises(kzoo.InputError, match="other initial weights"):
        ask("constant")
    # Weights from an unseeded generator are distinguished from a change.
    text = NETS.replace("import keras\n", "import keras, os\n", 1)
    text = text.replace('"he_normal"', "keras.initializers.RandomNormal(seed=int.from_bytes(os.urandom(3), 'big'))")
    write_module(tmp_path / "code", text)
    ask("unseeded")
    with pytest.raises(kzoo.InputError, match="differs"):
        ask("unseeded")  # here, the layer's configuration itself has another seed


def test_custom_model_is_left_unchanged_and_the_same_call_finds_its_run(tmp_path):
    keras.utils.set_random_seed(3)
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dropout(0.1), keras.layers.Dense(10)]
    model = keras.Sequential(layers, name="mine")
    before = [value.copy() for value in model.get_weights()]
    small = {"dataset": "digits", "train_size": 60, "batch_size": 400, "epochs": 1, "normalization": "none"}
    recipe = kzoo.Recipe("mine/digits", model="mlp", **small)
    first = kzoo.train(recipe, model=model, progress=False, diagnostics=False)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(before[0], first.model.get_weights()[0])
    assert kzoo.train(recipe, model=model, progress=False).result == first.result
    assert [path.name for path in Path("runs").iterdir()] == [first.directory.name]

    # The model's own optimizer, loss and metrics are not used, which is reported.
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="is compiled: its optimizer, loss and metrics are not used"):
        kzoo.train(recipe, model=model, progress=False)
    # Another model with the same name is another run.
    model.layers[-1].set_weights([value + 1 for value in before])
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    with pytest.warns(UserWarning, match="is compiled"):
        assert kzoo.train(recipe, model=other, progress=False, diagnostics=False).directory != first.directory


def test_checkpoints_hold_what_the_run_is_made_of(there):
    last = checkpoint.load_latest(there / "checkpoint")
    assert [layer[1] for layer in last.state.origin["model"]["layers"]][:3] == ["InputLayer", "Rescaling", "Scaled"]
    assert last.state.origin["callbacks"] == []
