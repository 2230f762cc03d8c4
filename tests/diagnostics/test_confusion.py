import json
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_score, recall_score

from kzoo.diagnostics.confusion import (
    Confusion,
    confident_mistakes,
    confusion,
    plot_confusion,
    plot_mistakes,
    plot_per_class,
    run_confusion,
)
from kzoo.diagnostics.plots import save_figure
from kzoo.errors import InputError


def answers(classes=5, images=400, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    return labels, np.where(rng.random(images) < 0.6, labels, rng.integers(0, classes, images))


def test_metrics_equal_scikit_learns():
    labels, predicted = answers()
    counts = confusion(labels, predicted)
    metrics = counts.per_class()
    assert counts.accuracy == pytest.approx(accuracy_score(labels, predicted))
    np.testing.assert_allclose(metrics["recall"], recall_score(labels, predicted, average=None))
    np.testing.assert_allclose(metrics["precision"], precision_score(labels, predicted, average=None))
    assert metrics["support"].tolist() == np.bincount(labels).tolist()


def test_probabilities_count_by_their_largest():
    labels = np.array([0, 1, 2, 2])
    counts = confusion(labels, np.eye(4)[[0, 1, 1, 2]], ["a", "b", "c", "d"])
    assert counts.matrix.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert counts.most_confused() == [("c", "b", 1, 0.5)]
    metrics = counts.per_class()
    assert np.isnan(metrics["recall"][3])
    assert np.isnan(metrics["precision"][3])
    assert json.loads(json.dumps(counts.to_dict()))["classes"]["d"]["recall"] is None


def test_columns_of_classes_and_names_in_an_array():
    result = confusion([0, 1, 2], np.array([[0], [1], [1]]), np.array(["a", "b", "c"]))
    np.testing.assert_array_equal(result.matrix, [[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    assert result.class_names == ("a", "b", "c")


def test_most_confused_pairs_in_order():
    matrix = np.array([[90, 8, 2], [20, 80, 0], [0, 5, 5]])
    pairs = Confusion(matrix, ("a", "b", "c")).most_confused(3)
    assert [(pair.true, pair.predicted, pair.images) for pair in pairs] == [
        ("b", "a", 20),
        ("a", "b", 8),
        ("c", "b", 5),
    ]
    assert [pair.share for pair in pairs] == pytest.approx([0.2, 0.08, 0.5])


def test_one_answer_for_everything():
    counts = confusion(np.zeros(5, int), np.zeros(5, int), ["only", "never"])
    assert counts.accuracy == 1
    assert counts.most_confused() == []


def test_confident_mistakes():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    mistakes = confident_mistakes([1, 1, 1, 1], probabilities)
    assert [(mistake.image, mistake.predicted) for mistake in mistakes] == [(0, 0), (3, 0), (1, 0)]
    assert mistakes[0].probability == 0.9
    assert mistakes[0].true_probability == 0.1
    assert len(confident_mistakes([1, 1, 1, 1], probabilities, top=1)) == 1


@pytest.mark.parametrize(
    ("labels", "predicted", "names", "message"),
    [
        ([0, 1], [0], None, "one label for each is needed"),
        ([], [], None, "need"),
        ([0, 5], [0, 1], ["a", "b"], "labels must lie in 0 to 1, not 0 to 5"),
        ([0.5, 1], [0, 1], None, "integers"),
        ([0, -1], [0, 1], None, "lie in"),
        ([0, 1], np.eye(2), ["a"], "1 class names"),
        ([0, 1], [[0.1, 0.9], [np.nan, 0.5]], None, "predicted has NaN for 1 of 2 images"),
        ([0, 1], [[-0.5], [1.5]], None, "must be probabilities, 0 to 1, not -0.5 to 1.5"),
    ],
)
def test_bad_input(labels, predicted, names, message):
    with pytest.raises(InputError, match=message):
        confusion(np.asarray(labels), np.asarray(predicted), names)


def test_bad_matrices():
    for matrix in (np.ones((2, 3)), np.zeros((2, 2)), -np.eye(2), np.ones(3)):
        with pytest.raises(InputError, match="confusion matrix"):
            Confusion(matrix.astype(int), ("a", "b"))
    with pytest.raises(InputError, match="1 class names"):
        Confusion(np.eye(2, dtype=int), ("a",))
    with pytest.raises(InputError, match="no mistakes"):
        plot_mistakes(np.zeros((1, 8, 8, 1)), [], ["a"])


def test_of_a_run():
    result = SimpleNamespace(confusion=[[3, 1], [0, 4]], why_untested=lambda: "The data has no test part.")
    run = SimpleNamespace(directory="here", class_names=("a", "b"), result=result)
    assert run_confusion(run).accuracy == 7 / 8
    result.confusion = None
    with pytest.raises(InputError, match=r"has no confusion matrix. The data has no test part\."):
        run_confusion(run)


@pytest.mark.parametrize("classes", [10, 47, pytest.param(100, marks=pytest.mark.slow)])
def test_matrix_shows_every_class_and_its_shares(classes):
    labels, predicted = answers(classes, 100 * classes)
    counts = confusion(labels, predicted, [f"class{i}" for i in range(classes)])
    axes = plot_confusion(counts).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(counts.class_names)
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shown.sum(axis=1), 1)
    np.testing.assert_allclose(np.diag(shown), counts.per_class()["recall"])
    numbers = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    shares = {(row, column): shown[row, column] for row, column in np.argwhere(counts.matrix)} if classes == 10 else {}
    assert numbers == {place: f"{100 * share:.0f}" if share >= 0.01 else "<1" for place, share in shares.items()}
    bars = [axes for axes in plot_per_class(counts).axes if axes.patches]
    assert sum(len(axes.patches) for axes in bars) == classes
    assert len(bars) == (2 if classes == 100 else 1)


def test_of_many_classes_those_with_images_and_the_lowest_recall_are_shown():
    labels = np.repeat(np.arange(210), 2)
    predicted = np.where(labels < 5, labels + 1, labels)
    figure = plot_per_class(confusion(labels, predicted, [f"class{i}" for i in range(250)]))
    shown = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert len(shown) == 100
    assert {f"class{i}" for i in range(5)} <= set(shown)
    assert not {f"class{i}" for i in range(210, 250)} & set(shown)
    assert figure.get_suptitle().startswith("100 of 250 classes, accuracy")


def test_mistakes_are_shown_with_both_classes():
    images = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8, 1)
    mistakes = confident_mistakes([0, 1, 1], np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]]))
    figure = plot_mistakes(images, mistakes, ["cat", "dog"])
    assert figure.axes[0].get_title() == "cat (10.0%)\nas dog (90.0%)"
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), images[2, :, :, 0])


def test_long_names_leave_room_for_the_matrix():
    names = [f"{'a very long name of a class ' * 4}{index}" for index in range(10)]
    figure = plot_confusion(confusion(np.arange(10), np.arange(10), names))
    save_figure(figure, "matrix.png")  # the layout is computed
    assert figure.axes[0].get_window_extent().width > 0.4 * figure.get_window_extent().width
    assert figure.axes[0].get_yticklabels()[0].get_text() == "a very long name of a class…"
