"""Commands that draw figures: diagram, confusion, calibration, histograms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.changes import BuilderOptions, assignments
from kzoo.cli.common import (
    AsJson,
    DataDir,
    Figure,
    Force,
    RunFileOrName,
    RunPath,
    app,
    check_builder_options,
    check_figures,
    import_keras,
    opened,
    out,
    print_json,
    print_table,
    save_figure,
    table,
)
from kzoo.console import say
from kzoo.errors import InputError, unknown


@app.command()
def diagram(
    target: RunFileOrName,
    set_: BuilderOptions = None,
    detail: Annotated[str, typer.Option(help="What to draw: blocks or layers.")] = "blocks",
    expand_nested: Annotated[bool, typer.Option("--expand-nested", help="Show the layers of nested models.")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="The file, .svg (default: ./NAME.svg).")] = None,
    force: Force = False,
) -> None:
    """Draw the architecture of a network as SVG."""
    options = assignments(set_)
    check_builder_options(target, options)
    import_keras()
    from kzoo.diagnostics.diagram import save_diagram

    model, _ = opened(target, 0, **options)
    path = save_diagram(
        model,
        output or Path(f"{model.name}.svg"),
        force,
        detail=detail,  # type: ignore[arg-type]
        expand_nested=expand_nested,
    )
    say(out, f"figure: {path}")


@app.command()
def confusion(
    run: RunPath,
    top: Annotated[int, typer.Option(min=1, help="Number of pairs, classes and mistakes to show.")] = 10,
    output: Figure = None,
    per_class: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save a figure of the recall and precision of every class.")
    ] = None,
    mistakes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save a picture of the most confident mistakes; needs the data.")
    ] = None,
    data_dir: DataDir = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show which classes a run's best weights confuse on the test part."""
    import_keras()
    from kzoo.diagnostics.confusion import (
        confident_mistakes,
        plot_confusion,
        plot_mistakes,
        plot_per_class,
        run_confusion,
    )
    from kzoo.training.prediction import predict_part
    from kzoo.training.run import Run

    check_figures(output, per_class, mistakes, force=force)

    # Count, and print the most confused pairs and the worst classes.
    trained = Run(run)
    counts = run_confusion(trained)
    if as_json:
        print_json(counts.to_dict())
    else:
        out.print(f"{trained.result.name}: accuracy {counts.accuracy:.4f} ({counts.images:,} images)")
        pairs = [(p.true, p.predicted, f"{p.images:,}", f"{p.share:.1%}") for p in counts.most_confused(top)]
        print_table(table(("true", "predicted", "images", "of the class"), pairs, title="most confused"))
        metrics = counts.per_class()
        worst = table(("class", "recall", "precision", "images"), title="lowest recall")
        for i in metrics["recall"].argsort()[:top]:
            numbers = (f"{metrics[name][i]:.3f}" for name in ("recall", "precision"))
            worst.add_row(counts.class_names[i], *numbers, f"{metrics['support'][i]:,}")
        print_table(worst)

    # Figures.
    title = f"{trained.result.name}, accuracy {counts.accuracy:.1%}"
    save_figure(output, force, plot_confusion, counts, title=title)
    save_figure(per_class, force, plot_per_class, counts, title=title)
    if mistakes is not None:
        predicted = predict_part(trained, "test", data_dir)
        chosen = confident_mistakes(predicted.labels, predicted.probabilities, top)
        save_figure(mistakes, force, plot_mistakes, predicted.images, chosen, trained.class_names)


@app.command()
def calibration(
    run: RunPath,
    split: Annotated[str, typer.Option(help="Part of the data: train, validation or test.")] = "test",
    bins: Annotated[int, typer.Option(min=1, help="Number of bins of the reliability diagram.")] = 15,
    data_dir: DataDir = None,
    output: Figure = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare the confidence of a run's best weights with their accuracy."""
    import_keras()
    from kzoo.diagnostics.calibration import at_temperature, fit_temperature, plot_reliability
    from kzoo.diagnostics.calibration import calibration as measure
    from kzoo.training.prediction import predict_part
    from kzoo.training.run import Run

    check_figures(output, force=force)

    # Measure as trained, then with the fitted temperature.
    trained = Run(run)
    predicted = predict_part(trained, split, data_dir)
    results = {"as trained": measure(predicted.labels, predicted.probabilities, bins=bins)}
    temperature = None
    # The temperature is fitted on the validation part, so only the test part can judge it.
    if split == "test" and trained.result.sizes.get("validation"):
        validation = predict_part(trained, "validation", data_dir)
        temperature = fit_temperature(validation.labels, validation.probabilities)
        scaled = at_temperature(predicted.probabilities, temperature)
        results[f"at temperature {temperature:.2f}"] = measure(predicted.labels, scaled, bins=bins)

    if as_json:
        content = {"split": split, "temperature": temperature}
        print_json({**content, "results": {k: v.to_dict() for k, v in results.items()}})
    else:
        shown = table((f"{split}, {len(predicted.labels):,} images", *results), title=trained.result.name)
        for title, field in (
            ("accuracy", "accuracy"),
            ("mean confidence", "confidence"),
            (f"calibration error, {bins} bins of equal width", "error"),
            (f"calibration error, {bins} bins with equal numbers of images", "equal_mass_error"),
            ("negative log likelihood", "negative_log_likelihood"),
            ("Brier score (0 to 2)", "brier"),
        ):
            shown.add_row(title, *(f"{getattr(result, field):.4f}" for result in results.values()))
        print_table(shown)
    save_figure(output, force, plot_reliability, results, title=trained.result.name)


@app.command()
def histograms(
    run: RunPath,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="A layer to show; may be repeated (default: all in the table, 12 in the figure)."),
    ] = None,
    output: Figure = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show how the distribution of each layer's weights changed over a run."""
    import_keras()
    from kzoo.diagnostics.weight_plots import plot_weight_histograms
    from kzoo.training.recorders.weight_histograms import read_weight_histograms
    from kzoo.training.run import Run

    check_figures(output, force=force)

    # Read the recorded histograms, and check the names of layers.
    trained = Run(run)
    history = read_weight_histograms(trained.directory)
    if not history.epochs:
        raise InputError(f"run {str(run)!r} has recorded no weights yet")
    for name in layer or ():
        if name not in history.layers:
            raise unknown("layer", name, history.layers)

    # The first and the last epoch of each layer, then the figure of all epochs.
    if as_json:
        print_json(history.to_dict(), indent=None)
    else:
        first, last = history.histograms[0], history.histograms[-1]
        ends = dict.fromkeys((history.epochs[0], history.epochs[-1]))
        numbers = [f"{name}\nepoch {epoch}" for name in ("deviation", "smallest", "largest") for epoch in ends]
        shown = table(("layer", *numbers), right=True, title=f"{trained.recipe.name}: weights")
        rows = (first, last) if len(history.epochs) > 1 else (first,)
        for i, path in enumerate(history.layers):
            if not layer or path in layer:
                values = [getattr(row[i], field) for field in ("deviation", "low", "high") for row in rows]
                shown.add_row(path, *(f"{value:.4g}" for value in values))
        print_table(shown)
    save_figure(output, force, plot_weight_histograms, history, layer, title=trained.recipe.name)
