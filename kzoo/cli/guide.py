"""The order, groups and examples of the commands, and the next command to suggest: one table for help and docs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

from kzoo._version import __version__
from kzoo.console import plain_console


@dataclass(frozen=True)
class Entry:
    """Additions to a command's help.

    Attributes:
        examples: command lines.
        next: the command to suggest afterwards, with names of arguments in braces; no suggestion if an argument is
            missing. `{options}` is replaced with those from `pass_on`.
    """

    examples: tuple[str, ...]
    next: str = ""


GUIDE: dict[str, dict[str, Entry]] = {
    "Train and compare": {
        "train": Entry(
            (
                "kzoo train vgg08-bn --dataset digits --epochs 5",
                "kzoo train rescue/bn --set train_size=5000 --learning-rate 1e-3",
                "kzoo train lenet2-max --dataset digits --seeds 0,1,2",
            ),
            "kzoo report {directory}",
        ),
        "resume": Entry(("kzoo resume runs/rescue-bn-1461ef42c2",), "kzoo report {run}"),
        "evaluate": Entry(
            (
                "kzoo evaluate RUN --split validation",
                "kzoo evaluate lenet2-average:emnist",
                "kzoo evaluate RUN --dataset cifar10-c/fog_3",
            ),
            "kzoo explain {run} --split test --first 8",
        ),
        "runs": Entry(("kzoo runs", "kzoo runs 'vgg38*'"), "kzoo compare RUN RUN"),
        "compare": Entry(("kzoo compare RUN RUN --output compared.html",), "kzoo report RUN"),
        "report": Entry(("kzoo report RUN",), "kzoo doctor {run}"),
        "study list": Entry(("kzoo study list",), "kzoo study show NAME"),
        "study show": Entry(("kzoo study show rescue",), "kzoo study run {name}"),
        "study run": Entry(
            ("kzoo study run rescue --dataset digits --epochs 25", "kzoo study run rescue --seeds 0,1,2 --workers 2"),
            "kzoo study table {name} {options}",
        ),
        "study table": Entry(("kzoo study table rescue",), "kzoo study report {name} {options}"),
        "study report": Entry(("kzoo study report rescue",), "kzoo study collect {name} {options}"),
        "study collect": Entry(("kzoo study collect rescue",), "kzoo study table {name} {options}"),
        "search": Entry(("kzoo search tuning/vgg38_learning_rate.py --workers 2",), "kzoo trials SEARCH"),
        "trials": Entry(("kzoo trials searches/NAME-DIGEST",), "kzoo train RECIPE"),
        "speed": Entry(("kzoo speed vgg08",), "kzoo train RECIPE --set precision=PRECISION"),
    },
    "Understand": {
        "info": Entry(("kzoo info vgg-e", "kzoo info lenet2-average:emnist"), "kzoo diagram {name}"),
        "diagram": Entry(("kzoo diagram vgg38-bn-res --output vgg38.svg",), "kzoo doctor {target}"),
        "doctor": Entry(("kzoo doctor RUN", "kzoo doctor vgg38 --dataset digits"), "kzoo info NAME"),
        "gradients": Entry(("kzoo gradients RUN --output gradients.svg",), "kzoo doctor {run}"),
        "histograms": Entry(("kzoo histograms RUN --output weights.png",), "kzoo gradients {run}"),
        "confusion": Entry(("kzoo confusion RUN --output confusion.png",), "kzoo calibration {run}"),
        "calibration": Entry(("kzoo calibration RUN --output reliability.png",), "kzoo report {run}"),
        "explain": Entry(
            ("kzoo explain RUN pictures/", "kzoo explain vgg08:cifar10 --split test --first 8"), "kzoo demo {target}"
        ),
        "receptive-field": Entry(("kzoo receptive-field lenet2-dilated --exact",), "kzoo diagram {target}"),
        "invariance": Entry(("kzoo invariance RUN RUN --output invariance.png",), "kzoo compare RUN RUN"),
    },
    "Use and export": {
        "predict": Entry(
            ("kzoo predict RUN pictures/ --top 1", "kzoo predict vgg08:cifar10 --split test --first 8"),
            "kzoo explain {target} IMAGES",
        ),
        "demo": Entry(("kzoo demo lenet2-average:emnist",)),
        "export": Entry(
            ("kzoo export RUN --to onnx", "kzoo export RUN --to litert --quantize int8"), "kzoo benchmark FILE"
        ),
        "benchmark": Entry(("kzoo benchmark lenet2-average:emnist", "kzoo benchmark digits.onnx --batch 1,16")),
        "weights list": Entry(("kzoo weights list 'lenet*'",), "kzoo info MODEL:TAG"),
        "weights save": Entry(("kzoo weights save RUN --tag digits",), "kzoo publish SET DIR"),
        "publish": Entry(("kzoo publish lenet2-average:emnist folder",)),
    },
    "Models and data": {
        "list": Entry(("kzoo list 'resnet*'", "kzoo list --recipes 'rescue/*'"), "kzoo info NAME"),
        "data": Entry(("kzoo data", "kzoo data --data-dir ~/data"), "kzoo data get NAME"),
        "data get": Entry(
            ("kzoo data get cifar10", "kzoo data get tfds:eurosat/rgb --data-dir ~/data"),
            "kzoo train RECIPE --dataset {name}",
        ),
    },
}
"""Entries by group and command, both in the order in which they are usually needed."""

QUIET = ("as_json", "as_csv", "as_markdown")
"""Options that format the output for programs."""

done: dict[str, str] = {}
"""Values from a command for its suggestion, by the names in `Entry.next`."""

passed_on: list[str] = []
"""Options with their values for the next command, as `{options}` in `Entry.next`."""


def pass_on(option: str, values: Iterable[Any]) -> None:
    """Give the suggested command an option, once per value."""
    passed_on[:] = [word for value in values for word in (option, str(value))]


def entries() -> Iterator[tuple[str, str, Entry]]:
    """Every command with its group, name and entry."""
    for group, commands in GUIDE.items():
        for name, entry in commands.items():
            yield group, name, entry


def position(name: str) -> int:
    """Position of a command, or of the first command of a group; commands without an entry come last."""
    names = [known for _, known, _ in entries()]
    return next((i for i, known in enumerate(names) if known == name or known.startswith(f"{name} ")), len(names))


class InOrder(TyperGroup):
    """Commands in the order and the groups of the guide, with its examples."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the guide's order."""
        return sorted(self.commands, key=position)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command with its group and examples."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            add_guide(cmd_name, command)
            for name, inner in getattr(command, "commands", {}).items():
                add_guide(f"{cmd_name} {name}", inner)
        return command


def add_guide(name: str, command: Any) -> None:
    """Give a command its group and its examples."""
    for group, known, entry in entries():
        if known == name or known.startswith(f"{name} "):
            command.rich_help_panel = group if " " not in name else None
            if known == name:
                command.epilog = "\n\n".join(("Examples:" if len(entry.examples) > 1 else "Example:", *entry.examples))
            return


def say_next(ctx: Any) -> None:
    """Suggest the next command on a terminal, unless the output is for a program."""
    console = plain_console()
    name = ctx.command_path.partition(" ")[2]
    entry = next((entry for _, known, entry in entries() if known == name), None)
    if entry is None or not entry.next or not console.is_terminal or any(ctx.params.get(key) for key in QUIET):
        return
    values = {key: shlex.quote(str(value)) for key, value in {**ctx.params, **done}.items() if value is not None}
    try:
        line = entry.next.format(**values, options=shlex.join(passed_on)).rstrip()
    except KeyError:
        return
    console.print(f"next: {line}", style="dim", soft_wrap=True)


def print_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        print(f"kzoo {__version__}")
        raise typer.Exit
