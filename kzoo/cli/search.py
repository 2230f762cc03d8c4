"""Commands on searches: run one, look at one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kzoo.cli.common import (
    AsJson,
    DataDir,
    Figure,
    Force,
    Set,
    app,
    assignments,
    complain,
    import_keras,
    interruptible,
    numbers,
    out,
)
from kzoo.console import plain_console
from kzoo.errors import InputError

Role = Annotated[str | None, typer.Option(metavar="chief|worker", help="Run one part, on this machine.")]


@app.command()
def search(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file with `search = kzoo.Search(...)`.")],
    tuner: Annotated[str | None, typer.Option(help="random, grid, bayesian or hyperband.")] = None,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Trials in all, rejected ones left out.")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="No trial begins after so long.")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Trials at a time, one each GPU [1].")] = None,
    own_process: Annotated[bool, typer.Option("--own-process", help="Each trial in a process of its own.")] = False,
    memory: Annotated[
        float | None, typer.Option(metavar="GIB", help="Memory of a trial's process; with --own-process.")
    ] = None,
    directory: Annotated[Path | None, typer.Option(help="Of the search; searches/NAME-DIGEST if not given.")] = None,
    set_: Set = None,
    dataset: Annotated[str | None, typer.Option(help="--set dataset=...")] = None,
    epochs: Annotated[str | None, typer.Option(metavar="INTEGER", help="--set epochs=...")] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="INTEGER", help="--set batch_size=...")] = None,
    seed: Annotated[str | None, typer.Option(metavar="INTEGER", help="--set seed=...")] = None,
    data_dir: DataDir = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew in a new directory.")] = False,
    role: Role = None,
    bind: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where a chief listens.")] = None,
    chief: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where a worker's chief is.")] = None,
    name: Annotated[str | None, typer.Option(help="A worker's, unlike those of the others.")] = None,
    wait: Annotated[float | None, typer.Option(metavar="SECONDS", help="For a worker to find its chief [10].")] = None,
    worker_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="After which a silent worker's trial is another's [30].")
    ] = None,
) -> None:
    """Search a space of recipes; the same command goes on where it stopped. Fields that are set are varied no more."""
    from kzoo.search.search import load_search

    plan = load_search(file)
    shorthands = {"dataset": dataset, "epochs": epochs, "batch_size": batch_size, "seed": seed}
    given = [f"{field}={value}" for field, value in shorthands.items() if value is not None]
    changes = assignments([*(set_ or []), *given])
    options: dict[str, Any] = {"tuner": tuner, "trials": trials, "minutes": minutes, "memory": memory}
    options |= {"own_process": own_process or None}
    plan = plan.override(**changes).replace(**{key: value for key, value in options.items() if value is not None})
    _check_role(role, bind, chief, name, wait, workers)
    if role == "worker" and worker_timeout is not None:
        raise InputError("--worker-timeout is for --role chief and --workers")
    if role is not None:
        parts = {"bind": bind, "chief": chief, "name": name, "wait": wait, "timeout": worker_timeout}
        _run_part(role, plan, directory, data_dir, {key: value for key, value in parts.items() if value is not None})
        return
    from kzoo.search.cluster import default_workers

    count = workers if workers is not None else default_workers()
    if count is not None and count != 1:
        words = _words(file, plan, options, changes, data_dir)
        result = interruptible(_with_workers, plan, words, directory, count, fresh, worker_timeout)
    else:
        import_keras()
        from kzoo.search.running import run_search

        result = interruptible(run_search, plan, directory, data_dir=data_dir, progress=out, fresh=fresh)
    _show(result)


def _check_role(
    role: str | None, bind: str | None, chief: str | None, name: str | None, wait: float | None, workers: int | None
) -> None:
    if role not in (None, "chief", "worker"):
        raise InputError(f"--role is chief or worker, not {role!r}")
    if role is not None and workers is not None:
        raise InputError("--workers starts chief and workers on this machine: leave it out with --role")
    mine = {"chief": {"--bind"}, "worker": {"--chief", "--name", "--wait"}, None: set()}[role]
    for option, value in {"--bind": bind, "--chief": chief, "--name": name, "--wait": wait}.items():
        if value is not None and option not in mine:
            raise InputError(f"{option} is for --role {'chief' if option == '--bind' else 'worker'}")
    if role == "worker" and (chief is None or name is None):
        raise InputError("a worker needs --chief HOST:PORT and --name NAME")


def _run_part(role: str, plan: Any, directory: Path | None, data_dir: Path | None, options: dict[str, Any]) -> None:
    from kzoo.search.roles import run_chief, run_worker

    run = run_chief if role == "chief" else run_worker
    result = interruptible(run, plan, directory, data_dir=data_dir, **options)
    if role == "chief":
        _show(result)


def _words(file: Path, plan: Any, options: dict[str, Any], changes: dict[str, Any], data_dir: Path | None) -> list[str]:
    """The command line that chief and workers get."""
    words = ["search", str(file)]
    for option in ("tuner", "trials", "minutes", "memory"):
        if options[option] is not None:
            words += [f"--{option}", str(options[option])]
    words += ["--own-process"] if plan.own_process else []
    for field, value in changes.items():
        words += ["--set", f"{field}={json.dumps(value)}"]
    return words + (["--data-dir", str(data_dir)] if data_dir is not None else [])


def _with_workers(
    plan: Any, words: list[str], directory: Path | None, workers: int, fresh: bool, timeout: float | None
) -> Any:
    from kzoo.search.cluster import run_cluster
    from kzoo.search.live import SearchProgress
    from kzoo.search.results import place, read_search

    folder = place(plan, directory)
    if fresh:
        import_keras()
        from kzoo.training.directory import new_place

        folder = new_place(folder)

    def tell(text: str) -> None:
        out.print(text, highlight=False, markup=False, soft_wrap=True)

    with SearchProgress(out, plan, folder):
        run_cluster(words, folder, workers, timeout=timeout, tell=tell)
    return read_search(folder)


def _show(result: Any) -> None:
    """Print a search's table, what mattered, and where the rest is."""
    from kzoo.search import tables
    from kzoo.search.confirming import verdict
    from kzoo.search.importance import importances
    from kzoo.search.records import BEST, PICTURE, TABLE

    console = out if out.is_terminal else plain_console(width=160)
    console.print()
    console.print(tables.rich_table(result), highlight=False)
    console.print()
    try:
        rows, fit = importances(result)
    except InputError:
        pass  # too few trials
    else:
        console.print(tables.importance_table(rows), highlight=False)
        console.print(tables.fit_in_words(fit), highlight=False, soft_wrap=True)
        console.print()
    out.print(tables.summary(result), highlight=False, markup=False, soft_wrap=True)
    if result.record.confirmed:
        out.print(verdict(result), highlight=False, markup=False, soft_wrap=True)
    for name in (BEST, TABLE, PICTURE):
        if (result.directory / name).exists():
            out.print(f"  {result.directory / name}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def trials(
    directory: Annotated[Path, typer.Argument(metavar="SEARCH", help="A search's directory, or its record.")],
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: AsJson = False,
    figure: Figure = None,
    best: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the best trial's recipe, for kzoo train.")
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Train the best and the recipe's own values with other seeds, e.g. 1,2,3."),
    ] = None,
    data_dir: DataDir = None,
    force: Force = False,
) -> None:
    """Show what a search has come to, finished or not."""
    from kzoo.search import tables
    from kzoo.search.results import read_search

    result = read_search(directory)
    if confirm is not None:
        seeds = numbers("--confirm", confirm)
        import_keras()
        from kzoo.search.confirming import confirm as train_again

        result = interruptible(train_again, directory, seeds, data_dir=data_dir, progress=out)
    if figure is not None:
        from kzoo.diagnostics.plots import check_output, save_figure
        from kzoo.search.pictures import plot_search

        check_output(figure, overwrite=force)
        save_figure(plot_search(result), figure, overwrite=force)
    if best is not None:
        from kzoo.diagnostics.plots import check_output, write_output

        write_output(check_output(best, overwrite=force, suffixes=(".json",)), result.recipe().to_json().encode())
    if as_json:
        print(json.dumps(result.record.model_dump(mode="json"), indent=1))
    elif as_markdown:
        print(tables.markdown(result), end="")
    else:
        _show(result)
        if result.status == "running":
            complain("warning", "this search runs, or was cut off: kzoo search FILE goes on with it")
