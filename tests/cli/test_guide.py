"""Help in groups, its examples, the shorthands of `train`, and the line that names the next step."""

import contextlib
import importlib
import inspect
import json
import operator
import shlex
import types
from pathlib import Path

import pytest
import typer
from rich.text import Text

from kzoo import __version__
from kzoo.cli import app, guide
from kzoo.cli.parsing import Command

ROOT = typer.main.get_command(app)
SEARCH = Path(__file__).parents[2] / "tuning" / "vgg38_learning_rate.py"


def commands(group=ROOT, prefix=""):
    """Yield the full name of every command, and the command."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield prefix + name, command
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


@pytest.fixture(autouse=True)
def nothing_passed_on(monkeypatch):
    """Clear what the last command passed on: for a user, each command is a separate process."""
    monkeypatch.setattr(guide, "passed_on", [])


def test_every_command_is_in_a_group_and_has_examples():
    there = [name for name, _ in commands()]
    placed = {name for _, name, _ in guide.entries()}
    assert set(there) == placed, f"give {sorted(set(there) ^ placed)} a place in kzoo/cli/guide.py"
    assert ROOT.list_commands(None)[:2] == ["train", "resume"]
    for _, name, entry in guide.entries():
        assert entry.examples, name
        for line in (*entry.examples, entry.next):
            assert len(line) < 79


@pytest.mark.parametrize(("name", "entry"), [(name, entry) for _, name, entry in guide.entries()])
def test_examples_can_be_typed(name, entry):
    command = dict(commands())[name]
    for line in entry.examples:
        words = shlex.split(line)
        assert words[: 1 + len(name.split())] == ["kzoo", *name.split()]
        context = typer.Context(command)
        arguments, _, _ = command.make_parser(context).parse_args(words[1 + len(name.split()) :])
        for parameter in command.params:
            assert not parameter.required or arguments.get(parameter.name), (line, parameter.name)


@pytest.mark.parametrize("words", [("-h",), ("train", "-h"), ("study", "run", "-h"), ("weights", "--help")])
def test_help(words, command):
    code, text, errors = command(*words)
    assert (code, errors) == (0, "")
    assert "Usage: kzoo" in text
    if words == ("-h",):
        positions = [text.index(group) for group in guide.GUIDE]
        assert positions == sorted(positions)
        assert text.index("│ train ") < text.index("│ runs ") < text.index("│ list ")
    elif words[0] == "train":
        assert "kzoo train vgg08-bn --dataset digits --epochs 5" in text
        assert "(the recipe's)" in text


@pytest.mark.parametrize(("name", "known"), [pytest.param(*item, id=item[0]) for item in commands()])
def test_markup_swallows_no_words_of_the_help(name, known):
    for text in (known.help, *(getattr(parameter, "help", None) for parameter in known.params)):
        assert Text.from_markup(text or "").plain == (text or "").rstrip("\n"), name


def test_version(command):
    assert command("--version") == (0, f"kzoo {__version__}\n", "")


@pytest.mark.usefixtures("eagerly_once")
def test_shorthands_are_fields_of_the_recipe(command):
    words = ["--learning-rate", "0.5", "--image-size", 28, "--train-size", 64, "--freeze", "block1_c*,block1_conv"]
    weights = ["--weights", "lenet1-max:emnist", "--dataset", "digits", "--epochs", 1, "--no-diagnostics"]
    parts = ["--set", "split.validation=20", "--set", "split.test=20"]
    code, _, errors = command("train", "lenet1-max", *words, *weights, *parts, "--directory", "run")
    assert code == 0, errors
    with open("run/recipe.json", encoding="utf-8") as stream:
        recipe = json.load(stream)
    assert recipe["optimizer"]["learning_rate"] == 0.5
    assert (recipe["image_size"], recipe["train_size"]) == (28, 64)
    assert recipe["initial_weights"] == "lenet1-max:emnist"
    assert recipe["freeze"] == ["block1_c*", "block1_conv"]


def test_wrong_shorthands_are_one_line(command):
    for words, message in (
        (("--learning-rate", "fast"), "learning_rate"),
        (("--train-size", "0"), "train_size"),
        (("--learning-rate", "1", "--set", "optimizer.learning_rate=2"), "is given twice"),
    ):
        for what in (("train", "vgg08"), ("study", "run", "rescue"), ("search", SEARCH)):
            code, _, errors = command(*what, *words)
            assert (code, errors.count("\n")) == (2, 1), errors
            assert message in errors


def test_the_next_step_is_shown_only_on_a_terminal(command, monkeypatch):
    assert "next:" not in command("list", "vgg08*")[1]
    monkeypatch.setenv("FORCE_COLOR", "1")  # like a terminal
    assert "next: kzoo info NAME" in command("list", "vgg08*")[1]
    assert "next: kzoo study run rescue" in command("study", "show", "rescue")[1]
    assert "next:" not in command("list", "vgg08*", "--json")[1]
    assert "next:" not in command("list", "nothing")[1]
    monkeypatch.setenv("COLUMNS", "20")  # narrow, but the step stays on one line that can be copied
    assert "next: kzoo study run rescue" in command("study", "show", "rescue")[1]


@pytest.mark.parametrize(
    ("path", "params", "produced", "text"),
    [
        ("kzoo study show", {"name": "my study"}, {}, "next: kzoo study run 'my study'"),
        ("kzoo train", {}, {"directory": "runs/a b"}, "next: kzoo report 'runs/a b'"),
        ("kzoo train", {"directory": "given"}, {"directory": "found"}, "next: kzoo report found"),
        ("kzoo train", {"directory": None}, {}, ""),  # the directory is unknown
        ("kzoo demo", {"target": "x"}, {}, ""),  # no next step
        ("kzoo data get", {"name": "cifar10"}, {}, "next: kzoo train RECIPE --dataset cifar10"),
        ("kzoo study table", {"name": "a", "as_markdown": True}, {}, ""),
        ("kzoo study table", {"name": "a", "as_markdown": False}, {}, "next: kzoo study report a"),
        ("kzoo nothing", {}, {}, ""),
    ],
)
def test_the_next_command_takes_over_options_and_results(path, params, produced, text, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(guide, "done", produced)
    guide.say_next(types.SimpleNamespace(command_path=path, params=params))
    assert Text.from_ansi(capsys.readouterr().out).plain.rstrip("\n") == text


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.usefixtures("eagerly_once")
def test_the_next_command_reads_the_same_directories(command, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    only = ["--only", "*lenet1-max", "--dataset", "digits", "--epochs", 1, "--train-size", 64]
    code, text, errors = command("study", "run", "reduction", *only, "--directory", "my runs")
    assert code == 0, errors
    assert "next: kzoo study table reduction --records 'my runs'" in text
    text = command("study", "table", "reduction", "--records", "my runs")[1]
    assert "next: kzoo study report reduction --records 'my runs'" in text
    text = command("study", "report", "reduction", "--records", "my runs")[1]
    assert "next: kzoo study collect reduction --directory 'my runs'" in text
    text = command("study", "collect", "reduction", "--directory", "my runs", "--into", "kept")[1]
    assert "next: kzoo study table reduction --records 'my runs' --records kept" in text
    assert "next: kzoo study table reduction\n" in Text.from_ansi(command("study", "collect", "reduction")[1]).plain


@pytest.mark.parametrize(
    ("status", "printed"), [(None, True), (0, True), (3, True), (1, False), (2, False), (130, False)]
)
def test_the_next_command_is_printed_after_success_or_findings(status, printed, monkeypatch):
    def run():
        if status is not None:
            raise typer.Exit(status)

    lines = []
    monkeypatch.setattr("kzoo.cli.parsing.say_next", lines.append)
    command = Command("run", callback=run)
    with contextlib.nullcontext() if status is None else pytest.raises(typer.Exit):
        command.invoke(typer.Context(command))
    assert len(lines) == printed


def test_flags_are_off_by_default_and_counts_begin_at_one():
    for name, known in commands():
        for parameter in known.params:
            if getattr(parameter, "is_flag", False) and not parameter.secondary_opts:
                assert parameter.default is False, (name, parameter.name)
            least = getattr(
                getattr(parameter, "type", parameter), "min", None
            )  # its location depends on typer's version
            assert least in (None, 0 if parameter.name in ("seed", "port") else 1), (name, parameter.name)


LIBRARY = {
    "benchmark": ("kzoo.exporting.benchmark:benchmark", {"seconds": "seconds"}),
    "calibration": ("kzoo.diagnostics.calibration:calibration", {"bins": "bins"}),
    "demo": ("kzoo.demo.server:demo_server", {"port": "port"}),
    "diagram": ("kzoo.diagnostics.diagram:save_diagram", {"detail": "detail", "expand_nested": "expand_nested"}),
    "doctor": ("kzoo.diagnostics.doctor:doctor", {"seed": "seed", "dataset": "dataset"}),
    "evaluate": ("kzoo.training.run:Run.evaluate", {"split": "part", "tta": "tta", "dataset": "dataset"}),
    "explain": ("kzoo.diagnostics.explaining:explain_images", {"layer": "layer", "feature_maps": "feature_maps"}),
    "export": ("kzoo.exporting.export:export", {"fold": "fold", "opset": "opset", "force": "overwrite"}),
    "invariance": ("kzoo.diagnostics.invariance:invariance", {"fill": "fill"}),
    "predict": ("kzoo.exporting.predicting:predict_files", {"top": "top", "batch_size": "batch_size"}),
    "receptive-field": (
        "kzoo.diagnostics.receptive_field.table:field_table",
        {"effective": "effective", "images": "count", "image_size": "image_size", "seed": "seed"},
    ),
    "runs": ("kzoo.training.listing:runs", {"pattern": "pattern", "directory": "directory"}),
    "speed": ("kzoo.training.speed:measure", {"batch_size": "batch_size", "steps": "steps", "rounds": "rounds"}),
    "train": ("kzoo.training.train:train", {"fresh": "fresh", "extend": "extend", "directory": "directory"}),
    "weights save": ("kzoo.training.publishing:save_weights_set", {"tag": "tag", "half": "half"}),
}
"""By command: the function that does its work, and the function's argument for each of some options."""


@pytest.mark.parametrize("name", LIBRARY)
def test_options_have_the_defaults_of_the_library(name):
    source, options = LIBRARY[name]
    module, _, path = source.partition(":")
    theirs = inspect.signature(operator.attrgetter(path)(importlib.import_module(module))).parameters
    ours = {parameter.name: parameter.default for parameter in dict(commands())[name].params}
    for option, argument in options.items():
        assert str(ours[option]) == str(theirs[argument].default), option
