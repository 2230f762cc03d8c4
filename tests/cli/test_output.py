"""Printed output: names, paths and classes are unchanged, and outputs of any encoding work."""

import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from rich.table import Table

import kzoo
from kzoo.cli import main
from kzoo.cli.common import print_json
from kzoo.console import complain, plain_console
from kzoo.exporting.runtimes import Exported

CLASSES = ["[red]", "[/]", "na\u00efve \u2603"]
CHILD = """
import sys
from kzoo.cli import main
run = "runs [1]/[bold]x"
train = ["train", "mlp", "--dataset", "npz:data [1].npz", "--epochs", "1", "--set", "model_options.hidden=[4]"]
train += ["--directory", run]
commands = (
    train,
    train,
    ["evaluate", run], ["confusion", run], ["histograms", run], ["gradients", run], ["report", run],
    ["predict", run, "[a].png"],
    ["export", run, "--to", "savedmodel", "--output", "[b]"],
    ["predict", "[b]", "[a].png"],
    ["evaluate", "[bold]\\u2603"],
)
for words in commands:
    sys.argv = ["kzoo", *words]
    try:
        main()
    except SystemExit as error:
        print(words[0], "ends with", error.code or 0, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("encoding", [pytest.param("ascii", marks=pytest.mark.representative), "cp1252"])
def test_a_whole_run_on_an_output_that_is_not_utf_8(encoding):
    images = np.random.default_rng(0).integers(0, 255, (90, 8, 8, 1)).astype("uint8")
    np.savez("data [1].npz", images=images, labels=np.arange(90) % 3, class_names=CLASSES)
    Image.fromarray(images[0, :, :, 0]).save("[a].png")
    environment = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "0"}
    result = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, env=environment, timeout=300)
    out, errors = result.stdout.decode(encoding), result.stderr.decode(encoding)
    assert "Traceback" not in errors, errors
    ends = [line.rpartition(" ")[2] for line in out.splitlines() if " ends with " in line]
    assert ends == ["0"] * 10 + ["2"], out + errors
    assert "na?ve ?" in out if encoding == "ascii" else "na\u00efve ?" in out
    for text in ("[red]", "[/]", "[a].png: ", "runs [1]/[bold]x/result.json", "nothing was trained"):
        assert text in out, out
    assert "'[bold]\\u2603' is not a run" in errors


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_characters_that_the_output_cannot_encode_are_question_marks(encoding, monkeypatch):
    errors = {"stdout": "strict", "stderr": "backslashreplace"}  # as Python opens the streams
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding, errors=kind) for name, kind in errors.items()}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    plain_console().print("[red] na\u00efve \u2603")
    monkeypatch.setattr(sys, "argv", ["kzoo", "evaluate", "[bold]\u2603"])
    with pytest.raises(SystemExit) as caught:
        main()
    for stream in streams.values():
        stream.flush()
    out, errors = (stream.buffer.getvalue().decode(encoding) for stream in streams.values())
    assert out == ("[red] na?ve ?\n" if encoding == "ascii" else "[red] na\u00efve ?\n")
    assert caught.value.code == 2
    assert "'[bold]\\u2603' is not a run" in errors


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's device that is always full")
def test_an_output_that_is_full_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kzoo", "list", "vgg*", "--json"])
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "error: output cannot be written: No space left on device\n"


def test_an_inaccessible_directory_is_one_line(monkeypatch, capsys):
    def refused(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.is_file", refused)  # tests may run as root, who can read everything
    monkeypatch.setattr(sys, "argv", ["kzoo", "evaluate", "locked"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: 'locked/recipe.json': Permission denied\n"


def test_a_deleted_current_directory_is_one_line(monkeypatch, capsys, tmp_path):
    deleted = tmp_path / "gone"
    deleted.mkdir()
    monkeypatch.chdir(deleted)
    deleted.rmdir()
    monkeypatch.setattr(sys, "argv", ["kzoo", "list"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: the current directory no longer exists: change to another one\n"


def test_square_brackets_are_not_markup(capsys):
    console = plain_console(file=io.StringIO(), width=80)
    table = Table("[bold]column", title="[red]title")
    table.add_row("[/]")
    console.print("a [red]b[/red] :smile: [/]")
    console.print(table)
    text = console.file.getvalue()
    for part in ("a [red]b[/red] :smile: [/]", "[bold]column", "[red]title", "[/]"):
        assert part in text
    complain("error", "in [/x] [bold]y")
    assert capsys.readouterr().err == "error: in [/x] [bold]y\n"


def test_saved_model_below_a_path_with_brackets(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    (tmp_path / "a[1]").mkdir()
    path = tmp_path / "a[1]" / "model*"
    kzoo.export(model, path, "savedmodel")
    images = np.random.default_rng(0).integers(0, 255, (2, 4, 4, 1)).astype("float32")
    np.testing.assert_allclose(Exported(path)(images), model.predict(images, verbose=0), rtol=1e-4, atol=1e-3)


def test_rows_are_whole_lines_where_no_terminal_limits_them(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    code, text, _ = command("info", "lenet1-max")
    assert code == 0
    (row,) = [line for line in text.splitlines() if line.startswith("block1_reduction_pool")]
    assert row.split()[1:3] == ["MaxPooling2D", "15x15x32"]


def test_json_is_standard_json(capsys):
    print_json({"loss": [1.5, float("nan")], "range": (float("-inf"), 2), "name": "NaN"})
    text = capsys.readouterr().out
    assert json.loads(text, parse_constant=pytest.fail) == {"loss": [1.5, None], "range": [None, 2], "name": "NaN"}
