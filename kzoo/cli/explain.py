"""Commands that show what a network responds to: explain, receptive-field, invariance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kzoo.cli.common import (
    AsJson,
    DataDir,
    Figure,
    First,
    Force,
    Ground,
    Images,
    RunFileOrName,
    RunPaths,
    RunSetOrFile,
    Split,
    app,
    background_of,
    check_figures,
    check_images,
    colour,
    import_keras,
    opened,
    out,
    part_images,
    print_json,
    print_table,
    save_figure,
    table,
)
from kzoo.console import say
from kzoo.errors import InputError

if TYPE_CHECKING:
    from kzoo.diagnostics.receptive_field.table import FieldRow


@app.command()
def explain(
    target: RunSetOrFile,
    images: Images = None,
    split: Split = None,
    first: First = None,
    background: Ground = None,
    data_dir: DataDir = None,
    layer: Annotated[
        str | None, typer.Option(help="Path or name of a layer (default: the last with a map of 4x4 or more).")
    ] = None,
    class_: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Class to explain (default: the predicted one).")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Directory for the pictures.")] = Path("explained"),
    feature_maps: Annotated[bool, typer.Option("--feature-maps", help="Also draw the feature maps of layers.")] = False,
    force: Force = False,
) -> None:
    """Draw Grad-CAM maps over images: where the network sees a class."""
    check_images(images, split, first, background)
    from kzoo.data.image_files import Unreadable, image_files

    unreadable, paths = Unreadable(), image_files(images or [])
    import_keras()
    from kzoo.diagnostics.explaining import explain_images, image_shape

    # Get the images from the command line's files or from a part of the run's data.
    model, names = opened(target)
    if split is None:
        ground = background_of(target) if background is None else colour(background)
        shown = list(unreadable.readable(paths, image_shape(model)[2], ground))
    else:
        shown = part_images(target, split, first, data_dir)
    if not shown:
        unreadable.check(len(paths))

    # Draw the maps and print a line for each image; files that cannot be read are reported last.
    maps = explain_images(
        model, shown, output, layer=layer, class_=class_, class_names=names, feature_maps=feature_maps, overwrite=force
    )
    for explained in maps:
        out.print(
            f"{explained.file}: predicted {explained.predicted}, shown for {explained.shown} at {explained.layer}: "
            f"{', '.join(str(path) for path in explained.pictures)}",
            soft_wrap=True,
        )
    unreadable.check(len(paths))


@app.command("receptive-field")
def receptive_field(
    target: RunFileOrName,
    effective: Annotated[
        bool, typer.Option("--effective/--exact", help="Whether to measure effective fields too.")
    ] = True,
    images: Annotated[int, typer.Option(min=1, help="Number of random images to measure with.")] = 8,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Side of these images in pixels, large enough for every field (default: the model's)."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the images, and of a named model's initial weights.")] = 0,
    output: Figure = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show receptive fields layer by layer: exact, by the formula of report d, and effective."""
    import_keras()
    from kzoo.diagnostics.receptive_field.plots import plot_field_table
    from kzoo.diagnostics.receptive_field.table import field_table

    # Refuse a figure that cannot be drawn or written, before any work.
    check_figures(output, force=force)
    if output is not None and not effective:
        raise InputError("--output shows effective fields: leave out --exact")

    # Measure, then print and draw.
    model, _ = opened(target, seed)
    with out.status("") as status:
        rows = field_table(
            model,
            effective=effective,
            count=images,
            image_size=image_size,
            seed=seed,
            progress=lambda name: status.update(f"measuring {name}"),
        )
    if as_json:
        print_json([row.to_dict() for row in rows])
    else:
        _print_fields(model.name, rows)
    save_figure(output, force, plot_field_table, rows)
    _say_where(output, as_json)


@app.command()
def invariance(
    runs: RunPaths,
    limit: Annotated[int, typer.Option(min=1, help="Number of test images.")] = 1000,
    fill: Annotated[str, typer.Option(help="Pixels at the border of a moved image: edge or black.")] = "edge",
    output: Figure = None,
    force: Force = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure accuracy on shifted and rotated test images."""
    import_keras()
    from kzoo.diagnostics.invariance import invariance as measure
    from kzoo.diagnostics.invariance import plot_invariance
    from kzoo.studies.run_comparison import run_labels
    from kzoo.training.run import Run

    check_figures(output, force=force)

    # Measure each run.
    opened_runs = [Run(directory) for directory in runs]
    results = []
    for run, label in zip(opened_runs, run_labels(runs, [run.result for run in opened_runs]), strict=True):
        part = run.part("test", data_dir)
        results.append(measure(run.model, part.images[:limit], part.labels[:limit], fill=fill, name=label))

    # A table for each kind of movement.
    if as_json:
        print_json([result.to_dict() for result in results])
    else:
        for kind, unit in (("shift", "pixels"), ("rotation", "degrees")):
            columns = (unit, *(result.name for result in results))
            shown = table(columns, right=columns, title=f"accuracy by {kind}")
            for index, amount in enumerate(results[0].shifts if kind == "shift" else results[0].angles):
                shown.add_row(f"{amount:g}", *(f"{getattr(r, f'{kind}_accuracy')[index]:.3f}" for r in results))
            print_table(shown)
    save_figure(output, force, plot_invariance, results)
    _say_where(output, as_json)


def _say_where(figure: Path | None, as_json: bool) -> None:
    if figure is not None and not as_json:  # standard output must hold only the JSON
        say(out, f"figure: {figure}")


def _print_fields(name: str, rows: list[FieldRow]) -> None:
    numbers = ("output", "exact", "report d", "95% radius", "deviation")
    shown = table(("layer", "type", *numbers), right=numbers, title=f"{name}: layers that change the field")
    for before, row in zip([None, *rows], rows, strict=False):
        field = row.effective
        if before and before.exact == row.exact and not field and not row.report_d:
            continue  # an activation, for example; --json shows every layer
        shown.add_row(
            row.name,
            row.type,
            "x".join("?" if size is None else str(size) for size in row.output_shape),
            "x".join(map(str, row.exact)),
            "x".join(f"{side:.3g}" for side in row.report_d) if row.report_d else "",
            f"{field.radius:.1f}" if field else "",
            f"{field.deviation:.1f}" if field else "",
        )
    print_table(shown)
