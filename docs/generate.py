"""Fills the tables of README.md and docs/ from the code that they describe.

A page holds ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``; what stands between them is written by the function
of that name in `TABLES`.

    python docs/generate.py            rewrite the pages
    python docs/generate.py --check    exit 1 and name the pages that differ from the code
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- ([a-z0-9-]+):begin -->\n).*?(<!-- \2:end -->)", re.DOTALL)


def markdown(header: str, rows: Iterable[Iterable[object]], align: str = "") -> str:
    """A Markdown table; `header` and `align` (l or r per column) as in ``"name | size"`` and ``"lr"``."""
    columns = header.split(" | ")
    rules = ["---:" if side == "r" else "---" for side in align.ljust(len(columns), "l")]
    lines = [columns, rules, *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n"


def times(shape: tuple[int, ...] | None) -> str:
    """A shape as ``32x32x3``."""
    return "x".join(map(str, shape)) if shape else "as loaded"


def plain(text: str) -> str:
    """A docstring's text on one line, with Markdown's backticks for reStructuredText's."""
    return " ".join(text.split()).replace("``", "`")


def summary(thing: Any) -> str:
    """A docstring's first paragraph."""
    return plain((inspect.getdoc(thing) or "").split("\n\n")[0])


def described(thing: Any, section: str) -> dict[str, str]:
    """What one section of a Google-style docstring says of each name."""
    _, _, text = inspect.cleandoc(thing.__doc__ or "").partition(f"{section}:\n")
    entries = [entry.partition(":") for entry in re.split(r"\n(?=    \S)", text.split("\n\n")[0])]
    return {name.strip(): plain(text) for names, colon, text in entries if colon for name in names.split(",")}


def attributes(schema: type) -> dict[str, str]:
    """What a class's docstring and those of its bases say of each attribute."""
    found: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        found |= described(base, "Attributes")
    return found


def type_name(annotation: Any) -> str:
    """What a field takes, with its limits, in words short enough for a table."""
    if annotation is type(None):
        return "null"
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        base, *notes = parts
        if any(getattr(note, "discriminator", None) for note in notes):
            return "a kind"
        signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
        notes = [inner for note in notes for inner in getattr(note, "metadata", [note])]
        limits = [f"{signs[key]} {getattr(n, key)}" for n in notes for key in signs if hasattr(n, key)]
        return f"{type_name(base)} {', '.join(limits)}".strip()
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in parts)
    if origin is tuple:
        inner = [type_name(part) for part in parts if part is not Ellipsis]
        return f"list of {inner[0]}" if Ellipsis in parts else f"list of {len(parts)}: {', '.join(inner)}"
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    if origin is dict:
        return "object"
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def field_type(schema: type[BaseModel], name: str) -> str:
    """`type_name` of a pydantic field (whose own limits pydantic keeps apart from its annotation)."""
    field = schema.model_fields[name]
    limits = [note for note in field.metadata if any(hasattr(note, key) for key in ("ge", "gt", "le", "lt"))]
    if field.discriminator:
        return "a kind"
    return type_name(typing.Annotated[field.annotation, *limits] if limits else field.annotation)


def default(schema: type[BaseModel], name: str) -> str:
    """A field's default as JSON."""
    field = schema.model_fields[name]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return f'`"{value.kind}"`' if hasattr(value, "kind") else f"`{value.model_dump_json()}`"
    return f"`{json.dumps(value)}`"


def fields(*schemas: type[BaseModel]) -> str:
    """One row a field."""
    rows = []
    for schema in schemas:
        texts = attributes(schema)
        for name in schema.model_fields:
            if name != "kind":
                rows.append((f"`{name}`", field_type(schema, name), default(schema, name), texts.get(name, "")))
    return markdown("field | type | default | meaning", rows)


def kinds(union: Any) -> str:
    """One row a kind of a discriminated union: its fields with defaults, and what it is."""
    rows = []
    for kind in get_args(union):
        options = [f"`{n}` {default(kind, n)}" for n in kind.model_fields if n != "kind"]
        rows.append((f"`{kind.model_fields['kind'].default}`", ", ".join(options) or "-", summary(kind)))
    return markdown("kind | fields and defaults | meaning", rows)


def models() -> str:
    """Every variant, counted on the model itself."""
    from kzoo.backend import quiet_import

    with quiet_import():
        import keras  # noqa: F401
    from kzoo.diagnostics.layer_table import layer_table
    from kzoo.models.catalog import VARIANTS
    from kzoo.models.registry import create_model

    rows = []
    for variant in VARIANTS:
        table = layer_table(create_model(variant.name))
        counts = (f"{table.trainable_parameters:,}", f"{table.multiply_adds:,}")
        rows.append((f"`{variant.name}`", *counts, variant.classes, times(variant.input_shape)))
    return markdown("model | trainable parameters | multiply-adds | classes | input", rows, "lrrrl")


def options(family: str) -> Callable[[], str]:
    """What a family's builder takes besides what all of them do."""

    def table() -> str:
        import kzoo

        builder = getattr(kzoo, family)
        texts = described(builder, "Args")
        parameters = list(inspect.signature(builder).parameters.values())
        own = parameters[[parameter.name for parameter in parameters].index("std") + 1 :]
        rows = [(f"`{p.name}`", f"`{p.default!r}`", texts[p.name]) for p in own]
        return markdown("option | default | meaning", rows)

    return table


def default_recipes() -> str:
    """Which recipe trains which models by default (MODEL: the one of the model's own name)."""
    from kzoo.models.catalog import VARIANTS

    trained: dict[str, list[str]] = {}
    for variant in VARIANTS:
        trained.setdefault(str(variant.recipe), []).append(variant.name)
    rows: dict[str, list[str]] = {}
    for recipe, names in trained.items():
        family = recipe.partition("/")[0]
        label = f"{family}/MODEL" if [recipe] == [f"{family}/{name}" for name in names] else recipe
        rows.setdefault(label, []).extend(f"`{name}`" for name in names)
    return markdown("default recipe | models", [(f"`{recipe}`", ", ".join(names)) for recipe, names in rows.items()])


def recipes() -> str:
    """Every recipe, by the report that it is from."""
    from kzoo.recipes import MODULES

    text = ""
    for name in MODULES:
        module = importlib.import_module(f"kzoo.recipes.{name}")
        groups: dict[str, list[str]] = {}
        for row in module.RECIPES:
            family, _, rest = row.name.partition("/")
            groups.setdefault(family, []).append(f"`{rest}`")
        text += f"\n{summary(module)}\n"
        text += markdown("family | recipes", [(f"`{family}/`", ", ".join(rows)) for family, rows in groups.items()])
    return text


def datasets() -> str:
    """Every built-in dataset."""
    from kzoo.data.datasets import DATASETS

    def amount(value: float | None) -> str:
        return "own" if value is None else f"{value:.0%}" if value < 1 else f"{value:,}"

    rows = []
    for row in DATASETS:
        changes = ", ".join(f"`{change.kind}`" for change in row.augmentation) or "none"
        source = f"`{row.prepared}`" if row.prepared else "scikit-learn"
        statistics = [", ".join(f"{value:g}" for value in values or ()) for values in (row.mean, row.std)]
        sizes = (amount(row.validation), amount(row.test))
        rows.append((f"`{row.name}`", row.classes, times(row.image_shape), *statistics, *sizes, changes, source))
    return markdown("name | classes | images | mean | std | validation | test | augmentation | source", rows, "lr")


def commands() -> str:
    """Every command with its arguments and options."""
    import typer

    from kzoo.cli import app

    text = ""
    for name, command in _all_commands(typer.main.get_command(app)):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = ["kzoo", name, "[OPTIONS]"]
        for item in arguments:
            label = (item.metavar or item.name.upper()) + ("..." if item.nargs == -1 else "")
            usage.append(label if item.required else f"[{label}]")
        text += f"\n## {name}\n\n{plain(command.help)}\n\n```text\n{' '.join(usage)}\n```\n"
        rows = []
        for item in command.params:
            given = item.default not in (None, False) and not item.required
            label = item.metavar or item.name.upper()
            if item.param_type_name == "option":
                label = item.opts[0] if item.is_flag else f"{item.opts[0]} {label}"
            rows.append((f"`{label}`", f"`{item.default}`" if given else "", plain(item.help or "")))
        text += markdown("argument or option | default | meaning", rows)
    return text + "\n"


def _all_commands(group: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Every command of a group with its full name, those of groups within it included."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _all_commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _recorded(name: str) -> Callable[[], str]:
    """A table of `docs/recorded.py`, from the records under `results/`."""
    return lambda: getattr(importlib.import_module("recorded"), name)(ROOT / "results")


def doctor_kinds() -> str:
    """Every kind of the doctor's findings."""
    from kzoo.diagnostics.doctor.report import KINDS

    return markdown("finding | meaning", KINDS.items())


def doctor_rates() -> str:
    """How often the doctor was right, as benchmarks/doctor_rates.py measured it."""
    path = ROOT / "docs" / "doctor-rates.json"
    if not path.exists():
        return "\nNot measured yet.\n\n"
    found = json.loads(path.read_text(encoding="utf-8"))
    hits = [
        (row["fault"], ", ".join(row["kinds"]), f"{row['hits']} of {row['draws']}", f"{row['hits'] / row['draws']:.0%}")
        for row in found["faults"]
    ]
    verdicts = [
        (
            f"`{row['network']}`",
            row["expected"],
            f"{row['right']} of {row['draws']}",
            " to ".join(f"{float(f'{ratio:.2g}'):g}" for ratio in row["first_to_last"]),
        )
        for row in found["verdicts"]
    ]
    alarms = [
        (row["group"], f"{row['false_alarms']} of {row['networks']}", "; ".join(row["alarms"]) or "-")
        for row in found["controls"]
    ]
    networks, false = (sum(row[key] for row in found["controls"]) for key in ("networks", "false_alarms"))
    alarms.append(("all", f"{false} of {networks}", f"{false / networks:.1%}"))
    first, last = found["seeds"]
    return (
        f"\nSeeds {first} to {last}; {found['where']['backend']}, Keras {found['where']['versions']['keras']}.\n"
        + markdown("planted fault | a hit is | hits | rate", hits, "llrr")
        + markdown("network before training | expected | right | first / last gradient", verdicts, "llrr")
        + markdown("healthy networks | with a finding | which", alarms, "lrl")
    )


def _convolution(block: str) -> Callable[[], str]:
    """A table of `docs/measured.py`, from the measurement in docs/convolution.json."""
    return lambda: importlib.import_module("measured").convolution(block, markdown)


def _recipe_fields() -> str:
    from kzoo.recipes import Recipe

    return fields(Recipe)


def _parts(*names: str) -> Callable[[], str]:
    def table() -> str:
        from kzoo.data import splits
        from kzoo.recipes import settings

        return fields(*(getattr(splits, name, None) or getattr(settings, name) for name in names))

    return table


def _kinds(module: str, union: str) -> Callable[[], str]:
    def table() -> str:
        found = getattr(importlib.import_module(module), union)
        return kinds(get_args(found)[0] if get_origin(found) is typing.Annotated else found)

    return table


def figures() -> dict[str, Callable[[], str]]:
    """The figures that docs/figures.py has made, each with its caption."""
    folder = ROOT / "docs" / "images"
    if not (folder / "captions.json").exists():
        return {}
    captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))

    def block(entry: dict[str, str]) -> Callable[[], str]:
        path, caption = folder / entry["file"], entry["caption"]
        if path.suffix == ".txt":
            return lambda: f"\n{caption}\n\n```text\n{path.read_text(encoding='utf-8')}```\n\n"
        return lambda: f"\n![{caption.replace('`', '')}](images/{path.name})\n\n*{caption}*\n\n"

    return {f"figure-{name}": block(entry) for name, entry in captions.items()}


SELECTION = {"emnist": " (of a selection of 109,405, not the report's 131,600)"}


def searches() -> str:
    """The committed records of searches, each with its table, its picture, and what other seeds say of its winner."""
    from kzoo.search import tables
    from kzoo.search.confirming import verdict
    from kzoo.search.results import read_search

    parts = []
    for path in sorted((ROOT / "docs" / "searches").glob("*.json")):
        result = read_search(path)
        record = result.record
        recipe, environment = record.search["recipe"], record.environment
        counts = {"training": recipe["train_size"], **{part: recipe["split"][part] for part in ("validation", "test")}}
        sizes = ", ".join(f"{count:,} {part}" for part, count in counts.items() if count and count >= 1)
        size = f"{sizes} images{SELECTION.get(recipe['dataset'], '')}, " if sizes else ""
        budget = f"{recipe['dataset']}, {size}{recipe['epochs']} epochs, tuner {record.search['tuner']}"
        where = f"{environment['backend']} on {environment['cores']} cores, {record.seconds / 60:,.0f} minutes"
        parts += [f"### {record.name}", f"From `{recipe['name']}`: {budget}; {where}. {verdict(result)}"]
        parts += [tables.markdown(result).rstrip()]
        if record.confirmed:
            parts += [tables.confirmed(result).rstrip()]
        picture = f"search-{path.stem}.svg"
        if (ROOT / "docs" / "images" / picture).exists():
            parts += [f"![{record.name}: parallel coordinates of all completed trials](images/{picture})"]
    return "\n" + "\n\n".join(parts or ["No search is committed yet."]) + "\n\n"


TABLES: dict[str, Callable[[], str]] = {
    "searches": searches,
    "models": models,
    **{
        f"{family.lower()}-options": options(family)
        for family in ("VGG", "VGGADE", "ResNet", "DenseNet", "LeNet", "MLP")
    },
    "default-recipes": default_recipes,
    "recipes": recipes,
    "recipe-fields": _recipe_fields,
    "split-fields": _parts("Split"),
    "early-stop-fields": _parts("EarlyStop"),
    "optimizers": _kinds("kzoo.recipes.settings", "AnyOptimizer"),
    "schedules": _kinds("kzoo.recipes.settings", "AnySchedule"),
    "augmentations": _kinds("kzoo.data.augment", "AugmentationSpec"),
    "datasets": datasets,
    "commands": commands,
    "doctor-kinds": doctor_kinds,
    "doctor-rates": doctor_rates,
    "inference": lambda: importlib.import_module("measured").inference(markdown),
    **{f"convolution-{x}": _convolution(x) for x in ("where", "ratios", "growth", "crossing", "memory", "claims")},
    **figures(),
    **{name: _recorded(name.replace("-", "_")) for name in ("results", "studies", "study-results", "weights")},
}


def main() -> None:
    """Rewrite the pages, or with ``--check`` only compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 where a page differs from the code")
    check = parser.parse_args().check
    made: dict[str, str] = {}

    def fill(block: re.Match[str]) -> str:
        name = block[2]
        made.setdefault(name, TABLES[name]())
        return block[1] + made[name] + block[3]

    stale = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        before = page.read_text(encoding="utf-8")
        after = BLOCK.sub(fill, before)
        if after != before:
            stale.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(after, encoding="utf-8")
    if stale:
        print(f"{'differ from the code' if check else 'rewritten'}: {', '.join(stale)}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
