"""The target of a command must exist and be of a kind that the command takes."""

from pathlib import Path

import pytest

from kzoo.errors import InputError
from kzoo.training.finding import check_target


@pytest.fixture
def there():
    for name in ("net.keras", "net.onnx", "net.tflite"):
        Path(name).write_text("")
    for name, file in (("run", "recipe.json"), ("saved", "saved_model.pb"), ("empty", "none")):
        Path(name).mkdir()
        (Path(name) / file).write_text("{}")


# Targets, and their errors in commands that take runs, that also take models, and that also take exported files.
@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("target", "plain", "names", "exported"),
    [
        ("run", None, None, None),
        ("net.keras", None, None, None),
        ("lenet1-max:emnist", None, None, None),
        ("net.onnx", "is not a run: it is a file", "is not a run|unknown", None),
        ("net.tflite", "is not a run: it is a file", "is not a run|unknown", None),
        ("saved", "is not a run: it has no recipe.json", "is not a run: it has no recipe.json", None),
        ("empty", *3 * ["is not a run: it has no recipe.json"]),
        ("lenet1-max", "it is the name of a model", None, "it is the name of a model"),
        ("gone.keras", *3 * ["file 'gone.keras' does not exist"]),
        ("GONE.KERAS", *3 * ["file 'GONE.KERAS' does not exist"]),
        ("gone.onnx", "no such directory", "unknown", "file 'gone.onnx' does not exist"),
        ("lenet1-max:emnost", *3 * ["unknown weights of model 'lenet1-max' 'emnost': did you mean 'emnist'"]),
        ("lenot1-max:emnist", "did you mean 'lenet1-max:emnist'", "there is no module", "did you mean"),
    ],
)
def test_targets(target, plain, names, exported):
    for wrong, options in ((plain, {}), (names, {"names": True}), (exported, {"exported": True})):
        if wrong is None:
            check_target(target, **options)
        else:
            with pytest.raises(InputError, match=wrong):
                check_target(target, **options)
