"""The page of one run: its recipe, results, curves, mistakes, gradients, weights and architecture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import markupsafe

from kzoo.errors import InputError
from kzoo.html_report import classes, samples
from kzoo.html_report.curves import epoch_table, run_curves
from kzoo.html_report.document import Absent, Table, check_page, write_page
from kzoo.html_report.figures import gradient_figures, weight_figures
from kzoo.html_report.recipe import changes_table, recipe_table
from kzoo.studies import metrics
from kzoo.training.records import RunRecord

if TYPE_CHECKING:
    from kzoo.training.run import Run


class Number(NamedTuple):
    """A result: its name, its value as text, and a detail for readers."""

    name: str
    value: str
    detail: str = ""


class Drawing(NamedTuple):
    """The architecture: a sentence, the drawing, and a description for readers who cannot see it."""

    text: str
    svg: markupsafe.Markup
    label: str


def recorded(record: RunRecord) -> dict[str, Any]:
    """The parts of a page that need only the record."""
    parts = {
        "failed": (record.reason or "no reason is recorded") if record.status == "failed" else "",
        "numbers": numbers(record),
        "budget": budget(record),
        "changes": changes_table(record.recipe),
        "curves": run_curves(record),
        "epochs": epoch_table(record),
        "gradients": gradient_figures(record),
    }
    confusion = classes.confusion_of(record)
    if isinstance(confusion, Absent):
        return {**parts, "confusion": confusion, "per_class": None}
    return {
        **parts,
        "confusion": classes.matrix_figure(confusion),
        "per_class": classes.per_class_figure(confusion),
        "confused": classes.confused_table(confusion),
        "class_table": classes.class_table(confusion),
    }


def numbers(record: RunRecord) -> list[Number]:
    """The results, the most important first."""
    # Describe each metric
    every = record.all_parameters
    trained = "trainable" if every in (None, record.parameters) else f"trained, of {every:,} in all (layers are frozen)"
    details = {
        "test_accuracy": "best epoch’s weights",
        "test_tta_accuracy": f"{record.recipe.get('tta')} of each image",
        "best_val_accuracy": f"epoch {record.best_epoch}",
        "val_accuracy": f"epoch {record.epochs}",
        "train_accuracy": f"epoch {record.epochs}",
        "test_loss": "nats, best epoch’s weights",
        "val_loss": f"nats, epoch {record.epochs}",
        "gap": "",
        "parameters": trained,
        "peak_memory": "of the training process",
    }

    # Keep the metrics that the record has
    results = []
    for name, detail in details.items():
        metric = metrics.metric(name)
        value = metric.read(record)
        if value is not None and (record.status == "completed" or name in ("parameters", "peak_memory")):
            title = metric.title.replace(", last epoch", "").replace(", best epoch", " (best)")
            results.append(Number(title[0].upper() + title[1:], metrics.write(name, value), detail))
    count = len(record.segments)
    processes = "in one process" if count == 1 else f"in {count} processes, one after another"
    return [*results, Number("Training time", _duration(record.seconds), processes)]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def budget(record: RunRecord) -> str:
    """The epochs, data, batch size and seed of the run, as one sentence."""
    recipe, sizes = record.recipe, record.sizes
    drawn = sizes.get("drawn", sizes["train"])
    expanded = f" (expanded to {sizes['train']:,})" if sizes["train"] != drawn else ""
    parts = [f"{sizes[part]:,} {part}" for part in ("validation", "test") if sizes.get(part)]
    held_out = f", {' and '.join(parts)} images held out" if parts else ""
    return (
        f"{record.epochs} of {recipe['epochs']} epochs on {drawn:,} training images{expanded} of {recipe['dataset']}"
        f"{held_out}; batches of {recipe['batch_size']:,}; seed {recipe['seed']}."
    )


def segments_table(record: RunRecord) -> Table:
    """When and where each process trained its part of the run."""
    rows = tuple(
        (
            s.started.replace("T", " ").replace("+00:00", " UTC"),
            str(s.first_epoch),
            f"{s.seconds:,.1f}",
            s.backend,
            ", ".join([s.processor or "unknown", f"{s.cores} cores", *s.processor_features]),
            ", ".join(s.devices) or "–",
            ", ".join([f"Python {s.python}", *(f"{name} {version}" for name, version in s.versions.items())]),
            s.platform,
        )
        for s in record.segments
    )
    header = ("started", "first epoch", "seconds", "backend", "processor", "devices", "versions", "platform")
    caption = "Each process that trained a part of the run" if len(rows) != 1 else "The run was trained in one process"
    return Table(caption, header, rows, (1, 2))


def architecture(record: RunRecord, run: Run | None) -> Drawing | Absent:
    """The layers of the network and their connections; without a run, the model is rebuilt from the record."""
    from kzoo.diagnostics.diagram import architecture_diagram
    from kzoo.training.run import recorded_model

    try:
        model = recorded_model(record) if run is None else run.network()
        svg = architecture_diagram(model)
    except InputError as error:
        return Absent(f"The network cannot be drawn: {error}.")
    text = (
        f"{len(model.layers)} layers, {record.parameters_in_words()}. Repeated parts are drawn once; point at a box to "
        "see the names of its layers."
    )
    return Drawing(text, markupsafe.Markup(svg), f"Architecture of {record.recipe['model']}")


def run_page(run: Run | RunRecord, path: str | Path | None = None, *, data_dir: str | Path | None = None) -> Path:
    """Write the page of a finished run: one HTML file that needs no network.

    Args:
        run: the run, or only its record. If data or weights are missing, a sentence replaces each part that needs them.
        path: the HTML file, by default ``report.html`` in the run's directory; a record needs one. An earlier page is
            replaced.
        data_dir: as for `kzoo.train`, by default the directory where the run read its data.

    Returns:
        The path.

    Raises:
        InputError: the run is not finished, its record is damaged, another file is there, or a record has no `path`.
        RunFailed: the file cannot be written.

    Example:
        >>> kzoo.run_page(run, "run.html").name
        'run.html'
    """
    # Check the path first, because predictions take seconds.
    if isinstance(run, RunRecord):
        if path is None:
            raise InputError("path must be given for the page of a record: it has no directory")
        record, opened = run, None
    else:
        record, opened = run.result, run
        path = path or run.directory / "report.html"
    check_page(path)

    # Fill the template.
    recipe, data = record.recipe, record.data
    commit = f", kzoo’s commit {record.git_commit[:10]}" if record.git_commit else ""
    shape = "×".join(str(size) for size in data["image_shape"])
    return write_page(
        path,
        "run.html",
        name=record.name,
        lead=f"{recipe['model']} on {recipe['dataset']}: {len(data['class_names'])} classes, images of {shape}.",
        recipe=recipe_table(recipe),
        mistakes=samples.mistakes(record, opened, data_dir),
        augmentation=samples.augmentation(record, opened, data_dir),
        weights=weight_figures(opened),
        architecture=architecture(record, opened),
        segments=segments_table(record),
        identity=f"Recipe {record.digest}, data {data['fingerprint'][:10]}{commit}.",
        run=recorded(record),
    )
