"""How objects are printed in one line, and how notebooks show them."""

import html.parser
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kzoo
from kzoo import notebook
from kzoo.data import load
from kzoo.diagnostics.doctor.report import Diagnosis, Finding, Note
from tests.html_report.conftest import full
from tests.studies.conftest import make

SEARCH = next((Path(__file__).parents[1] / "docs" / "searches").glob("*.json"))


def record():
    return full(kzoo.recipe("rescue/vgg38"))


def diagnosis():
    finding = Finding("dead units", ("conv1", "conv2"), "12 of <32> units", {"units": 12}, "a lower learning rate")
    return Diagnosis("vgg08 as it is built", [finding], [Note("inputs", "in range")], [])


def run(tmp_path, finished):
    (tmp_path / "recipe.json").write_text(kzoo.Recipe(**record().recipe).to_json())
    if finished:
        (tmp_path / "result.json").write_text(record().to_json())
    return kzoo.Run(tmp_path)


OBJECTS = {
    "recipe": (lambda: kzoo.recipe("rescue/bn"), "Recipe('rescue/bn': vgg38-bn on cifar100, 100 epochs, seed 0)"),
    "record": (record, "RunRecord('rescue/vgg38': 6 epochs, seed 0, test accuracy 0.4667)"),
    "failed": (
        lambda: make(kzoo.recipe("rescue/bn"), failed=True),
        "RunRecord('rescue/bn': failed after 5 epochs, seed 0: the training loss is nan)",
    ),
    "study": (lambda: kzoo.study("rescue"), "Study('rescue': "),
    "search": (lambda: kzoo.read_search(SEARCH), "SearchResult("),
    "arrays": (lambda: load("digits"), "Arrays(1,797 images of 8x8x1, 10 classes)"),
    "diagnosis": (diagnosis, "Diagnosis('vgg08 as it is built': dead units, 1 checks fine, 0 not done)"),
    "layers": (lambda: kzoo.layer_table(kzoo.create_model("lenet1-max")), "LayerTable('lenet1-max': "),
}


class Checked(html.parser.HTMLParser):
    """Checks that tags are closed in order; collects the text and the tags."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.tags = [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_line_and_a_table(kind):
    make_one, line = OBJECTS[kind]
    shown = make_one()
    assert repr(shown).startswith(line)
    assert "\n" not in repr(shown)
    assert len(repr(shown)) < 250
    page = Checked(shown._repr_html_())
    assert "table" in page.tags
    assert "None" not in page.text


def test_runs(tmp_path):
    cut = run(tmp_path, finished=False)
    assert repr(cut) == f"Run({str(tmp_path)!r}: vgg38 on cifar100, unfinished)"
    assert f"kzoo resume {tmp_path}" in Checked(cut._repr_html_()).text
    done = run(tmp_path, finished=True)
    assert repr(done).endswith("6 epochs, seed 0, test accuracy 0.4667)")
    page = Checked(done._repr_html_())
    assert "0.4667" in page.text
    assert page.tags.count("polyline") == 2


def test_what_is_shown_is_escaped_and_of_these_things():
    assert "<32>" not in diagnosis()._repr_html_()
    assert "12 of <32> units" in Checked(diagnosis()._repr_html_()).text
    pictures = Checked(load("digits")._repr_html_())
    assert pictures.tags.count("img") == 60


def test_recipe_shows_only_what_differs():
    text = Checked(kzoo.recipe("rescue/bn").derive("own/x", seed=7)._repr_html_()).text
    assert "seed" in text
    assert "label_smoothing" not in text


def test_long_tables_and_gaps_in_curves():
    text = notebook.table(("n",), [(i,) for i in range(250)])
    assert Checked(text).tags.count("tr") == 101
    assert "and 150 more" in text
    assert notebook.curve([]) == ""
    assert "more" not in notebook.table(("n",), [(i,) for i in range(100)])

    # The curve goes from the left edge to the right one, with the highest value at the top.
    line = notebook.curve([1.0, float("nan"), None, 3.0, 2.0], width=104, height=24)
    assert 'points="2.0,22.0 77.0,2.0 102.0,12.0"' in line
    assert 'width="104" height="24"' in line
    assert "from 1 to 2" in line
    assert 'points="2.0,22.0"' in notebook.curve([5.0])


def test_picture_is_the_image():
    import base64
    import io

    from PIL import Image

    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    data = notebook.picture(image).split("base64,")[1].split('"')[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), image)


def test_pictures_keep_their_proportions():
    wide = notebook.picture(np.zeros((4, 8, 1), np.uint8), side=32)
    assert 'width="32" height="16"' in wide
    assert 'width="16" height="32"' in notebook.picture(np.zeros((8, 4, 1), np.uint8), side=32)


def test_columns_are_aligned_and_headings_have_a_detail():
    text = notebook.table(("a", "b"), [("<x>", notebook.Markup("<b>y</b>"))], left=(1,))
    assert re.findall(r"text-align: (\w+);\">(.*?)</t[dh]>", text) == [
        ("right", "a"),
        ("left", "b"),
        ("right", "&lt;x&gt;"),
        ("left", "<b>y</b>"),
    ]
    assert notebook.heading("a<b") == "<div><strong>a&lt;b</strong></div>"
    assert notebook.heading("a", "<b>") == "<div><strong>a</strong>&ensp;&lt;b&gt;</div>"


def test_no_backend_is_loaded():
    code = (
        "import kzoo, sys; kzoo.recipe('rescue/bn')._repr_html_(); kzoo.study('rescue')._repr_html_()\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_figures_and_diagrams_are_pictures():
    from kzoo.diagnostics.plots import new_figure

    assert new_figure(1, 1)._repr_png_().startswith(b"\x89PNG")
    drawing = kzoo.architecture_diagram(kzoo.create_model("lenet1-max"))
    assert drawing._repr_svg_() == drawing
    assert drawing.startswith("<svg")


def test_training_prints_ten_lines_in_a_cell(monkeypatch):
    from kzoo.console import plain_console
    from kzoo.training.callbacks import progress_bar

    printed = {}
    for cell in (True, False):
        monkeypatch.setattr(progress_bar, "in_notebook", lambda cell=cell: cell)
        console = plain_console(file=io.StringIO(), width=100)
        bar = progress_bar.ProgressBar(console, 95, 1, 10, 10)
        bar.on_train_begin()
        for epoch in range(95):
            bar.on_epoch_begin(epoch)
            bar.on_train_batch_end(0, {"loss": 1.0})
            bar.on_epoch_end(epoch, {"loss": 1.0, "accuracy": 0.5})
        bar.close()
        printed[cell] = console.file.getvalue().splitlines()
    assert [line[:12] for line in printed[True]] == [f"epoch {n:3d}/95" for n in (*range(10, 95, 10), 95)]
    assert len(printed[False]) == 95
