"""Confusion counts of thousands of classes take space in proportion to the images; old dense records stay readable."""

import json
import tracemalloc

import numpy as np
import pytest
from scipy.sparse import issparse
from sklearn.metrics import precision_recall_fscore_support

from kzoo.diagnostics.confusion import Confusion, confusion, plot_confusion
from kzoo.errors import InputError
from kzoo.html_report import run_page
from kzoo.html_report.classes import class_table, confused_table, matrix_figure
from kzoo.html_report.document import Absent
from kzoo.recipes import get_recipe
from kzoo.training import counts
from tests.html_report.conftest import full


@pytest.mark.parametrize("classes", [3, counts.DENSE, counts.DENSE + 1])
def test_to_json_and_back(classes):
    rng = np.random.default_rng(classes)
    labels, predicted = rng.integers(0, classes, (2, 900))
    matrix = counts.count(labels, predicted, classes)
    assert issparse(matrix) == (classes > counts.DENSE)
    expected = np.zeros((classes, classes), int)
    np.add.at(expected, (labels, predicted), 1)
    again = counts.from_json(json.loads(json.dumps(counts.to_json(matrix))))
    for one in (matrix, again):
        np.testing.assert_array_equal(one.toarray() if issparse(one) else one, expected)


def test_dense_and_sparse_give_the_same_metrics():
    classes = counts.DENSE + 20
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes - 2, 3000)
    predicted = np.where(rng.random(3000) < 0.6, labels, rng.integers(0, classes - 1, 3000))
    sparse = confusion(labels, predicted, list(map(str, range(classes))))
    dense = Confusion(sparse.matrix.toarray(), sparse.class_names)
    assert issparse(sparse.matrix)
    assert sparse.accuracy == dense.accuracy == (labels == predicted).mean()
    assert sparse.most_confused(20) == dense.most_confused(20)
    names = ("precision", "recall", "f1", "support")
    expected = precision_recall_fscore_support(labels, predicted, labels=np.arange(classes), zero_division=np.nan)
    for name, values in zip(names, expected, strict=True):
        np.testing.assert_allclose(sparse.per_class()[name], values)
        np.testing.assert_array_equal(sparse.per_class()[name], dense.per_class()[name])


def test_five_thousand_classes_are_small():
    classes, images = 5000, 20_000
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images)
    predicted = np.where(rng.random(images) < 0.5, labels, rng.integers(0, classes, images))
    tracemalloc.start()
    matrix = counts.count(labels, predicted, classes)
    text = json.dumps(counts.to_json(matrix))
    sparse = Confusion(counts.from_json(json.loads(text)), tuple(map(str, range(classes))))
    tables = [confused_table(sparse), class_table(sparse)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(text) < 500_000
    assert peak < 50e6
    assert isinstance(matrix_figure(sparse), Absent)
    assert len(tables[0].rows) == 10
    assert len(tables[1].rows) == 100
    assert "the 100 classes of 5,000 with the lowest accuracy" in tables[1].caption.lower()
    with pytest.raises(InputError, match="5,000 classes is too large to draw"):
        plot_confusion(sparse)


@pytest.mark.slow
def test_record_and_page_of_five_thousand_classes_are_small(tmp_path):
    classes = 5000
    labels = np.random.default_rng(0).integers(0, classes, 20_000)
    data = {**full().data, "class_names": [f"class {i}" for i in range(classes)]}
    recipe = get_recipe("fully-connected/mlp").override(model_options={"hidden": [4]})
    confusion = counts.to_json(counts.count(labels, np.roll(labels, 1), classes))
    record = full(recipe, data=data, confusion=confusion, gradient_flow=None)
    assert len(record.to_json()) < 1_000_000
    assert run_page(record, tmp_path / "page.html").stat().st_size < 200_000
