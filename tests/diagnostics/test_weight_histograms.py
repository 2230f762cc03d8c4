import json

import keras
import numpy as np
import pytest

from kzoo.diagnostics.weight_plots import plot_weight_histograms
from kzoo.errors import InputError
from kzoo.training.recorders.weight_histograms import (
    FILE,
    Histogram,
    WeightHistograms,
    WeightHistory,
    histogram,
    read_weight_histograms,
    weight_histograms,
)

pytestmark = pytest.mark.usefixtures("eagerly")


def network():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")], name="inner")
    model = keras.Sequential(
        [keras.Input((4,)), inner, keras.layers.BatchNormalization(), keras.layers.Dense(2, name="out")]
    )
    model.compile("sgd", "mse")
    return model


def fit(model, recorder, first, last):
    images = np.random.default_rng(0).normal(size=(16, 4))
    model.fit(images, images[:, :2], initial_epoch=first, epochs=last, callbacks=[recorder], verbose=0, shuffle=False)


def test_histogram_equals_numpys():
    values = np.random.default_rng(0).normal(size=(3, 3, 4, 5))
    result = histogram(values)
    counts, edges = np.histogram(values, 32)
    assert result.counts == tuple(counts)
    assert (result.low, result.high) == (edges[0], edges[-1]) == (values.min(), values.max())
    assert result.mean == pytest.approx(values.mean())
    assert result.deviation == pytest.approx(values.std())


def test_constant_and_broken_weights():
    assert histogram(np.zeros((3, 3))).counts.count(0) == 31
    half = histogram(np.array([1.0, 2.0, np.nan, np.inf]))
    assert sum(half.counts) == 2
    none = histogram(np.full(3, np.nan))
    assert sum(none.counts) == 0
    assert np.isnan(none.mean)
    history = WeightHistory(("a",), (0,), ((none,),))
    assert np.isnan(WeightHistory.from_dict(json.loads(json.dumps(history.to_dict()))).histograms[0][0].mean)
    assert plot_weight_histograms(history).axes


def test_kernels_of_nested_models_and_no_others():
    assert list(weight_histograms(network())) == ["inner/hidden", "out"]
    with pytest.raises(InputError, match="not built"):
        weight_histograms(keras.Sequential([keras.layers.Dense(2)]))


@pytest.mark.parametrize(("epochs", "expected"), [(3, 4), (20, 21), (25, 14), (100, 21), (400, 21)])
def test_at_most_twenty_epochs_and_the_last(epochs, expected, tmp_path):
    recorder = WeightHistograms(network(), tmp_path, epochs)
    recorder.on_epoch_begin(0)
    for epoch in range(epochs):
        recorder.on_epoch_end(epoch)
    recorder.on_train_end()
    recorded = read_weight_histograms(tmp_path).epochs
    assert len(recorded) == expected
    assert (recorded[0], recorded[-1]) == (0, epochs)


def test_weights_as_they_were(tmp_path):
    model = network()
    first = weight_histograms(model)
    fit(model, WeightHistograms(model, tmp_path, 3), 0, 3)
    history = read_weight_histograms(tmp_path / FILE)
    assert history.epochs == (0, 1, 2, 3)
    for row, expected in ((history.histograms[0], first), (history.histograms[-1], weight_histograms(model))):
        for one, two in zip(row, expected.values(), strict=True):
            assert one.counts == two.counts
            assert one.low == pytest.approx(two.low, rel=1e-5)


def test_early_stop_leaves_the_last_epoch(tmp_path):
    recorder = WeightHistograms(network(), tmp_path, 100)
    recorder.on_epoch_begin(0)
    for epoch in range(7):
        recorder.on_epoch_end(epoch)
    recorder.on_train_end()
    assert read_weight_histograms(tmp_path).epochs == (0, 5, 7)


def test_resumed_file_is_that_of_one_training(tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    keras.utils.set_random_seed(1)
    model = network()
    weights = model.get_weights()
    fit(model, WeightHistograms(model, tmp_path / "whole", 4), 0, 4)

    model.set_weights(weights)
    recorder = WeightHistograms(model, tmp_path / "cut", 4)
    fit(model, recorder, 0, 2)
    state, checkpoint = json.loads(json.dumps(recorder.state())), model.get_weights()
    recorder.on_epoch_begin(2)
    for variable in model.weights:
        variable.assign(variable + 1)
    recorder.on_epoch_end(2)  # trained beyond the checkpoint, then killed
    assert read_weight_histograms(tmp_path / "cut").epochs == (0, 1, 2, 3)

    model.set_weights(checkpoint)
    recorder = WeightHistograms(model, tmp_path / "cut", 4)
    recorder.restore(state)
    fit(model, recorder, 2, 4)
    assert (tmp_path / "cut" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_a_file_of_an_early_version_is_continued_without_what_is_no_kernel(tmp_path):
    model = network()
    recorder = WeightHistograms(model, tmp_path, 4)
    row = [histogram(np.array([-2.0, 0.0, 2.0]) * i) for i in (1, 2, 3)]
    early = WeightHistory(("inner/hidden", "slopes", "out"), (0, 1), (tuple(row), tuple(row)))
    (tmp_path / FILE).write_text(json.dumps(early.to_dict()))
    recorder.restore({"epochs": [0, 1], "last": 1, "begun": True})
    fit(model, recorder, 1, 2)
    history = read_weight_histograms(tmp_path)
    assert (history.layers, history.epochs) == (("inner/hidden", "out"), (0, 1, 2))
    assert [(part.low, part.high) for part in history.histograms[0]] == [(-2.0, 2.0), (-6.0, 6.0)]


def test_lost_or_damaged_file_does_not_stop_a_training(tmp_path):
    model = network()
    (tmp_path / FILE).write_text("{")
    recorder = WeightHistograms(model, tmp_path, 4)
    recorder.restore({"epochs": [0, 1, 2], "last": 2, "begun": True})
    fit(model, recorder, 2, 4)
    assert read_weight_histograms(tmp_path).epochs == (3, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no weight histograms"),
        ("{", "cannot be read"),
        ("{}", "no weight histograms"),
        ("[1]", "no weight histograms"),
        ('{"schema_version": 9}', "schema_version 9"),
        ('{"schema_version": 1, "layers": ["a"], "epochs": [0, 1], "histograms": [[[0, 1, 0, 1, [3]]]]}', "do not fit"),
    ],
)
def test_bad_files(tmp_path, text, message):
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=message):
        read_weight_histograms(tmp_path)


def test_plot():
    rows = [tuple(histogram(np.random.default_rng(e).normal(size=(e + 1) * 50)) for _ in range(30)) for e in range(5)]
    history = WeightHistory(tuple(f"layer{i}" for i in range(30)), (0, 1, 2, 3, 4), tuple(rows))
    shown = [axes.get_title() for axes in plot_weight_histograms(history).axes if axes.get_title()]
    assert len(shown) == 12
    assert (shown[0], shown[-1]) == ("layer0", "layer29")
    asked = ["layer9", "layer2", "layer4"]  # more than `at_most`
    assert [axes.get_title() for axes in plot_weight_histograms(history, asked, at_most=2).axes] == asked
    axes = plot_weight_histograms(history, ["layer3"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3", "4"]
    assert len(axes.lines) == 5
    with pytest.raises(InputError, match="did you mean"):
        plot_weight_histograms(history, ["layer33"])
    with pytest.raises(InputError, match="layers is empty"):
        plot_weight_histograms(history, [])
    with pytest.raises(InputError, match="at_most=0: must be a whole number, 1 or more"):
        plot_weight_histograms(history, at_most=0)
    with pytest.raises(InputError, match="no weight histograms"):
        plot_weight_histograms(WeightHistory(("a",), (), ()))
    flat = WeightHistory(("a",), (0,), ((Histogram(0, 0, 0, 0, (5, 0)),),))
    assert plot_weight_histograms(flat).axes
