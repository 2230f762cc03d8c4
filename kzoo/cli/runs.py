"""Commands for runs: train, resume, evaluate, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kzoo.cli.changes import with_changes
from kzoo.cli.common import (
    AsJson,
    DataDir,
    RunOrSet,
    RunPath,
    app,
    import_keras,
    interruptible,
    numbers,
    out,
    print_json,
    print_table,
    table,
)
from kzoo.cli.guide import done
from kzoo.console import say
from kzoo.errors import InputError, counted

if TYPE_CHECKING:
    from kzoo.recipes import Recipe
    from kzoo.training.evaluation import Evaluation
    from kzoo.training.records import RunRecord
    from kzoo.training.run import Run
    from kzoo.training.seeds import SeedRuns


@app.command()
@with_changes()
def train(
    *,
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's or model's name, or a JSON file.")],
    changes: dict[str, Any],
    seeds: Annotated[str | None, typer.Option(metavar="LIST", help="Train once for each seed, e.g. 0,1,2.")] = None,
    data_dir: DataDir = None,
    directory: Annotated[Path | None, typer.Option(help="Directory of the run (default: runs/NAME-DIGEST).")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again in a new directory.")] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="Start from the finished run with fewer epochs; RECIPE may be that run.")
    ] = False,
    no_diagnostics: Annotated[
        bool, typer.Option("--no-diagnostics", help="Record no gradient flow and no histograms of weights.")
    ] = False,
) -> None:
    """Train a recipe. The same command again resumes the run, or prints its result."""
    if seeds is not None and "seed" in changes:
        raise InputError("--seed and --seeds: choose one")
    # Refuse unknown names at once, before Keras is loaded, which takes seconds.
    from kzoo.training.finding import check_new

    chosen_recipe, source = _named(recipe, extend)
    chosen_recipe = chosen_recipe.override(**changes)
    resolved = chosen_recipe.resolved()
    if extend:
        from kzoo.training.extending import check_extensible

        check_extensible(chosen_recipe)
    elif directory is None:
        check_new(resolved, data_dir, fresh)
    import_keras()
    from kzoo.training.train import train as run_recipe

    # Train once, or once for each seed.
    options = {"data_dir": data_dir, "directory": directory, "fresh": fresh, "diagnostics": not no_diagnostics}
    options["extend"] = source or extend
    if seeds is not None:
        from kzoo.training.seeds import train_seeds

        print_seeds(interruptible(train_seeds, chosen_recipe, numbers("--seeds", seeds), progress=out, **options))
        return
    print_result(interruptible(run_recipe, chosen_recipe, progress=out, **options))


def _named(recipe: str, extend: bool) -> tuple[Recipe, Path | None]:
    """The recipe, and the directory of the run to extend if `recipe` names one."""
    if extend:
        from kzoo.training.extending import extended_recipe

        return extended_recipe(recipe)
    from kzoo.recipes import get_recipe

    return get_recipe(recipe), None


@app.command()
def resume(run: RunPath, data_dir: DataDir = None) -> None:
    """Resume an interrupted run."""
    import_keras()
    from kzoo.training.train import resume as resume_run

    print_result(interruptible(resume_run, run, data_dir=data_dir, progress=out))


@app.command()
def evaluate(
    run: RunOrSet,
    split: Annotated[str, typer.Option(help="Part of the data: train, validation or test.")] = "test",
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another dataset with the same classes (default: the run's own)."),
    ] = None,
    tta: Annotated[str | None, typer.Option(help="Test-time augmentation: flip or flip-shift.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate the best weights of a run, or a weight set, on a part of its data or of another dataset."""
    from kzoo.data.datasets import get_dataset
    from kzoo.training.finding import check_part, check_tta

    check_part(split)
    check_tta(tta)
    if dataset is not None:
        get_dataset(dataset)
    import_keras()
    from kzoo.training.saved_set import open_run

    score: Evaluation = open_run(run).evaluate(split, data_dir, tta=tta, dataset=dataset)
    if as_json:
        print_json({"split": split, "dataset": dataset, "tta": tta, **score.to_dict()})
    else:
        part = f"{split}{f' of {dataset}' if dataset else ''}{f' with {tta}' if tta else ''}"
        out.print(f"{part}: loss {score.loss:.4f}, accuracy {score.accuracy:.4f} ({score.images:,} images)")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory, or a record (a JSON file).")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Path of the page (default: report.html in the run's directory, or a record's name with .html)."
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the page of a run: one HTML file with metrics, curves, mistakes and internals."""
    from kzoo.html_report.document import check_page
    from kzoo.training.finding import check_run
    from kzoo.training.records import read_result

    source: RunRecord | None = None
    if run.is_file():
        source = read_result(run)
        output = output or run.with_suffix(".html")
    elif not (run / "recipe.json").is_file():
        check_run(run)
    check_page(output or run / "report.html")
    import_keras()
    from kzoo.html_report import run_page
    from kzoo.training.run import Run

    path = run_page(source or Run(run), output, data_dir=data_dir)
    say(out, f"page: {path}")


def print_seeds(runs: SeedRuns) -> None:
    shown = table(runs.header(), runs.rows(), title=f"\n{runs[0].recipe.name}")
    shown.title_justify = "left"
    print_table(shown)
    for run in runs:
        say(out, f"  record: {run.directory / 'result.json'}")


def print_result(run: Run) -> None:
    result = run.result
    done["directory"] = str(run.directory)
    epochs = counted(result.epochs, "epoch")
    out.print(f"\n{result.name}: {result.parameters_in_words()}, {epochs}, seed {result.recipe['seed']}")
    for title, score in (
        ("train (last epoch)", result.train),
        (f"validation (best, epoch {result.best_epoch})", result.best),
        ("validation (last epoch)", result.last),
        ("test (best epoch's weights)", result.test),
        (f"test with {result.recipe.get('tta')}", result.test_tta),
    ):
        if score is not None:
            out.print(f"  {title:<34} loss {score.loss:.4f}  accuracy {score.accuracy:.4f}")
    say(out, f"  {result.seconds:,.1f} s; record: {run.directory / 'result.json'}")
