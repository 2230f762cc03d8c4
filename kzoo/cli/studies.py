"""Commands for studies: list, show, run, table, report, collect."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from kzoo.cli.changes import with_changes
from kzoo.cli.common import (
    AsJson,
    DataDir,
    On,
    app,
    complain,
    import_keras,
    interruptible,
    numbers,
    out,
    print_json,
    print_table,
    table,
    wide_console,
)
from kzoo.cli.guide import pass_on
from kzoo.cli.parsing import App
from kzoo.console import say
from kzoo.errors import InputError, KzooError
from kzoo.files import make_directory

studies = App(no_args_is_help=True, help="Studies: questions of the reports, with runs, tables and verdicts.")
app.add_typer(studies, name="study")


def _check_study(name: str) -> str:
    from kzoo.studies import get_study

    return get_study(name).name


Name = Annotated[str, typer.Argument(metavar="NAME", help="A study's name.", callback=_check_study)]
Records = Annotated[
    list[Path] | None, typer.Option("--records", metavar="DIR", help="Directory of runs or records; may be repeated.")
]


@studies.command("list")
def list_(pattern: Annotated[str, typer.Argument(help="Wildcard.")] = "*", as_json: AsJson = False) -> None:
    """List studies."""
    from kzoo.studies import get_study, list_studies

    listed = [get_study(name) for name in list_studies(pattern)]
    if not listed:
        raise InputError(f"pattern {pattern!r} matches no study")
    if as_json:
        print_json([item.to_dict() for item in listed])
        return
    rows = [(item.name, item.report, str(len(item.entries)), item.question) for item in listed]
    print_table(table(("study", "report", "runs", "question"), rows, right=("runs",)))


@studies.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a study: its question, runs, reported metrics and claims."""
    from kzoo.studies import get_study, metrics

    study = get_study(name)
    if as_json:
        print_json(study.to_dict())
        return
    out.print(f"{study.question} ({_source(study.report)})")
    shown = table(("run", "recipe", "model", "dataset", "epochs", "reported"))
    for entry in study.entries:
        recipe = entry.recipe
        reported = "; ".join(filter(None, (metrics.write_all(entry.reported), entry.note)))
        shown.add_row(entry.label, recipe.name, recipe.model, recipe.dataset, str(recipe.epochs), reported or "-")
    print_table(shown)
    for claim in study.claims:
        say(out, f"- {claim.text} ({claim.source})")
    for note in study.notes:
        say(out, note)


def _source(report: str) -> str:
    return f"report {report}" if len(report) == 1 else report


@studies.command()
@with_changes(without=("seed",))
def run(
    *,
    name: Name,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WILDCARD", help="Only runs whose label or recipe matches; may be repeated (default: all)."
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="LIST", help="Seeds of every run, e.g. 0,1,2 (default: the recipe's).")
    ] = None,
    changes: dict[str, Any],
    data_dir: DataDir = None,
    directory: Annotated[Path, typer.Option(metavar="RUNS", help="Directory of the runs.")] = Path("runs"),
    records: Records = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Number of runs at a time, each in a separate process (default: 1).")
    ] = None,
    on: On = None,
) -> None:
    """Train the runs of a study that have no record yet. The same command resumes a study."""
    from kzoo.studies import get_study, running
    from kzoo.studies.progress import StudyProgress
    from kzoo.studies.record_files import read_records

    # A record that cannot be used does not count: say so before its run is trained again.
    study = get_study(name)
    known = read_records(_folders(directory, records)).problems
    for problem in known:
        complain("warning", problem)

    # Train the runs that are not recorded yet, then print the tables.
    tasks = running.plan(
        study,
        only=only or "*",
        seeds=numbers("--seeds", seeds) if seeds is not None else None,
        changes=changes,
        directory=directory,
        records=records,
    )
    pool = _pool(workers, on)
    with StudyProgress(out, study.question, tasks) as shown:
        ended = interruptible(running.run_tasks, tasks, data_dir=data_dir, pool=pool, tell=shown.tell)
    failure = running.failures(ended)
    try:
        _show_results(study, tasks, directory, records, known)
    except KzooError as error:  # the page cannot be written, say
        if failure is None:
            raise
        complain("warning", str(error))
    if failure:
        raise failure


def _pool(workers: int | None, on: str | None) -> Any:
    """The pool that trains the runs, each in a separate process if possible, to measure its peak memory."""
    from kzoo.pool import make_pool

    if on is None and workers is None and os.name != "posix":
        import_keras()
        return make_pool()
    return make_pool(1 if on is None and workers is None else workers, on)


def _folders(directory: Path, records: list[Path] | None) -> list[Path]:
    """The directories with the records of a study that trains in `directory`."""
    from kzoo.studies.record_files import RESULTS

    folders = [directory, *(records if records is not None else [RESULTS])]
    return [folder for folder in folders if folder.is_dir()]


def _show_results(
    study: Any, tasks: Any, directory: Path, records: list[Path] | None, known: Collection[str] = ()
) -> None:
    """Print the tables of the budgets just trained, and write the study's page; `known` problems are not repeated."""
    from kzoo.studies import records as files
    from kzoo.studies.budget import budget, label
    from kzoo.studies.record_files import RUNS

    folders = _folders(directory, records)
    pass_on("--records", folders if [directory, records] != [RUNS, None] else ())
    index = files.study_records(study, files.read_records(folders))
    for problem in index.problems:
        if problem not in known:
            complain("warning", problem)
    wanted = {
        label(changes)
        for task in tasks
        for name in task.labels
        if (changes := budget(study, study.entry(name), task.recipe)) is not None
    }
    for group in index.budgets.values():
        if group.budget in wanted:
            _print_group(group)
    _write_page(study, index, directory / f"{study.name}.html")


def _write_page(study: Any, index: Any, path: Path) -> None:
    from kzoo.html_report import study_page

    make_directory(path.parent)  # `runs` does not exist if all records are in `results`
    say(out, f"\npage: {study_page(study, index, path)}")


def _print_group(group: Any) -> None:
    from kzoo.studies import rendering, tables

    console = wide_console()
    for part in rendering.rich_tables(group, console.width):
        console.print()
        console.print(part)
    for note in [*tables.notes(group), *tables.reasons(group)]:
        say(console, note)
    verdicts = rendering.rich_verdicts(group)
    if verdicts is not None:
        console.print()
        console.print(verdicts)


def _records_of(study: Any, records: list[Path] | None) -> Any:
    """A study's records; warns about damaged records and about custom functions that have changed since."""
    from kzoo.studies import records as files
    from kzoo.studies.unchanged import remarks

    pass_on("--records", records or ())
    index = files.study_records(study, files.read_records(records))
    for problem in [*index.problems, *remarks(index.every_file)]:
        complain("warning", problem)
    return index


@studies.command("table")
def table_(
    name: Name,
    records: Records = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the tables and verdicts of a study, for each budget that has records."""
    from kzoo.studies import get_study, rendering, tables

    study = get_study(name)
    index = _records_of(study, records)
    if as_json:
        print_json(rendering.to_dict(study, index))
    elif as_markdown:
        for group in index.budgets.values():
            print(f"### {tables.heading(group)}\n\n{rendering.markdown(group)}")
    else:
        for group in index.budgets.values():
            _print_group(group)
    if not index.budgets:
        complain("warning", f"study {name!r} has no records: kzoo study run {name}")


@studies.command()
def report(
    name: Name,
    records: Records = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Path of the page (default: runs/NAME.html).")
    ] = None,
) -> None:
    """Write the page of a study: one HTML file with tables, verdicts, curves and runs."""
    from kzoo.studies import get_study
    from kzoo.studies.record_files import RUNS

    study = get_study(name)
    index = _records_of(study, records)
    if not index.budgets:
        raise InputError(f"study {name!r} has no records: kzoo study run {name}")
    _write_page(study, index, output or RUNS / f"{name}.html")
    pass_on("--directory", records if records is not None and len(records) == 1 else ())


@studies.command()
def collect(
    name: Name,
    directory: Annotated[Path, typer.Option(metavar="RUNS", help="Directory of the runs.")] = Path("runs"),
    into: Annotated[Path, typer.Option(metavar="RESULTS", help="Directory of the records.")] = Path("results"),
) -> None:
    """Copy the records of a study's finished runs to a directory, without this machine's data directory."""
    from kzoo.studies import get_study
    from kzoo.studies.collecting import collect as gather
    from kzoo.studies.record_files import RESULTS, RUNS

    copied, problems = gather(get_study(name), directory, into)
    for problem in problems:
        complain("warning", problem)
    for path in copied:
        say(out, str(path))
    out.print(f"{len(copied)} new records")
    elsewhere = [directory, into] != [RUNS, RESULTS]
    pass_on("--records", [folder for folder in (directory, into) if elsewhere and folder.is_dir()])
