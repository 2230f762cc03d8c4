"""Parsing of command lines: one clear line for each error that click ignores or prints in a box."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from kzoo.cli.guide import say_next
from kzoo.console import complain
from kzoo.errors import InputError
from kzoo.files import user_path

UsageError: Any = typer.BadParameter.__bases__[0]
"""The class from the click version that comes with typer."""


SHORTHANDS = {"learning_rate": "optimizer.learning_rate", "weights": "initial_weights"}
"""Options whose names differ from the names of their recipe fields."""
DONE = (0, 3)
"""Exit statuses of a command that succeeded; 3 means that the doctor has findings."""


class Command(TyperCommand):
    """A command that refuses an option given twice; click would silently take the last one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, and report an error in one line.

        Raises:
            InputError: an option is unknown, or given twice.
        """
        args = list(map(_expanded, args))
        try:
            *_, order = self.make_parser(ctx).parse_args(args=list(args))
        except UsageError as error:
            if hasattr(error, "option_name") and hasattr(error, "possibilities"):
                raise self._unknown(error.option_name) from None
            raise
        for param in order:
            single = param.param_type_name == "option" and not param.multiple and not getattr(param, "is_flag", False)
            if single and order.count(param) > 1:
                raise InputError(f"option {param.opts[0]} is given twice: it takes one value")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and suggest the next one."""
        try:
            result = super().invoke(ctx)
        except typer.Exit as end:
            if end.exit_code in DONE:
                say_next(ctx)
            raise
        say_next(ctx)
        return result

    def _unknown(self, name: str) -> InputError:
        from kzoo.recipes.words import meant

        options = [text for param in self.params for text in param.opts if text.startswith("--")]
        near = difflib.get_close_matches(name, options, n=1, cutoff=0.75)
        field = meant(name.lstrip("-").replace("-", "_")) if "--set" in options else None
        if field is not None:
            option = next((name for name, known in SHORTHANDS.items() if known == field), field)
            option = f"--{option.replace('_', '-')}"
            return InputError(
                f"no such option {name}: did you mean {option if option in options else f'--set {field}=...'}?"
            )
        if near:
            return InputError(f"no such option {name}: did you mean {near[0]}?")
        return InputError(f"no such option {name}: kzoo {self.name} has {', '.join([*options, '--help'])}")


def _expanded(word: str) -> str:
    """A command-line word with ``~`` expanded, because shells do not expand it in ``--directory=~/runs``."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{user_path(value)}" if re.match(r"~\w*(/|$)", value) else word


class App(typer.Typer):
    """A typer app whose commands are of class `Command`."""

    def command(self, *args: Any, **options: Any) -> Callable[..., Any]:
        """Register a command, as typer does."""
        return super().command(*args, **{"cls": Command, **options})

    def only(self, name: str) -> App:
        """The app with only the command or group called `name`; the whole app if there is none.

        Typer builds the options of all commands to run one, which would double the time until a mistyped command is
        reported.
        """
        some = copy.copy(self)
        some.registered_commands = [one for one in self.registered_commands if _name(one) == name]
        some.registered_groups = [one for one in self.registered_groups if one.name == name]
        return some if some.registered_commands or some.registered_groups else self


def _name(command: Any) -> str:
    return command.name or command.callback.__name__.replace("_", "-")


def complain_of_usage(error: Any) -> None:
    """Print click's usage error in one line, with a reference to the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return  # its message is the help, which has been printed
    text = " ".join(error.format_message().split())
    hint = f" (see {error.ctx.command_path} --help)" if error.ctx is not None else ""
    complain("error", f"{text[:1].lower()}{text[1:].rstrip('.')}{hint}")
