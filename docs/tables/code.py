"""Tables of models and their options, recipes, datasets, commands, and the doctor's findings."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from typing import Any

from tables.text import descriptions, markdown, plain, summary, times


def models() -> str:
    """Return a table of all variants, with the counts of the built models."""
    from kzoo.backend import quiet_import

    with quiet_import():
        import keras  # noqa: F401
    from kzoo.introspection.layer_table import layer_table
    from kzoo.models.catalog import VARIANTS
    from kzoo.models.registry import create_model

    rows = []
    for variant in VARIANTS:
        table = layer_table(create_model(variant.name))
        counts = (f"{table.trainable_parameters:,}", f"{table.multiply_adds:,}")
        rows.append((f"`{variant.name}`", *counts, variant.classes, times(variant.input_shape)))
    return markdown("model | trainable parameters | multiply-adds | classes | input", rows, "lrrrl")


def options(family: str) -> str:
    """Return a table of the options that only the builder of this family takes."""
    import kzoo

    builder = getattr(kzoo, family)
    texts = descriptions(builder, "Args")
    parameters = list(inspect.signature(builder).parameters.values())
    particular = parameters[[parameter.name for parameter in parameters].index("std") + 1 :]
    rows = [(f"`{p.name}`", f"`{p.default!r}`", texts[p.name]) for p in particular]
    return markdown("option | default | meaning", rows)


def default_recipes() -> str:
    """Return a table of the models that each default recipe trains (MODEL: a recipe with the name of the model)."""
    from kzoo.models.catalog import VARIANTS

    by_recipe: dict[str, list[str]] = {}
    for variant in VARIANTS:
        by_recipe.setdefault(str(variant.recipe), []).append(variant.name)
    rows: dict[str, list[str]] = {}
    for recipe, names in by_recipe.items():
        family = recipe.partition("/")[0]
        label = f"{family}/MODEL" if [recipe] == [f"{family}/{name}" for name in names] else recipe
        rows.setdefault(label, []).extend(f"`{name}`" for name in names)
    return markdown("default recipe | models", [(f"`{recipe}`", ", ".join(names)) for recipe, names in rows.items()])


def recipes() -> str:
    """Return tables of all recipes, one for each report."""
    from kzoo.recipes import MODULES

    text = ""
    for name in MODULES:
        module = importlib.import_module(f"kzoo.recipes.{name}")
        groups: dict[str, list[str]] = {}
        for recipe in module.RECIPES:
            family, _, rest = recipe.name.partition("/")
            groups.setdefault(family, []).append(f"`{rest}`")
        text += f"\n{summary(module)}\n"
        text += markdown("family | recipes", [(f"`{family}/`", ", ".join(names)) for family, names in groups.items()])
    return text


def datasets() -> str:
    """Return a table of the built-in datasets."""
    from kzoo.data.datasets import DATASETS

    def amount(value: float | None) -> str:
        return "published" if value is None else f"{value:.0%}" if value < 1 else f"{value:,}"

    rows = []
    for one in DATASETS:
        changes = ", ".join(f"`{change.kind}`" for change in one.augmentation) or "none"
        source = f"`{one.prepared}`" if one.prepared else "scikit-learn"
        name = one.name if one.trained_on is None else f"{one.name}/..."
        statistics = [", ".join(f"{value:g}" for value in values or ()) or "measured" for values in (one.mean, one.std)]
        sizes = (amount(one.validation), amount(one.test))
        shape = times(one.image_shape) if one.image_shape else "several"
        rows.append((f"`{name}`", one.classes, shape, *statistics, *sizes, changes, source))
    return markdown("name | classes | images | mean | std | validation | test | augmentation | source", rows, "lr")


def commands() -> str:
    """Return a section for each command, with its arguments and options."""
    import typer

    from kzoo.cli import app
    from kzoo.cli.guide import entries

    text = ""
    for name, command in _all_commands(typer.main.get_command(app)):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = ["kzoo", name, "[OPTIONS]"]
        for item in arguments:
            label = (item.metavar or item.name.upper()) + ("..." if item.nargs == -1 else "")
            usage.append(label if item.required else f"[{label}]")
        text += f"\n## {name}\n\n{plain(command.help)}\n\n```text\n{' '.join(usage)}\n```\n"
        rows = []
        for item in (item for item in command.params if not getattr(item, "hidden", False)):
            has_default = item.default is not None and item.default is not False and not item.required
            label, value = item.metavar or item.name.upper(), item.default
            if item.param_type_name == "option":
                label = item.opts[0] if item.is_flag else f"{item.opts[0]} {label}"
            if item.secondary_opts:  # a flag with an option for each of its two values
                label, value = f"{label} / {item.secondary_opts[0]}", label if value else item.secondary_opts[0]
            rows.append((f"`{label}`", f"`{value}`" if has_default else "", plain(item.help or "")))
        text += markdown("argument or option | default | meaning", rows)
        examples = "\n".join(f"{line}" for _, known, entry in entries() if known == name for line in entry.examples)
        text += f"\n```sh\n{examples}\n```\n" if examples else ""
    return text + "\n"


def _all_commands(group: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield all commands of a group and its subgroups with their full names, in the usual order."""
    from kzoo.cli.guide import position

    names = group.list_commands(None)
    for name in names if prefix == "" else sorted(names, key=lambda one: position(prefix + one)):
        command = group.commands[name]
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield prefix + name, command
            yield from _all_commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def doctor_kinds() -> str:
    """Return a table of the kinds of the doctor's findings."""
    from kzoo.diagnostics.doctor.report import KINDS

    return markdown("finding | meaning", KINDS.items())
