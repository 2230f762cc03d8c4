"""Command lines that are wrong: one clear line each, and nothing loaded for it."""

import subprocess
import sys

import pytest

ABSENT = "'{0}' is not a run: there is no such directory; it is the name of a {1}, and kzoo train {0} makes a run"
CASES = [
    (["train", "vgg08", "--lr", "0.1"], "no such option --lr: did you mean --learning-rate?"),
    (["train", "vgg08", "--bs", "3"], "no such option --bs: did you mean --batch-size?"),
    (["train", "vgg08", "--epoch", "3"], "no such option --epoch: did you mean --epochs?"),
    (["list", "--zzz"], "no such option --zzz: kzoo list has --recipes, --pretrained, --json, --help"),
    (["train", "vgg08", "--epochs", "1", "--epochs", "2"], "option --epochs is given twice"),
    (["train", "vgg08", "--epochs", "1", "--set", "epochs=2"], "epochs is given twice: 2 and 1"),
    (["study", "run", "rescue", "--seeds", "0", "--seeds", "1"], "option --seeds is given twice"),
    (["train"], "missing argument 'RECIPE' (see kzoo train --help)"),
    (["lst"], "no such command 'lst'"),
    (
        ["predict", "lenet1-max", "x.png"],
        ABSENT.format("lenet1-max", "model"),
    ),
    (
        ["resume", "rescue/bn"],
        ABSENT.format("rescue/bn", "recipe"),
    ),
    (["compare", "absent", "gone"], "'absent' is not a run: there is no such directory"),
    (["resume", "absent"], "'absent' is not a run: there is no such directory"),
    (["info", "rescue/bn"], "'rescue/bn' is a recipe, not a model; its model is 'vgg38-bn'"),
    (["predict", "absent.onnx", "x.png"], "file 'absent.onnx' does not exist"),
]


@pytest.mark.parametrize(("words", "message"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_one_line(command, words, message):
    code, out, errors = command(*words)
    assert (code, out) == (2, "")
    assert errors.startswith(f"error: {message}"), errors
    assert errors.count("\n") == 1


NAMES = """
import sys
from kzoo.cli import main
for words in {words}:
    sys.argv = ["kzoo", *words]
    try:
        main()
    except SystemExit as error:
        assert error.code == 2, words
print(sorted({{"keras", "tensorflow", "jax", "torch"}} & set(sys.modules)))
"""


def test_names_are_checked_before_keras_is_loaded():
    words = [
        ["train", "vgg39"],
        ["train", "vgg08", "--set", "lr=1"],
        ["train", "vgg08", "--dataset", "cifar11"],
        ["study", "run", "rescu"],
        *([name, "absent"] for name in ("resume", "evaluate", "doctor", "gradients", "confusion", "histograms")),
        *([name, "absent"] for name in ("calibration", "report", "diagram", "receptive-field", "info")),
        ["predict", "absent", "x.png"],
        ["explain", "absent", "x.png"],
        ["export", "absent", "--to", "onnx"],
        ["weights", "save", "absent"],
    ]
    result = subprocess.run([sys.executable, "-c", NAMES.format(words=words)], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stdout
    assert "Traceback" not in result.stderr


def test_the_nearest_run_is_named(command, tmp_path):
    place = tmp_path / "work" / "runs" / "default-vgg08-0123456789"
    place.mkdir(parents=True)
    (place / "recipe.json").write_text("{}")
    for given in ("default-vgg08-0123456789", "runs/default-vgg08-01234", "runs/defalt-vgg08-0123456789"):
        code, _, errors = command("evaluate", given)
        assert (code, "did you mean 'runs/default-vgg08-0123456789'?" in errors) == (2, True), errors
