"""Records of searches: reading, ranking, tables, pictures, importances, and the winner on other seeds."""

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace as Namespace

import numpy as np
import pytest
from rich.console import Console

import kzoo
from kzoo import Choice, InputError, Range, Search
from kzoo.cli.search import _show_importances
from kzoo.diagnostics.option_importance import Importance
from kzoo.search.confirming import confirm, verdict
from kzoo.search.results import Confirmation, Outcome, SearchRecord, SearchResult, Trial, read_search
from kzoo.search.summary import importances, plot_search
from kzoo.search.tables import SearchProgress, in_words, markdown, rich_table, row, summary

SEARCH = Search(
    "own",
    "lenet1-max",
    {
        "optimizer.learning_rate": Range(1e-4, 1e-1, log=True),
        "model_options.reduction": Choice("max", "average"),
        "l2": Choice(0.0, 1e-3),
        "l1": Choice(0.0, 1e-5, when={"l2": 0.0}),
    },
)


def made(count=12, **changes):
    """Scores that depend mostly on the rate, slightly on the reduction, and not on l2."""
    rng, trials = np.random.default_rng(0), []
    for number in range(count):
        values = {
            "optimizer.learning_rate": float(f"{10 ** rng.uniform(-4, -1):.6g}"),
            "model_options.reduction": str(rng.choice(["max", "average"])),
            "l2": float(rng.choice([0.0, 1e-3])),
        }
        if values["l2"] == 0.0:
            values["l1"] = 1e-5
        score = 0.9 - 0.1 * abs(np.log10(values["optimizer.learning_rate"]) + 2.5)
        score += 0.02 * (values["model_options.reduction"] == "max")
        facts = {"best_epoch": 2, "epochs": 3, "seconds": 4.0, "parameters": 100, "segments": 1, "changes": values}
        outcome = Outcome(status="completed", score=score, **facts)
        name, directory = f"{number:04d}", f"trial_{number:04d}/run"
        trials.append(Trial(number=name, status="completed", values=values, outcome=outcome, directory=directory))
    record = SearchRecord(name="own", digest="d", search=SEARCH.to_dict(), budget={}, status="completed", trials=trials)
    return SearchResult(Path("."), record.model_copy(update=changes))


def failed(number):
    outcome = Outcome(status="failed", reason="the loss | is nan")
    return Trial(number=number, status="failed", values={"l2": 0.0}, outcome=outcome, directory=f"trial_{number}/run")


def test_record_is_read_as_it_was_written():
    result = made()
    Path("search.json").write_text(result.record.model_dump_json(indent=1))
    assert read_search("search.json").record == read_search(".").record == result.record
    text = json.loads(result.record.model_dump_json(indent=1))
    Path("search.json").write_text(json.dumps({**text, "schema_version": 2}))
    with pytest.raises(InputError, match="newer than 1"):
        read_search("search.json")
    Path("search.json").write_text(result.record.model_dump_json(indent=1)[:-50])
    with pytest.raises(InputError, match="cannot be read"):
        read_search(".")


def test_best_recipe_has_the_best_trials_values():
    result = made()
    best = max(result.trials, key=lambda trial: trial.score)
    assert result.best == best
    recipe = result.recipe()
    assert recipe.name == "own/best"
    assert recipe.optimizer.learning_rate == best.values["optimizer.learning_rate"]
    assert recipe.model_options["reduction"] == best.values["model_options.reduction"]
    assert kzoo.Recipe.from_json(recipe.to_json()) == recipe
    smaller = {**result.record.search, "objective": "val_loss"}
    least = SearchResult(Path("."), result.record.model_copy(update={"search": smaller}))
    assert least.best == min(result.trials, key=lambda trial: trial.score)
    with pytest.raises(InputError, match="no completed trial"):
        _ = made(0).best


@pytest.mark.parametrize(("base", "other"), [("adam", "adamw"), ("adamw", "adam")])
def test_recipe_of_a_trial_has_the_defaults_of_what_it_varies(base, other):
    """AdamW's default weight decay is 0.004, and Adam's is 0."""
    search = Search("own", kzoo.recipe("lenet1-max").override(optimizer=base), {"optimizer": Choice("adam", "adamw")})
    result = made(1, search=search.to_dict())
    outcome = result.best.outcome.model_copy(update={"changes": {"optimizer": other}})
    trial = result.best.model_copy(update={"outcome": outcome})
    trained = search.base.override(optimizer=other)
    assert result.recipe(trial).digest() == trained.digest()
    assert result.recipe(trial).resolved().weight_decay == {"adam": 0.0, "adamw": 0.004}[other]


def test_table_has_every_trial_the_best_first():
    result = made(3)
    result.record.trials.append(failed("0003"))
    text = markdown(result)
    rows = [line for line in text.splitlines() if line.startswith("| 0")]
    assert [row.split(" | ")[0] for row in rows] == [f"| {t.number}" for t in result.ranked()] + ["| 0003"]
    assert rows[-1].count(" | ") == rows[0].count(" | ")
    assert "failed: the loss" in rows[-1]
    assert "3 completed, 1 failed" in summary(result)
    exhausted = summary(made(3, skipped=2, reason="its space is exhausted"))
    assert "ended because its space is exhausted" in exhausted
    assert "proposed configurations skipped, because they had been tried before: 2" in exhausted


def test_the_trial_with_the_recipes_values_is_named_and_compared_with_the_best():
    result = made(3)
    best, *_, other = (trial.number for trial in result.ranked())
    named = made(3, baseline=other)
    rows = [line.split(" | ")[0] for line in markdown(named).splitlines() if line.startswith("| 0")]
    assert [row for row in rows if "the recipe's values" in row] == [f"| {other} (the recipe's values)"]
    score = next(trial.score for trial in named.trials if trial.number == other)
    assert summary(named).endswith(f"; the recipe's values: val_accuracy {score:.4f} (epoch 2 of 3)")
    assert f"best: trial {best}, val_accuracy {result.best.score:.4f} (epoch 2 of 3)" in summary(named)
    assert "the recipe's values" not in summary(made(3, baseline=best))
    assert "the recipe's values" not in summary(result) + markdown(result)


def test_a_row_shows_all_that_is_known_of_a_trial():
    result = made(1)
    (trial,) = result.trials
    trial.values.update({"optimizer.learning_rate": 0.00123456, "l2": 0.0, "l1": 1e-5})
    rate, reduction, *rest = row(result, trial)[1:]
    assert (rate, reduction) == ("0.001235", trial.values["model_options.reduction"])
    assert rest == ["0", "1e-05", f"{trial.score:.4f}", "3", "100", "4", "completed"]
    assert row(result, trial, "2 (0.5)")[-4] == "2 (0.5)"
    assert row(result, failed("0003"))[-5:] == ["", "", "", "", "failed: the loss | is nan"]
    sides = {column.header: column.justify for column in rich_table(result).columns}
    right = [header for header, side in sides.items() if side == "right"]
    assert right == ["val_accuracy", "epochs", "parameters", "seconds"]
    assert list(sides)[:3] == ["trial", "optimizer.learning_rate", "reduction"]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, "completed", "(epoch 2 of 3)"),
        ({"stopped": True}, "stopped early", "(epoch 2 of 3, stopped early)"),
        ({"stopped": True, "resumed": True}, "stopped early, resumed", "(epoch 2 of 3, stopped early, resumed)"),
        ({"resumed": True}, "completed, resumed", "(epoch 2 of 3, resumed)"),
    ],
)
def test_how_a_trial_ended_is_shown(fields, status, words):
    result = made(1)
    trial = result.trials[0].model_copy(update={"outcome": result.trials[0].outcome.model_copy(update=fields)})
    assert row(result, trial)[-1] == status
    assert in_words(trial, "val_accuracy").endswith(words)
    assert in_words(failed("0003"), "val_accuracy") == "failed: the loss | is nan"


def test_the_live_table_has_the_best_trials_and_those_under_way(monkeypatch):
    monkeypatch.setattr("kzoo.search.tables.SHOWN", 2)
    record = made(5).record
    running = Trial(number="0006", status="running", values={}, directory="trial_0006/run")
    record.trials.extend([failed("0005"), running])
    Path("trial_0006/run").mkdir(parents=True)
    Path("trial_0006/run/metrics.csv").write_text("epoch,loss,val_accuracy,seconds\n1,1.0,0.25,1.0\n2,1.0,0.5,1.0\n")
    table = SearchProgress(None, SEARCH.replace(trials=9), Path("."), record).table()
    best = sorted(trial.number for trial in SearchResult(Path("."), record).ranked()[:2])
    cells = {column.header: list(column.cells) for column in table.columns}
    assert cells["trial"] == [*best, "0006"]
    assert cells["epochs"] == ["3", "3", "2 (0.5000)"]
    assert table.title == "own: 6 of 9 trials, random"  # completed or failed
    Path("trial_0006/run/metrics.csv").unlink()
    again = SearchProgress(None, SEARCH, Path("."), record).table()
    assert list(again.columns[-4].cells)[-1] == "0"
    assert again.title.endswith(f"{SEARCH.budget} trials, random" if SEARCH.budget else "own: 6 trials, random")


def test_each_end_of_a_trial_is_printed_once_where_there_is_no_table():
    console = Console(file=io.StringIO(), width=200)
    shown = SearchProgress(console, SEARCH, Path("."), made(1).record)
    for count in (1, 2, 2, 3):
        shown.show(made(count).record)
    lines = console.file.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["trial 0001", "trial 0002"]
    trial = made(3).trials[2]
    values = f"optimizer.learning_rate={trial.values['optimizer.learning_rate']:.4g}, model_options.reduction="
    assert lines[1].startswith(f"trial 0002: val_accuracy {trial.score:.4f} (epoch 2 of 3); {values}")


def test_importances_that_explain_little_say_so():
    for fit, doubted in ((0.2, True), (0.21, False)):
        console = Console(file=io.StringIO(), width=200)
        _show_importances([Importance("l2", 0.5, 0.01)], fit, console)
        text = console.file.getvalue()
        assert "0.500 ± 0.010" in text
        assert ("too few trials, or too similar ones" in text) == doubted


def test_importance_finds_what_matters():
    rows, fit = importances(made(60))
    assert [row.field for row in rows][:2] == ["optimizer.learning_rate", "model_options.reduction"]
    assert rows[0].importance > 5 * max(row.importance for row in rows if row.field.startswith("l"))
    assert fit > 0.5
    with pytest.raises(InputError, match="needs at least 5"):
        importances(made(4))


def test_picture_has_an_axis_a_field_and_a_line_a_trial():
    figure = plot_search(made(12))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "optimizer.\nlearning_rate", "model_options.\nreduction", "l2", "l1", "val_accuracy",
    ]  # fmt: skip
    lines = [line for line in axes.lines if len(line.get_xdata()) == 5]
    assert len(lines) == 12
    heights = np.array([line.get_ydata() for line in lines])
    assert (heights >= 0).all()
    assert (heights <= 1.001).all()
    best = max(lines, key=lambda line: line.get_linewidth())
    assert best.get_ydata()[-1] == heights[:, -1].max() == 1.0
    assert "not varied" in {text.get_text() for text in axes.texts}
    with pytest.raises(InputError, match="needs two"):
        plot_search(made(1))
    result = made(4)  # no trial had a value of this range
    result.record.search["space"]["l3"] = {"kind": "range", "low": 0.0, "high": 0.1, "step": None, "log": False}
    assert len(plot_search(result).axes[0].get_xticklabels()) == 5


def test_other_seeds_confirm_or_do_not():
    def verdict_on(best, base):
        rows = [(which, seed, score) for which, scores in (("best", best), ("recipe", base)) for seed, score in scores]
        confirmed = [
            Confirmation(which=w, seed=s, val_accuracy=0.0, test_accuracy=x, epochs=1, parameters=1, seconds=1.0)
            for w, s, x in rows
        ]
        return verdict(made(2, confirmed=confirmed))

    assert "confirmed, by +0.1000" in verdict_on([(1, 0.80), (2, 0.82)], [(1, 0.70), (2, 0.72)])
    assert "refuted, by -0.1000" in verdict_on([(1, 0.70), (2, 0.72)], [(1, 0.80), (2, 0.82)])
    assert "within twice" in verdict_on([(1, 0.70), (2, 0.80)], [(1, 0.72), (2, 0.74)])
    assert "one seed decides nothing" in verdict_on([(1, 0.9)], [(1, 0.1)])
    assert verdict(made(2)) == ""


def test_other_seeds_are_compared_on_one_part():
    def verdict_on(*rows):
        names = ("which", "seed", "val_accuracy", "test_accuracy")
        more = {"epochs": 1, "parameters": 1, "seconds": 1.0}
        return verdict(made(2, confirmed=[Confirmation(**dict(zip(names, row, strict=True)), **more) for row in rows]))

    recipe = ("recipe", 1, 0.90, 0.80), ("recipe", 2, 0.91, 0.81)  # the best values leave no test images
    equal = verdict_on(("best", 1, 0.90, None), ("best", 2, 0.91, None), *recipe)
    assert equal.startswith("validation accuracy 0.9050 ± 0.0071 against 0.9050 ± 0.0071 with")
    assert "within twice" in equal
    assert "no test or validation accuracy in common" in verdict_on(("best", 1, None, 0.9), ("recipe", 1, 0.9, None))


def test_command_line_shows_a_record(command):
    Path("search.json").write_text(made(12).record.model_dump_json(indent=1))
    code, out, _ = command("trials", ".", "--figure", "own.svg", "--best", "best.json")
    assert code == 0
    assert "best: trial" in out
    assert "importance" in out
    assert ET.parse("own.svg").getroot().tag.endswith("svg")
    assert kzoo.Recipe.from_file("best.json").name == "own/best"
    code, _, err = command("trials", ".", "--best", "best.json")
    assert (code, "exists" in err) == (2, True)
    code, out, _ = command("trials", ".", "--json")
    assert json.loads(out)["trials"][0]["number"] == "0000"
    code, _, err = command("trials", ".", "--confirm", "one")
    assert (code, "--confirm takes integers" in err) == (2, True)
    code, _, err = command("trials", ".", "--confirm", "0")
    assert (code, "none the recipe's own 0" in err) == (2, True)
    code, _, err = command("trials", "search.json", "--confirm", "1")
    assert (code, "'search.json' is a record" in err) == (2, True)


@pytest.mark.usefixtures("eagerly_once")
def test_what_others_confirm_meanwhile_is_kept(monkeypatch):
    search = SEARCH.override(**{"dataset": "digits", "train_size": 60, "split.validation": 40, "epochs": 1})
    result = made(2, search=search.to_dict())
    scores = {"val_accuracy": 0.5, "test_accuracy": 0.5, "epochs": 1, "parameters": 1, "seconds": 1.0}

    def train(recipe, **options):
        now = {"confirmed": [Confirmation(which="best", seed=5, **scores)], **changes}
        Path("search.json").write_text(result.record.model_copy(update=now).model_dump_json(indent=1))
        score = Namespace(accuracy=0.6)
        return Namespace(result=Namespace(epochs=1, parameters=1, seconds=1.0, best=score, test=score))

    monkeypatch.setattr("kzoo.training.train.train", train)
    changes = {}
    Path("search.json").write_text(result.record.model_dump_json(indent=1))
    confirm(".", [1])
    assert [(run.which, run.seed) for run in read_search(".").record.confirmed] == [
        ("best", 5),
        ("best", 1),
        ("recipe", 1),
    ]
    changes = {"status": "running"}
    Path("search.json").write_text(result.record.model_dump_json(indent=1))
    with pytest.raises(InputError, match="has been resumed since"):
        confirm(".", [1])
    assert read_search(".").status == "running"


def test_confirming_trains_both_and_keeps_the_scores(command):
    changes = {"dataset": "digits", "train_size": 60, "split.validation": 40, "epochs": 1}
    search = SEARCH.override(**changes)
    scores = {"val_accuracy": 0.5, "test_accuracy": 0.5, "epochs": 1, "parameters": 1, "seconds": 1.0}
    earlier = [Confirmation(which=which, seed=5, **scores) for which in ("best", "recipe")]
    result = made(2, search=search.to_dict(), confirmed=earlier)
    Path("search.json").write_text(result.record.model_dump_json(indent=1))
    Path("confirmed/best-1").mkdir(parents=True)  # the run of an earlier winner
    Path("confirmed/best-1/recipe.json").write_text(kzoo.recipe("lenet1-max").to_json())
    code, out, err = command("trials", ".", "--confirm", "1")
    assert code == 0, err
    assert "on 2 other seeds" in out
    rows = read_search(".").record.confirmed[2:]
    assert read_search(".").record.confirmed[:2] == earlier
    assert [(row.which, row.seed) for row in rows] == [("best", 1), ("recipe", 1)]
    (directory,) = Path("confirmed").glob("best-1-*")
    record = json.loads((directory / "result.json").read_text())
    assert record["test"]["accuracy"] == rows[0].test_accuracy
