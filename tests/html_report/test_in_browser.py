"""Pages in headless Chromium: no errors, all pictures and charts, no requests, the numbers of the records."""

import pytest

from kzoo.html_report import compare_page, run_page, study_page
from kzoo.recipes import Recipe
from kzoo.studies import get_study, tables
from kzoo.studies.records import read_records, study_records
from kzoo.studies.run_comparison import compare
from tests.html_report import browser as driver
from tests.html_report.conftest import full

pytestmark = [
    pytest.mark.slow,
    pytest.mark.representative,
    pytest.mark.skipif(driver.find() is None, reason="there is no Chromium (Debian: apt-get install chromium)"),
]

TABLE = """[...document.querySelectorAll("table[aria-label^='Mean'] tbody tr")].map(
    (row) => [...row.cells].map((cell) => cell.innerText))"""
PICTURES = "[...document.images].map((image) => image.complete && image.naturalWidth > 0)"
WIDER = "document.documentElement.scrollWidth - innerWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = driver.Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def rescue(tmp_path_factory):
    """The study of report a with made-up records of two budgets, and its page."""
    directory, study = tmp_path_factory.mktemp("study"), get_study("rescue")
    for number, entry in enumerate(study.entries):
        for seed in range(2 if number else 1):
            record = full(entry.recipe.override(seed=seed))
            path = directory / "runs" / record.digest / "result.json"
            path.parent.mkdir(parents=True)
            path.write_text(record.to_json())
            path.with_name("recipe.json").write_text(Recipe(**record.recipe).to_json())
    records = study_records(study, read_records([directory / "runs"]))
    return study_page(study, records, directory / "study.html"), records


def looked_at(browser, page, width, dark):
    """Open a page, draw all of it, and check what must hold for every page."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(page, width=width, dark=dark)
    browser.draw_all()
    assert browser.complaints == []
    assert {address for address in browser.requests if not address.startswith("data:")} == {page.resolve().as_uri()}
    assert all(browser.evaluate(PICTURES))
    assert browser.evaluate(WIDER) <= 0


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_study_page(browser, rescue, width, dark):
    page, records = rescue
    looked_at(browser, page, width, dark)
    shown = browser.evaluate(TABLE)
    expected = [row for results in records.budgets.values() for row in tables.rows(results)]
    assert [row[0] for row in shown] == [row.label for row in expected]
    for cells, row in zip(shown, expected, strict=True):
        ours = [cell.ours() for cell in row.cells if cell.mean is not None]
        assert [text for text in cells if text in ours] == ours
        reported = [cell.theirs() for cell in row.cells if cell.reported is not None]
        for pair in reported:
            assert all(part in cells for part in pair.split(", "))


def test_comparison_page(browser, rescue, tmp_path):
    comparison = compare(*(item.path.parent for items in rescue[1].files.values() for item in items[:3]))
    page = compare_page(comparison, tmp_path / "compared.html")
    looked_at(browser, page, 390, True)
    rows = browser.evaluate(
        """[...document.querySelectorAll("table[aria-label='Results of the runs'] tbody tr")].map(
        (row) => [...row.cells].map((cell) => cell.innerText))"""
    )
    assert [tuple(row) for row in rows] == comparison.results()
    assert browser.evaluate("document.querySelectorAll('#gradients svg').length") == 1
    assert browser.evaluate("document.querySelector('#curves .plot').querySelectorAll('.trace').length") == 6


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_run_page(browser, trained, tmp_path, width, dark):
    page = run_page(trained, tmp_path / "page.html")
    looked_at(browser, page, width, dark)
    assert browser.evaluate("document.images.length") > 4
    values = browser.evaluate(
        "[...document.querySelectorAll('.numbers dd')].map((node) => node.firstChild.data.trim())"
    )
    assert values[0] == f"{trained.result.test.accuracy:.4f}"


def test_charts_follow_the_theme(browser, rescue):
    browser.open(rescue[0], width=1280, dark=False)
    browser.draw_all()
    shades = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.tick')).fill]"
    light = browser.evaluate(shades)
    browser.theme(dark=True)
    browser.wait(f"JSON.stringify({shades}) !== {str(light).replace(chr(39), chr(34))!r}", seconds=30)
    dark = browser.evaluate(shades)
    assert all(before != after for before, after in zip(light, dark, strict=True))
    assert browser.complaints == []


def test_choosing_validation_hides_training(browser, rescue):
    browser.open(rescue[0], width=1280)
    browser.draw_all()
    button = "document.querySelector('.kinds button[value=validation]')"
    drawn = "document.querySelector('.plot').querySelectorAll('.trace').length"
    before = browser.evaluate(drawn)
    browser.evaluate(f"{button}.click()")
    browser.wait(f"{drawn} === {before // 2}")
    assert browser.complaints == []


def test_a_name_hides_its_run_and_shows_it_alone(browser, rescue):
    browser.open(rescue[0], width=1280)
    browser.draw_all()
    drawn = "document.querySelector('.plot').querySelectorAll('.trace').length"
    before = browser.evaluate(drawn)
    name = "document.querySelector('.names button')"
    browser.evaluate(f"{name}.click()")
    hidden = browser.evaluate(drawn)
    assert 0 < hidden < before
    browser.evaluate(f"{name}.dispatchEvent(new MouseEvent('dblclick'))")
    browser.wait(f"{drawn} === {before - hidden}")
    assert browser.complaints == []


def test_pointing_at_a_curve_shows_its_value(browser, rescue):
    browser.open(rescue[0], width=1280)
    browser.draw_all()
    browser.evaluate(
        """(() => {
            const plot = document.querySelector(".plot"), box = plot.getBoundingClientRect();
            const circle = plot.querySelector(".trace circle");
            const [x, y] = ["cx", "cy"].map((name) => Number(circle.getAttribute(name)));
            plot.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x, clientY: box.top + y }));
        })()"""
    )
    text = browser.evaluate("document.querySelector('.tip').textContent")
    assert text.startswith("VGG-08, seed 0, validation, epoch 1: ")
    assert float(text.rpartition(" ")[2]) > 0
