"""The page of one run: its recipe, figures, curves, mistakes and insides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kzoo.errors import InputError
from kzoo.pages import classes, samples
from kzoo.pages.charts import Chart
from kzoo.pages.curves import epoch_table, run_curves
from kzoo.pages.document import Absent, Table, check_place, write_page
from kzoo.pages.flow import flow_charts
from kzoo.pages.insides import Drawing, architecture, weight_charts
from kzoo.pages.recipe import changes_table, recipe_table
from kzoo.studies import metrics
from kzoo.training.records import Result

if TYPE_CHECKING:
    from kzoo.training.saved_run import Run


@dataclass(frozen=True)
class Figure:
    """A result: its name, the figure, and what a reader should know of it."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Recorded:
    """What the record alone shows of a run."""

    curves: list[Chart] | Absent
    epochs: Table
    confusion: Chart | Absent
    per_class: Chart | None
    confused: Table | None
    class_table: Table | None
    flow: list[Chart] | Absent


@dataclass(frozen=True)
class View(Recorded):
    """All that the page of a run shows."""

    name: str
    lead: str
    failed: str
    figures: list[Figure]
    budget: str
    changes: Table
    recipe: Table
    mistakes: samples.Mistakes | Absent
    augmentation: list[samples.Strip] | Absent
    weights: list[Chart] | Absent
    architecture: Drawing | Absent
    segments: Table
    identity: str


def recorded(record: Result) -> dict[str, Any]:
    """The fields of `Recorded`."""
    counts = classes.confusion_of(record)
    fields: dict[str, Any] = {"confusion": counts, "per_class": None, "confused": None, "class_table": None}
    if not isinstance(counts, Absent):
        fields = {
            "confusion": classes.matrix_chart(counts),
            "per_class": classes.per_class_chart(counts),
            "confused": classes.confused_table(counts),
            "class_table": classes.class_table(counts),
        }
    return {"curves": run_curves(record), "epochs": epoch_table(record), "flow": flow_charts(record), **fields}


def figures(record: Result) -> list[Figure]:
    """The results, those for the eye first."""
    found = []
    every = record.all_parameters
    trained = "trainable" if every in (None, record.parameters) else f"trained, of {every:,} in all (layers are frozen)"
    for name, detail in (
        ("test_accuracy", "best epoch’s weights"),
        ("best_val_accuracy", f"epoch {record.best_epoch}"),
        ("val_accuracy", f"epoch {record.epochs}"),
        ("train_accuracy", f"epoch {record.epochs}"),
        ("test_loss", "nats, best epoch’s weights"),
        ("val_loss", f"nats, epoch {record.epochs}"),
        ("gap", ""),
        ("parameters", trained),
        ("peak_memory", "of the training process"),
    ):
        row = metrics.metric(name)
        value = row.read(record)
        if value is not None and (record.status == "completed" or name in ("parameters", "peak_memory")):
            title = row.title.replace(", last epoch", "").replace(", best epoch", " (best)")
            found.append(Figure(title[0].upper() + title[1:], metrics.write(name, value), detail))
    found.append(Figure("Training time", _duration(record.seconds), _processes(record)))
    return found


def _processes(record: Result) -> str:
    count = len(record.segments)
    return "in one process" if count == 1 else f"in {count} processes, one after another"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def budget(record: Result) -> str:
    """How much was trained on what, as one sentence."""
    recipe, sizes = record.recipe, record.sizes
    drawn = sizes.get("drawn", sizes["train"])
    expanded = f" (expanded to {sizes['train']:,})" if sizes["train"] != drawn else ""
    parts = [f"{sizes[part]:,} {part}" for part in ("validation", "test") if sizes.get(part)]
    held_out = f", {' and '.join(parts)} images held out" if parts else ""
    return (
        f"{record.epochs} of {recipe['epochs']} epochs on {drawn:,} training images{expanded} of {recipe['dataset']}"
        f"{held_out}; batches of {recipe['batch_size']:,}; seed {recipe['seed']}."
    )


def segments_table(record: Result) -> Table:
    """Where, when and with what each process's part was computed."""
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


def run_view(record: Result, run: Run | None, data_dir: str | Path | None = None) -> View:
    """Gather what a run's page shows; `run` is None where only the record is at hand."""
    recipe = record.recipe
    commit = f", kzoo’s commit {record.git_commit[:10]}" if record.git_commit else ""
    shape = "×".join(str(size) for size in record.data["image_shape"])
    classes_ = len(record.data["class_names"])
    return View(
        name=record.name,
        lead=f"{recipe['model']} on {recipe['dataset']}: {classes_} classes, images of {shape}.",
        failed=(record.reason or "no reason is recorded") if record.status == "failed" else "",
        figures=figures(record),
        budget=budget(record),
        changes=changes_table(recipe),
        recipe=recipe_table(recipe),
        mistakes=samples.mistakes(record, run, data_dir),
        augmentation=samples.augmentation(record, run, data_dir),
        weights=weight_charts(record, run),
        architecture=architecture(record, run),
        segments=segments_table(record),
        identity=f"Recipe {record.digest}, data {record.data['fingerprint'][:10]}{commit}.",
        **recorded(record),
    )


def run_page(run: Run | Result, path: str | Path | None = None, *, data_dir: str | Path | None = None) -> Path:
    """Write the page of a finished run: one HTML file that needs no network.

    Args:
        run: the run, or its record alone; without data or weights, what needs them is told in a sentence.
        path: of the file; ``report.html`` in the run's directory if not given. An earlier page is replaced.
        data_dir: as for `kzoo.train`; where the run found its data, if not given.

    Returns:
        The path.

    Raises:
        InputError: the run is not finished, its record is damaged, or another file is there.
        RunFailed: the file cannot be written.
    """
    if isinstance(run, Result):
        if path is None:
            raise InputError("path must be given for the page of a record: it has no directory")
        record, opened = run, None
    else:
        record, opened = run.result, run
        path = path or run.directory / "report.html"
    check_place(path)  # before the seconds that predictions take
    return write_page(path, "run.html", view=run_view(record, opened, data_dir))
