"""A study's page shows the content of its records, budget by budget."""

import statistics

import pytest

from kzoo.errors import InputError
from kzoo.html_report import compare_page, study_page
from kzoo.html_report.study import link_to
from kzoo.recipes import get_recipe
from kzoo.studies import get_study, metrics
from kzoo.studies.records import read_records, study_records
from kzoo.studies.run_comparison import compare
from kzoo.studies.study import Entry, Study
from tests.html_report.conftest import full, undrawn
from tests.html_report.reading import Page

SHORT = "Mean ± standard deviation over n seeds"


@pytest.fixture(scope="module")
def study():
    """Two entries of report a, with reported values."""
    reported = {"val_accuracy": 0.5728, "test_accuracy": 0.57}
    entries = (
        Entry(get_recipe("rescue/vgg38"), "VGG-38"),
        Entry(get_recipe("rescue/residual"), "residual <b>", reported, "a note of its own"),
    )
    claims = get_study("rescue").claims[:0]
    columns = ("train_accuracy", "val_accuracy", "test_accuracy")
    return Study("mine", "a", "Does it learn <i>?", entries, claims, columns, ("Read with care.",))


def write_runs(study, directory, first, **lacks):
    """Three seeds of the second entry, and the record of the first, at six epochs."""
    records = [first]
    for seed, correct in enumerate((8, 7, 9)):
        confusion = [[correct, 10 - correct, 0], [5, 5, 0], [7, 2, 1]]
        fields = {"confusion": confusion, "test": {"loss": 1.2, "accuracy": (correct + 6) / 30}, **lacks}
        records.append(full(study.entries[1].recipe.override(seed=seed), gradient_flow=None, **fields))
    for record in records:
        path = directory / record.digest / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(record.to_json())
    return directory


@pytest.fixture
def runs(study, tmp_path):
    """The runs without figures; a test can change them."""
    return write_runs(study, tmp_path / "runs", undrawn(study.entries[0].recipe), confusion=None)


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    directory = tmp_path_factory.mktemp("page")
    runs = write_runs(study, directory / "runs", full(study.entries[0].recipe))
    return Page(study_page(study, study_records(study, read_records([runs])), directory / "page.html"))


def test_table_is_made_of_the_records(page):
    groups, header, *rows = page.table(SHORT)
    assert groups == ["", "train accuracy", "validation accuracy, last epoch", "test accuracy"]
    assert header == ["run", "n", "budget", "ours", "ours", "reported", "difference", "ours", "reported", "difference"]
    budget = "epochs=6, other images"  # CIFAR-100 has more images than these records
    assert rows[0][:4] == ["VGG-38", "1", budget, "0.6250"]
    assert rows[0][5:7] == ["", ""]
    assert {column for line, column in page.right[SHORT] if line > 0} == {1, *range(3, len(header))}
    tests = [14 / 30, 13 / 30, 15 / 30]
    mean, sd = statistics.fmean(tests), statistics.stdev(tests)
    assert rows[1] == [
        "residual <b>",
        "3",
        budget,
        "0.6250 ± 0.0000",
        "0.4375 ± 0.0000",
        "0.5728",
        metrics.write_difference("val_accuracy", 0.4375 - 0.5728),
        f"{mean:.4f} ± {sd:.4f}",
        "0.5700",
        metrics.write_difference("test_accuracy", mean - 0.57),
    ]


def test_page_shows_question_budget_entries_and_notes(page):
    for text in ("Does it learn <i>?", "At epochs=6", "Read with care.", "a note of its own", "report a"):
        assert text in page.text
    assert page.tags.count("details") == 4 * 3  # four runs, each with two tables to open
    assert "i" not in page.tags
    assert page.tags.count("b") == 0


def test_curves_of_all_runs_are_on_one_axis(page):
    accuracy = page.charts[0]
    lines = accuracy["lines"]
    assert len(lines) == 4 * 2
    assert list(dict.fromkeys(line["name"] for line in lines)) == ["VGG-38", "residual <b>"]
    assert {line["opacity"] for line in lines if line["kind"] == "validation"} == {1.0, 0.5}
    for text in ("both", "validation", "training", "VGG-38", "residual <b>"):
        assert text in page.buttons
    assert "residual <b>, seed 2, validation" in {line["text"] for line in lines}


def test_budgets_have_tables_of_their_own(study, runs, tmp_path):
    record = undrawn(study.entries[0].recipe)
    failed = {"status": "failed", "reason": "the loss is nan", "confusion": None, "test": None}
    fields = record.model_dump() | failed | {"best": None, "last": None, "train": None, "best_epoch": None}
    whole = study.entries[0].recipe.resolved()
    fields |= {"recipe": whole.model_dump(mode="json"), "digest": whole.digest()}
    path = runs / "failed" / "result.json"
    path.parent.mkdir()
    path.write_text(type(record)(**fields).to_json())
    page = Page(study_page(study, study_records(study, read_records([runs])), tmp_path / "page.html"))
    tables = page.tables[SHORT]
    assert len(tables) == 2
    assert tables[0][2] == ["VGG-38", "1 (1 failed)", "full, other images", "–", "–", "–"]
    assert "This run failed: the loss is nan" in page.text
    assert "No record at this budget: residual <b>." in page.text


def test_the_users_runs_come_first_and_packaged_records_are_folded_below(study, runs, tmp_path):
    kept = tmp_path / "results" / "mine" / "record.json"
    kept.parent.mkdir(parents=True)
    whole = study.entries[0].recipe.resolved()
    record = undrawn(study.entries[0].recipe)
    fields = record.model_dump() | {"recipe": whole.model_dump(mode="json"), "digest": whole.digest()}
    kept.write_text(type(record)(**fields).to_json())
    alone, both = ([kept.parents[1]], [runs, kept.parents[1]])

    page = Page(study_page(study, study_records(study, read_records(both)), tmp_path / "page.html"))
    assert page.text.index("At epochs=6") < page.text.index("At the full budget: records that come with kzoo")
    assert page.tags.count("details") == 1 + 5 * 2  # without a confusion matrix a run has one table to open
    # without the user's runs, the packaged records are not folded
    page = Page(study_page(study, study_records(study, read_records(alone)), tmp_path / "page.html"))
    assert "records that come with kzoo" not in page.text
    assert page.tags.count("details") == 2


def test_claims_stand_with_their_verdicts(tmp_path):
    from kzoo.studies import tables

    rescue = get_study("rescue")
    path = tmp_path / "runs" / "one" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(undrawn(rescue.entries[0].recipe).to_json())
    records = study_records(rescue, read_records([tmp_path / "runs"]))
    page = Page(study_page(rescue, records, tmp_path / "page.html"))
    (results,) = records.budgets.values()
    for claim, verdict in tables.verdicts(results):
        assert f"{claim.text}. {claim.source}" in page.text
        assert verdict.evidence.replace("; ", " ") in page.text
    undecided = sum(verdict.status == "not enough runs" for _, verdict in tables.verdicts(results))
    folded = page.text.index(f"{undecided} claims that these runs do not decide")
    assert page.text.index("does not hold") < folded < page.text.index("not enough runs")
    assert page.text.count("not enough runs") == sum(v.status == "not enough runs" for _, v in tables.verdicts(results))


def test_runs_with_pages_are_linked(study, runs, tmp_path):
    (runs / full(study.entries[0].recipe).digest / "report.html").write_text("<html></html>")
    page = Page(study_page(study, study_records(study, read_records([runs])), tmp_path / "page.html"))
    links = [address for address in page.addresses if not address.startswith(("data:", "#"))]
    assert links == [f"runs/{full(study.entries[0].recipe).digest}/report.html"]


def test_links_are_addresses(tmp_path):
    assert link_to(tmp_path / "a#1 50%" / "report.html", tmp_path) == "a%231%2050%25/report.html"


def test_damaged_records_are_named(study, runs, tmp_path):
    next(runs.glob("*/result.json")).write_text("{}")
    page = Page(study_page(study, study_records(study, read_records([runs])), tmp_path / "page.html"))
    assert "Remarks on records" in page.text
    assert "restore it or move its run aside" in page.text


def test_runs_are_compared_on_one_page(study, tmp_path):
    recipes = [entry.recipe for entry in study.entries]
    records = [undrawn(recipes[0]), undrawn(recipes[1], all_parameters=400_000), undrawn(recipes[0].override(seed=1))]
    records.append(undrawn(recipes[0].override(seed=2)))
    for index, record in enumerate(records):
        (tmp_path / f"{index}.json").write_text(record.to_json())
    (tmp_path / "1.html").write_text("<html></html>")
    paths = [tmp_path / f"{index}.json" for index in range(4)]
    for count in (2, 4):
        comparison = compare(*paths[:count])
        page = Page(compare_page(comparison, tmp_path / "page.html"))
        header, *shown = page.table("Results of the runs")
        assert header == ["", *comparison.labels]
        assert shown == [list(line) for line in comparison.results()]
        columns = {column for _, column in page.right["Results of the runs"]}
        assert columns == set(range(1, count + 1))  # the numbers
        assert page.table("Fields in which the recipes differ")[1:] == [list(line) for line in comparison.differences()]
        links = [address for address in page.addresses if not address.startswith(("data:", "#"))]
        assert links == ["1.html"]
        title = " and ".join(comparison.labels) if count == 2 else f"{comparison.labels[0]} and 3 others"
        assert title in page.text
    alike = tmp_path / "alike.json"
    alike.write_text(records[0].model_copy(update={"seconds": 1.0}).to_json())
    assert "The recipes are the same." in Page(compare_page(compare(paths[0], alike), tmp_path / "page.html")).text


def test_study_without_records_has_a_page(study, tmp_path):
    (tmp_path / "runs").mkdir()
    page = Page(study_page(study, study_records(study, read_records([tmp_path / "runs"])), tmp_path / "page.html"))
    assert "No run of this study is recorded yet. kzoo study run mine trains them." in page.text


def test_other_files_are_kept(study, runs, tmp_path):
    (tmp_path / "page.html").write_text("<html>mine</html>")
    with pytest.raises(InputError, match="is not a page of kzoo's"):
        study_page(study, study_records(study, read_records([runs])), tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "<html>mine</html>"


@pytest.mark.slow
@pytest.mark.representative
def test_a_page_of_five_runs_is_small(tmp_path):
    classes = [f"class number {i}" for i in range(100)]
    matrix = [[90 if i == j else 10 if j == (i + 1) % 100 else 0 for j in range(100)] for i in range(100)]
    layers = [f"stage{i // 13}_block{i % 13}_conv" for i in range(38)]
    flow = {
        "layers": layers,
        "epochs": list(range(101)),
        "gradients": [[10 ** -(1 + i % 7 + e / 50) for i in range(38)] for e in range(101)],
        "update_ratio": [[None] * 38, *([1e-3] * 38 for _ in range(100))],
    }
    history = {key: [1 / (2 + i) for i in range(100)] for key in full().history}
    data, sizes = {**full().data, "class_names": classes}, {**full().sizes, "test": 10_000}
    fields = {"confusion": matrix, "gradient_flow": flow, "history": history, "epochs": 100, "data": data}
    paths = []
    for seed in range(5):
        record = full(get_recipe("rescue/vgg38").override(seed=seed), sizes=sizes, **fields)
        paths.append(tmp_path / f"{seed}.json")
        paths[-1].write_text(record.to_json())
    page = compare_page(compare(*paths), tmp_path / "page.html")
    assert 100_000 < page.stat().st_size < 2_000_000
