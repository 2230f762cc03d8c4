"""Committed records, and the tables made from them: no digit changes unnoticed."""

import json
import re
import shutil
from pathlib import Path

import pytest

from kzoo.recipes import get_recipe
from kzoo.studies import get_study, list_studies
from kzoo.studies.checksums import check_sums
from kzoo.studies.collecting import collect
from kzoo.studies.record_files import EPOCH_TIME, INVARIANCE, read, read_records
from tests.docs.generating import generate
from tests.studies.conftest import make

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
PAGE = "".join(
    f"<!-- {name}:begin -->\n<!-- {name}:end -->\n"
    for name in ("results", "results-small", "study-results", "claim-counts", "claims")
)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A checkout with records and current tables: two seeds of report a's BN at 15 epochs, and VGG-08."""
    where = tmp_path_factory.mktemp("site")
    recipes = [get_recipe("rescue/bn").override(seed=seed, epochs=15) for seed in (0, 1)]
    for recipe, accuracy in zip([*recipes, get_recipe("rescue/vgg08")], (0.5, 0.6, 0.4), strict=True):
        directory = where / "runs" / recipe.digest()
        directory.mkdir(parents=True)
        (directory / "result.json").write_text(make(recipe, accuracy).to_json())
    shutil.copytree(ROOT / "docs" / "tables", where / "docs" / "tables")
    shutil.copy(ROOT / "docs" / "generate.py", where / "docs")
    (where / "README.md").write_text(PAGE)
    collect(get_study("rescue"), where / "runs", where / "results")
    assert generate(where).returncode == 0
    assert generate(where, "--check").returncode == 0
    return where


@pytest.fixture
def site(first, tmp_path):
    """A copy of the checkout."""
    return shutil.copytree(first, tmp_path / "site")


def test_tables_hold_the_records(site):
    text = (site / "README.md").read_text()
    bn = "| `rescue` | BN | validation accuracy, last epoch | 0.5500 ± 0.0707 (n=2) | 0.4616 |"
    assert f"{bn} epochs=15, other images |" in text
    assert "| `rescue` | VGG-08 | test accuracy | 0.4000 (n=1) | 0.4995 | full, other images |" in text
    assert "### rescue at epochs=15" in text
    # report b's studies name the same network; the README shows a run once
    assert "| `batch-size` |" not in text


def test_every_claim_of_the_reports_has_one_row_and_is_counted(site):
    text = (site / "README.md").read_text()
    counts = re.search(r"<!-- claim-counts:begin -->(.*)<!-- claim-counts:end -->", text, re.DOTALL)[1]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if "](studies.md#" in line]
    claims = [
        claim.text for study in map(get_study, list_studies()) if study.report in "abcde" for claim in study.claims
    ]
    assert sorted(row[0] for row in rows) == sorted(claims)

    # A verdict at a small budget is marked, and counted separately.
    (fits,) = [row for row in rows if row[0].startswith("VGG-38 with BatchNorm does not overfit")]
    assert fits[2:4] == ["holds at a small budget", "epochs=15, other images"]
    totals = [int(cell) for cell in counts.strip().splitlines()[-1].split("|")[2:-1]]
    verdicts = [row[2] for row in rows]
    kinds = ("**holds**", "**does not hold**", "holds at a small budget", "does not hold at a small budget")
    assert totals == [len(rows), *map(verdicts.count, kinds), len(rows) - sum(map(verdicts.count, kinds))]
    assert verdicts.count("**does not hold**") >= 2  # by arithmetic

    # Each link leads to the heading of a table.
    slugs = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^### (.*)$", text, re.M)
    }
    targets = {row[4].partition("#")[2].strip(")") for row in rows}
    assert "all-studies" in targets
    assert len(targets & slugs) > 1
    assert targets <= slugs | {"all-studies"}


def test_a_digit_changed_in_a_page_is_found(site):
    page = site / "README.md"
    page.write_text(page.read_text().replace("0.5500", "0.5501", 1))
    done = generate(site, "--check")
    assert (done.returncode, "README.md" in done.stdout) == (1, True)


@pytest.mark.parametrize("field", ["test", "history", "peak_memory", "recipe", "fingerprint"])
def test_a_digit_changed_in_a_record_is_found(site, field):
    path = sorted((site / "results").glob("*/*.json"))[0]
    content = json.loads(path.read_text())
    if field == "test":
        content["test"]["accuracy"] += 0.0001
    elif field == "history":
        content["history"]["loss"][0] += 0.0001
    elif field == "peak_memory":
        content["peak_memory"] += 1
    elif field == "recipe":
        content["recipe"]["l2"] = 0.1
    else:
        content["data"]["fingerprint"] = "g" * 10
    path.write_text(json.dumps(content, indent=1) + "\n")
    done = generate(site, "--check")
    assert done.returncode == 1
    assert "was changed" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_records_the_tables_say_so(site):
    shutil.rmtree(site / "results")
    assert generate(site).returncode == 0
    assert "No records are committed yet." in (site / "README.md").read_text()


def test_committed_records_are_whole_and_name_no_machine():
    assert check_sums(RESULTS) == []
    records = read_records([RESULTS]) if RESULTS.is_dir() else None
    assert records is None or records.problems == ()
    for path in RESULTS.glob("**/*.json"):
        if path.parent.name not in (EPOCH_TIME, INVARIANCE):
            assert "data_dir" not in read(path).record.data, path
