import hashlib
import io
import json
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from kzoo.console import plain_console
from kzoo.errors import InputError
from kzoo.recipes import get_recipe
from kzoo.studies import Entry, Study, get_study
from kzoo.studies.checksums import check_sums
from kzoo.studies.collecting import collect
from kzoo.studies.record_files import Ratio
from kzoo.studies.records import RecordFile, RecordFiles, read_records, study_records
from kzoo.studies.rendering import markdown, markdown_table, rich_tables, to_dict
from kzoo.studies.tables import heading, rows
from tests.studies.conftest import make

RESCUE = get_study("rescue")
RUNS, RESULTS = Path("runs"), Path("results")


def tampered(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_records_are_grouped_by_budget(made, keep):
    for seed in (0, 1):
        keep(made(get_recipe("rescue/bn").override(seed=seed, epochs=15), 0.5 + seed / 10), RUNS)
    keep(made(get_recipe("batchnorm/baseline"), 0.6), RESULTS / "batchnorm")
    keep(made(get_recipe("rescue/vgg08").override(epochs=15), 0.4), RESULTS / "rescue")
    keep(made(get_recipe("reduction/lenet1-max"), 0.4), RESULTS / "reduction")
    records = study_records(RESCUE, read_records())
    assert list(records.budgets) == ["epochs=15", "full"]  # the user's runs before packaged records
    assert [records.has_runs(name) for name in records.budgets] == [True, False]
    assert records.budgets["full"].recorded == ("BN",)
    short = records.budgets["epochs=15"]
    assert short.recorded == ("VGG-08", "BN")
    assert short.values("BN", "test_accuracy") == [0.5, 0.6]
    assert short.mean("BN", "test_accuracy") == pytest.approx(0.55)
    assert short.sd("BN", "test_accuracy") == pytest.approx(0.0707, abs=1e-4)
    assert short.sd("VGG-08", "test_accuracy") is None
    assert not short.has("BN", "residual")
    assert records.problems == ()
    with pytest.raises(InputError, match="has no test_accuracy of 'residual' at budget 'epochs=15'"):
        short.mean("residual", "test_accuracy")
    batch_sizes = study_records(get_study("batch-size"), read_records())
    assert batch_sizes.budgets["epochs=15"].values("100", "val_accuracy") == [0.5, 0.6]


def test_one_record_a_run(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.6), RUNS)
    keep(made(get_recipe("seeds/0"), 0.7), RESULTS / "seeds")
    assert study_records(RESCUE, read_records([RESULTS, RUNS])).budgets["full"].values("BN", "test_accuracy") == [0.7]
    with pytest.raises(InputError, match="directory of records 'nowhere' does not exist"):
        read_records([Path("nowhere")])


def test_what_cannot_be_used_is_reported_and_the_rest_shown(made, keep):
    good = keep(made(get_recipe("rescue/bn"), 0.6), RUNS)
    text = good.read_text()
    cases = {
        "rescue/vgg08": (lambda path: path.write_text(text[:100]), "cannot be read"),
        "rescue/residual": (lambda path: tampered(path, schema_version=99), "newer than 1"),
        "rescue/vgg38": (
            lambda path: tampered(path, digest="0123456789"),
            "digest '0123456789' does not fit its recipe",
        ),
        "rescue/bn-residual": (
            lambda path: tampered(path, test={"loss": 1.0, "accuracy": 0.61}),
            "test accuracy does not match its confusion matrix",
        ),
        "batchnorm/baseline": (
            lambda path: tampered(path, last={"loss": 1.0, "accuracy": 0.61}),
            "its last loss does not match its history",
        ),
        "regularise/erasing-l2": (
            lambda path: tampered(path, data={**json.loads(path.read_text())["data"], "class_names": ["a"]}),
            "it has 1 name for the 2 classes of its confusion matrix",
        ),
    }
    for name, (change, _) in cases.items():
        change(keep(made(get_recipe(name), 0.6), RUNS))
    other = keep(made(get_recipe("rescue/vgg08").derive("rescue/vgg38"), 0.6), RUNS)
    records = study_records(RESCUE, read_records())
    assert records.budgets["full"].recorded == ("VGG-08", "BN")
    assert len(records.problems) == len(cases)
    for _, message in cases.values():
        assert sum(message in problem for problem in records.problems) == 1, message
    # VGG-08's content under VGG-38's name counts as VGG-08; a recipe that is not in the study at all is a problem.
    other.unlink()
    foreign = keep(made(get_recipe("reduction/lenet1-max").derive("rescue/bn"), 0.6), RUNS)
    (problem,) = set(study_records(RESCUE, read_records()).problems) - set(records.problems)
    assert str(foreign) in problem
    assert "is named 'rescue/bn', but its recipe is not the one of that name" in problem


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("data", lambda data: data.pop("fingerprint"), "its data lacks fingerprint"),
        ("recipe", lambda recipe: recipe.pop("seed"), "its recipe lacks seed"),
        ("sizes", lambda sizes: sizes.clear(), "its sizes lacks train"),
        ("history", lambda history: history.pop("val_loss"), "its parts do not fit together"),
        ("history", lambda history: history["loss"].pop(), "columns of its history have different lengths"),
        ("best_epoch", 99, "its best epoch is 99 of"),
        ("test", {"loss": 1.0, "accuracy": math.nan}, "its test accuracy is nan"),
        ("test_tta", {"loss": 1.0, "accuracy": 60.0}, "its test_tta accuracy is 60"),
        ("confusion", [[1, 2], [3]], "its parts do not fit together"),
        ("confusion", {"classes": 2}, "its parts do not fit together"),
        ("seconds", math.nan, "it took nan seconds"),
    ],
)
def test_a_record_edited_by_hand_is_reported_and_the_rest_shown(field, change, message, made, keep):
    keep(made(get_recipe("rescue/bn"), 0.6), RUNS)
    edited = keep(made(get_recipe("rescue/vgg08"), 0.6), RUNS)
    content = json.loads(edited.read_text())
    if callable(change):
        change(content[field])
    else:
        content[field] = change
    edited.write_text(json.dumps(content))
    records = study_records(RESCUE, read_records())
    assert records.budgets["full"].recorded == ("BN",)
    (problem,) = records.problems
    assert str(edited) in problem
    assert message in problem


def test_text_stays_in_its_cell_of_a_markdown_table():
    table = markdown_table(["a|b", "c"], [["one\ntwo", "three|four"], [5, None]], "lr")
    assert table == "| a\\|b | c |\n| --- | ---: |\n| one two | three\\|four |\n| 5 | None |\n"


def test_tables_show_our_values_next_to_the_reported_ones(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.5, train=0.9), RUNS)
    keep(made(get_recipe("rescue/bn").override(seed=1), 0.6, train=0.9), RUNS)
    keep(made(get_recipe("rescue/residual"), failed=True), RUNS)
    records = study_records(RESCUE, read_records())
    group = records.budgets["full"]
    assert heading(group) == "rescue at the full budget"
    bn, residual = rows(group)
    cells = {cell.metric: cell for cell in bn.cells}
    assert cells["val_accuracy"].both() == "0.5500 ± 0.0707 (0.4616, +0.0884)"
    assert cells["gap"].both() == "0.3500 ± 0.0707"
    assert (bn.runs(), residual.runs()) == ("2", "1 (1 failed)")
    assert {cell.ours() for cell in residual.cells} == {"-"}
    text = markdown(group)
    assert "0.5500 ± 0.0707 (0.4616, +0.0884)" in text
    assert "No record at this budget: VGG-08, VGG-38, BN+residual." in text
    assert "cifar100 1,000 / 100 / 100 (other images: the published dataset has 47,500 / 2,500 / 10,000)" in text
    assert "| BN | 2 | full, other images |" in text
    claims = {claim["text"]: claim for claim in to_dict(RESCUE, records)["budgets"][0]["claims"]}
    assert claims["Networks train better with residual connections than with BatchNorm"]["status"] == "does not hold"
    data = to_dict(RESCUE, records)["budgets"][0]["rows"][0]
    assert data["figures"]["val_accuracy"]["difference"] == pytest.approx(0.0884)
    assert data["seeds"] == [0, 1]


def test_no_difference_from_values_of_another_dataset_is_shown(made, keep):
    keep(made(get_recipe("rescue/bn").override(dataset="digits"), 0.5), RUNS)
    records = study_records(RESCUE, read_records())
    (group,) = records.budgets.values()
    (row,) = rows(group)
    cells = {cell.metric: cell for cell in row.cells}
    assert cells["val_accuracy"].both() == "0.5000 (0.4616)"
    text = markdown(group)
    assert "The reported values are for cifar100, so no differences are shown." in text
    assert to_dict(RESCUE, records)["budgets"][0]["rows"][0]["figures"]["val_accuracy"]["difference"] is None
    printed = Console(width=300, record=True, file=io.StringIO())
    printed.print(*rich_tables(group, 300))
    words = printed.export_text()
    assert ("reported" in words, "difference" in words) == (True, False)


def test_no_difference_from_values_of_other_classes_is_shown(made, keep):
    changes = {"class_names": ["apple", "bear"], "split.validation": 100}
    keep(made(get_recipe("rescue/bn").override(**changes), 0.5), RUNS)
    (group,) = study_records(RESCUE, read_records()).budgets.values()
    (row,) = rows(group)
    assert {cell.difference for cell in row.cells} == {None}
    assert "The reported values are for other classes or another image size, so no differences" in markdown(group)


def test_a_mean_of_some_of_the_runs_says_so(made, keep):
    for seed, accuracy in enumerate((0.9, 0.3, 0.3)):
        keep(made(get_recipe("batch-size/50").override(seed=seed), accuracy), RUNS)
    (group,) = study_records(get_study("batch-size"), read_records()).budgets.values()
    (row,) = rows(group)
    cells = {cell.metric: cell.ours() for cell in row.cells}
    assert (cells["epochs_to_45"], cells["test_accuracy"]) == ("3 (1 of 3 runs)", "0.5000 ± 0.3464")


def test_runs_on_data_that_is_not_registered_here_are_left_out_by_name(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.6), RUNS)
    own = keep(made(get_recipe("rescue/vgg08"), 0.6), RUNS)
    recipe = {**json.loads(own.read_text())["recipe"], "dataset": "my-own", "initial_weights": "some.weights.h5"}
    tampered(own, recipe=recipe)
    records = study_records(RESCUE, read_records())
    assert records.budgets["full"].recorded == ("BN",)
    assert f"record {str(own)!r} cannot be used here: unknown dataset 'my-own'" in records.problems[0]


def test_records_of_runs_in_a_directory_below(made, keep):
    path = keep(made(get_recipe("rescue/bn"), 0.6), RUNS / "below" / "runs")
    (path.parent / "structure.json").write_text("[]")
    records = read_records([RUNS])
    assert ([file.path for file in records.files], records.problems) == ([path], ())
    with pytest.raises(InputError, match=r"result\.json' is a file: give its directory"):
        read_records([path])


def test_runs_beside_other_records_hide_none_of_them(made, keep):
    committed = [keep(made(get_recipe("rescue/bn").override(seed=seed), 0.6), RESULTS / "rescue") for seed in range(3)]
    deep = keep(made(get_recipe("rescue/bn").override(seed=3), 0.6), RESULTS / "machine2" / "runs")
    beside = keep(made(get_recipe("rescue/bn").override(seed=4), 0.6), RUNS)
    beside.parent.rename(RESULTS / "copied")
    begun = RESULTS / "begun"
    begun.mkdir()
    for name in ("recipe.json", "structure.json"):
        (begun / name).write_text("{}")
    (RESULTS / "linked").symlink_to(RESULTS.resolve(), target_is_directory=True)
    files = read_records([RESULTS])
    assert sorted(file.path for file in files.files) == sorted([*committed, deep, RESULTS / "copied" / "result.json"])
    assert files.problems == ()


def test_collecting_goes_on_where_it_was_cut_off(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.6), RUNS)
    assert len(collect(RESCUE, RUNS, RESULTS)[0]) == 1
    sums = (RESULTS / "SHA256SUMS").read_text()
    (RESULTS / "SHA256SUMS").unlink()  # as if killed before it was written
    keep(made(get_recipe("rescue/vgg08"), 0.6), RUNS)
    (second,), problems = collect(RESCUE, RUNS, RESULTS)
    assert problems == []
    assert check_sums(RESULTS) == []
    assert sums in (RESULTS / "SHA256SUMS").read_text()
    (RESULTS / "SHA256SUMS").write_text(sums)
    second.write_text("{}")  # not what was collected
    with pytest.raises(InputError, match="has no checksum"):
        collect(RESCUE, RUNS, RESULTS)


def test_collecting_writes_over_no_file(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.6), RUNS)
    (new,), _ = collect(RESCUE, RUNS, RESULTS)
    new.write_text("{}")  # not a record, so its run counts as not collected
    (RESULTS / "SHA256SUMS").unlink()
    (RESULTS / "SHA256SUMS").write_text(f"{hashlib.sha256(b'{}').hexdigest()}  {new.relative_to(RESULTS)}\n")
    copied, problems = collect(RESCUE, RUNS, RESULTS)
    assert copied == []
    assert f"because file {str(new)!r} exists" in problems[-1]
    assert new.read_text() == "{}"


@pytest.mark.timeout(60)  # columns that never fit must not be tried forever
def test_tables_fit_the_terminal(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.5), RUNS)
    group = study_records(RESCUE, read_records()).budgets["full"]
    wide, narrow = rich_tables(group, 300), rich_tables(group, 60)
    assert (len(wide), len(narrow) > 1) == (1, True)
    names = [column.header for column in wide[0].columns[3:]]
    assert [column.header for table in narrow for column in table.columns[3:]] == names
    assert [table.title for table in narrow] == ["rescue at the full budget", *[None] * (len(narrow) - 1)]

    # As many columns as fit, and one if not even one fits.
    assert [len(table.columns) for table in rich_tables(group, 1)] == [4] * len(names)
    exact = Console(width=10_000).measure(wide[0]).maximum
    assert [len(rich_tables(group, width)) for width in (exact, exact - 1)] == [1, 2]


def test_labels_with_brackets_are_measured_as_they_are_printed(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.5), RUNS)
    study = Study("own", "ours", "Which?", (Entry(get_recipe("rescue/bn"), "[/bn] [b]" + 20 * "x"),))
    group = study_records(study, read_records()).budgets["full"]
    (table,) = rich_tables(group, 300)
    width = plain_console(width=300).measure(table).maximum
    assert [len(rich_tables(group, limit)) for limit in (width, width - 1)] == [1, 2]


def test_a_long_label_leaves_room_for_values(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.5), RUNS)
    study = Study("own", "ours", "Which?", (Entry(get_recipe("rescue/bn"), 15 * "long label "),))
    group = study_records(study, read_records()).budgets["full"]
    printed = plain_console(width=80, record=True, file=io.StringIO())
    tables = rich_tables(group, 80)
    printed.print(*tables)
    text = printed.export_text()
    assert (text.count("long label"), "0.5000" in text, "…" in text) == (15 * len(tables), True, False)


def test_headings_of_columns_are_short_where_there_is_a_short_one(made, keep):
    keep(made(get_recipe("rescue/bn"), 0.5), RUNS)
    header = markdown(study_records(RESCUE, read_records()).budgets["full"]).splitlines()[0]
    for text in ("run", "n", "budget", "val acc, last", "test acc", "test loss", "parameters"):
        assert f"| {text} |" in header


def test_records_are_collected_without_paths_and_never_overwritten(made, keep):
    keep(made(get_recipe("rescue/bn").override(epochs=15), 0.5), RUNS)
    keep(made(get_recipe("batchnorm/baseline"), 0.5), RUNS)
    new, problems = collect(RESCUE, RUNS, RESULTS)
    digests = [get_recipe("batchnorm/baseline").digest(), get_recipe("rescue/bn").override(epochs=15).digest()]
    assert sorted(path.as_posix() for path in new) == sorted(
        [f"results/rescue/batchnorm-baseline-{digests[0]}.json", f"results/rescue/bn-{digests[1]}.json"]
    )
    assert problems == []
    assert not any("private" in path.read_text() for path in new)
    assert check_sums(RESULTS) == []
    before = {path: path.read_text() for path in new}
    assert collect(get_study("batchnorm"), RUNS, RESULTS) == ([], [])
    assert {path: path.read_text() for path in new} == before
    new[0].write_text(new[0].read_text().replace("1000", "1001", 1))
    new[1].unlink()
    (RESULTS / "rescue" / "extra.json").write_text("{}")
    assert [problem.split("'")[2].strip() for problem in check_sums(RESULTS)] == [
        "is missing",
        "was changed: its checksum does not match SHA256SUMS",
        "has no checksum in SHA256SUMS, which must list every record",
    ]
    with pytest.raises(InputError, match="is missing"):
        collect(RESCUE, RUNS, RESULTS)
    files = read_records([RESULTS])
    assert files.files == ()  # one was changed by hand, the other deleted
    assert files.problems[:2] == tuple(check_sums(RESULTS)[:2])
    (problem, _) = read_records([RESULTS / "rescue"]).problems[1:]
    assert problem == check_sums(RESULTS)[1]
    changed = new[0].read_bytes()
    new[0].unlink()
    new[0].symlink_to(new[0].name)  # cannot be read, whoever tries it
    assert any(str(new[0]) in problem for problem in read_records([RESULTS]).problems)
    new[0].unlink()
    new[0].write_bytes(changed)
    (RESULTS / "SHA256SUMS").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"checksums 'results/SHA256SUMS' cannot be read .*: restore them"):
        collect(RESCUE, RUNS, RESULTS)
    assert "SHA256SUMS' cannot be read" in read_records([RESULTS]).problems[0]


def test_times_of_the_studys_images_are_not_shown_for_others():
    recipe = get_recipe("rescue/bn")
    recipes = [
        recipe.override(epochs=2),
        recipe.override(dataset="digits", epochs=2),
        recipe.override(image_size=16, epochs=2),
        recipe.override(batch_size=500, epochs=2),
        recipe.override(precision="mixed_bfloat16", epochs=2),
    ]
    files = tuple(RecordFile(Path("x"), make(one), one.resolved(), one.resolved().digest()) for one in recipes)
    groups = study_records(RESCUE, RecordFiles(files, {"rescue": {"BN": Ratio(6.4)}}, ())).budgets
    assert len(groups) == 5
    timed = {name: group.values("BN", "seconds_per_epoch_ratio") for name, group in groups.items()}
    assert [name for name, ratios in timed.items() if ratios] == ["epochs=2"]


def test_times_of_another_recipe_are_left_out_and_reported():
    recipe = get_recipe("rescue/bn")
    files = (RecordFile(Path("x"), make(recipe), recipe.resolved(), recipe.digest()),)
    for digest, values, problems in ((recipe.digest(), [6.4], 0), ("0" * 10, [], 1)):
        records = study_records(RESCUE, RecordFiles(files, {"rescue": {"BN": Ratio(6.4, digest)}}, ()))
        assert records.budgets["full"].values("BN", "seconds_per_epoch_ratio") == values
        assert len(records.problems) == problems
        assert all("the epoch time of 'BN' was measured with another recipe" in problem for problem in records.problems)


def test_of_two_recipes_of_one_seed_and_budget_the_first_counts(made, keep):
    """Classes by number and by name give budgets with the same label."""
    recipe = get_study("rescue").entries[0].recipe
    for names in ((0, 1), ("0", "1")):
        keep(made(recipe.override(class_names=names)), Path("runs"))
    records = study_records(get_study("rescue"), read_records([Path("runs")]))
    assert [len(group.records("VGG-08")) for group in records.budgets.values()] == [1]
    (line,) = records.problems
    assert re.search(r"are both of 'VGG-08', seed 0, at budget 'class_names=.*: the second is left out", line)


def test_records_of_one_dataset_and_split_with_different_images_are_reported(made, keep):
    recipes = [entry.recipe.override(epochs=5) for entry in get_study("rescue").entries[:2]]
    one = made(recipes[0])
    other = made(recipes[1], data={**one.data, "fingerprint": "e" * 10})
    for record in (one, other):
        keep(record, Path("runs"))
    (line,) = study_records(get_study("rescue"), read_records([Path("runs")])).problems
    assert "used the same dataset and split, but different images (fingerprints" in line
    assert "ffffffffff" in line
    assert "eeeeeeeeee" in line

    # So are images of a user's file that changed.
    own = [recipe.override(dataset="npz:own.npz") for recipe in recipes]
    for recipe, fingerprint in zip(own, ("a" * 10, "b" * 10), strict=True):
        keep(made(recipe, data={**one.data, "fingerprint": fingerprint}), Path("own/runs"))
    (line,) = study_records(get_study("rescue"), read_records([Path("own/runs")])).problems
    assert "different images (fingerprints aaaaaaaaaa, bbbbbbbbbb)" in line

    # Fewer images are other images, as expected, so this is not a problem.
    fewer = made(recipes[1].override(train_size=10), data={**one.data, "fingerprint": "d" * 10})
    keep(fewer, Path("fewer/runs"))
    records = read_records([Path("fewer/runs")]).files + read_records([Path("runs")]).files[:1]
    assert study_records(get_study("rescue"), RecordFiles(records, {}, ())).problems == ()
