"""Wrong command lines: one clear line each, before anything is loaded."""

import json
import subprocess
import sys

import pytest

from kzoo.errors import InputError
from kzoo.training.finding import check_run

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
def test_wrong_command_lines_are_one_line(command, words, message):
    code, out, errors = command(*words)
    assert (code, out) == (2, "")
    assert errors.startswith(f"error: {message}"), errors
    assert errors.count("\n") == 1


HEAVY = ("keras", "tensorflow", "jax", "torch", "tensorflow_datasets", "sklearn", "scipy")
RUNS = ("resume", "evaluate", "gradients", "confusion", "histograms", "calibration", "weights save")
MISTYPED = {
    "train vgg8 --dataset digits": "unknown recipe 'vgg8': did you mean",
    "train vgg08 --lr 0.1": "no such option --lr: did you mean --learning-rate?",
    "train vgg08 --set optimzer.learning_rate=1": "unknown recipe field 'optimzer': did you mean 'optimizer'?",
    "train vgg08 --set optimizer=addam": "unknown optimizer 'addam': did you mean 'adam'?",
    "info nope": "unknown model 'nope'",
    "study run nope": "unknown study 'nope'",
    "study table nope": "unknown study 'nope'",
    "predict nope x.png": "'nope' is not a run: there is no such directory",
    "speed nope": "unknown model 'nope'",
    "doctor nope": "'nope' is not a run's directory",
    "study run rescu": "unknown study 'rescu': did you mean 'rescue'?",
    **{f"{name} nope": "'nope' is not a run: there is no such directory" for name in RUNS},
    **{f"{name} nope": "unknown model 'nope'" for name in ("diagram", "receptive-field")},
    "train nomod:net": "model 'nomod:net': there is no module 'nomod' on the Python path",
    "train vgg08 --set model=nomod:net": "model 'nomod:net': there is no module 'nomod' on the Python path",
    "train vgg08 --set model_options.droput=0.5": "unknown option of model 'vgg08' 'droput': did you mean 'dropout'?",
    "info vgg08 --set droput=0.5": "unknown option of model 'vgg08' 'droput': did you mean 'dropout'?",
}
"""Command lines with an unknown name, and the start of their error; none of them needs NumPy."""
ELSEWHERE = {
    "train vgg08:cifar10": "this is a set of weights of model 'vgg08'",
    "train vgg08 --dataset nomod:data": "dataset 'nomod:data': there is no module 'nomod' on the Python path",
    "train vgg08 --dataset folder:nowhere": "image folder 'nowhere' does not exist",
    "train vgg08 --dataset npz:nowhere.npz": "npz file 'nowhere.npz' does not exist",
    "train vgg08 --dataset tfds:nowhere": "dataset 'nowhere' is not in",
    "train vgg08 --dataset digits --weights cifar10": "or 'vgg08:cifar10'?",
    "evaluate vgg08:nope": "unknown weights of model 'vgg08' 'nope': allowed are",
    "evaluate vgg08:cifar100 --split tst": "part must be 'train', 'validation' or 'test', not 'tst'",
    "evaluate vgg08:cifar100 --tta flp": "unknown tta 'flp': did you mean 'flip'?",
    "predict vgg08:cifar100 nowhere.png": "cannot read image 'nowhere.png': there is no such file",
    "explain vgg08:cifar100 a.png b.png": "2 of 2 images cannot be read: 'a.png' (there is no such file), 'b.png'",
    "train vgg08 --dataset cifar11": "unknown dataset 'cifar11': did you mean 'cifar10'?",
    "explain nope x.png": "'nope' is not a run: there is no such directory",
    "export nope --to onnx": "'nope' is not a run: there is no such directory",
    "invariance nope": "'nope' is not a run: there is no such directory",
    "report nope": "'nope' is not a run: there is no such directory",
}
"""The same for command lines that load the reader of data or of weight sets."""


def test_a_mistyped_name_is_reported_before_keras_loads():
    code = (
        "import io, json, sys\n"
        "from contextlib import redirect_stderr\n"
        "from kzoo.cli import main\n"
        f"heavy, ends = {HEAVY!r}, []\n"
        "for line in json.loads(sys.stdin.read()):\n"
        "    sys.argv, said = ['kzoo', *line.split()], io.StringIO()\n"
        "    try:\n"
        "        with redirect_stderr(said):\n"
        "            main()\n"
        "    except SystemExit as end:\n"
        "        ends.append((end.code, said.getvalue(), [n for n in (*heavy, 'numpy', 'PIL') if n in sys.modules]))\n"
        "print(json.dumps(ends))"
    )
    lines = {**MISTYPED, **ELSEWHERE}
    result = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(list(lines)), capture_output=True, text=True, check=True
    )
    ends = json.loads(result.stdout.splitlines()[-1])
    for (line, error), (status, said, loaded) in zip(lines.items(), ends, strict=True):
        assert (line, status) == (line, 2)
        assert error in said, (line, said)
        assert not set(loaded) - ({"numpy", "scipy", "PIL"} if line in ELSEWHERE else set()), (line, loaded)


def test_the_nearest_run_is_named(command, tmp_path):
    directory = tmp_path / "work" / "runs" / "default-vgg08-0123456789"
    directory.mkdir(parents=True)
    (directory / "recipe.json").write_text("{}")
    for name in ("default-vgg08-0123456789", "runs/default-vgg08-01234", "runs/defalt-vgg08-0123456789"):
        code, _, errors = command("evaluate", name)
        assert (code, "did you mean 'runs/default-vgg08-0123456789'?" in errors) == (2, True), errors

    # Only a run with a similar name is suggested, not the first one of the list.
    for other in ("another", "zebra"):
        (tmp_path / "work" / "runs" / other).mkdir()
        (tmp_path / "work" / "runs" / other / "recipe.json").write_text("{}")
    for name, near in (("qqq", None), (".", None), ("zeb", "zebra"), ("anotter", "another")):
        with pytest.raises(InputError) as caught:
            check_run(name)
        meant = str(caught.value).partition("; did you mean ")[2]
        assert meant == ("" if near is None else f"'runs/{near}'?")


def test_a_tilde_that_the_shell_leaves_is_the_home_directory(command, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for words in (["--directory=~/there"], ["--directory", "~/there"]):
        code, _, errors = command("runs", *words)
        assert (code, f"'{tmp_path}/there' does not exist" in errors) == (2, True), errors
    code, _, errors = command("evaluate", "~/there")
    assert (code, f"'{tmp_path}/there' is not a run" in errors) == (2, True), errors
    code, _, errors = command("runs", "--directory=~nobody-of-that-name/x")
    assert (code, errors.count("\n"), "there is no such home directory" in errors) == (2, 1, True), errors
    code, _, errors = command("runs", "~*")  # a wildcard
    assert (code, "directory of runs 'runs' does not exist" in errors) == (2, True), errors
