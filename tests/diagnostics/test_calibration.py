import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from kzoo.diagnostics.calibration import (
    at_temperature,
    calibration,
    fit_temperature,
    plot_reliability,
    reliability_bins,
)
from kzoo.errors import InputError


def model(temperature, images=20000, classes=5, seed=0):
    """Labels drawn from softmax(logits), and the probabilities of a model that multiplies logits by `temperature`."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(images, classes))
    shares = softmax(logits, axis=-1).cumsum(-1)
    labels = (rng.random((images, 1)) > shares).sum(-1).clip(0, classes - 1)
    return labels, softmax(logits * temperature, axis=-1)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_bins_equal_scikit_learns(strategy):
    labels, probabilities = model(2.0, images=500)
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    bins = reliability_bins(confidence, right, 10, strategy)
    accuracy, mean = calibration_curve(right, confidence, n_bins=10, strategy=strategy)
    full = bins.counts > 0
    np.testing.assert_allclose(bins.accuracy[full], accuracy)
    np.testing.assert_allclose(bins.confidence[full], mean)
    assert bins.counts.sum() == 500
    if strategy == "quantile":
        assert bins.counts.max() - bins.counts.min() <= 1


def test_error_by_hand():
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 2)
    result = calibration([0, 0, 0, 1, 1, 0], probabilities, bins=10)
    # Bin of 0.9: 3 of 4 right; bin of 0.6: 1 of 2 right.
    assert result.error == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.confidence == pytest.approx((4 * 0.9 + 2 * 0.6) / 6)
    assert result.brier == pytest.approx((3 * 0.02 + 1.62 + 0.32 + 0.72) / 6)
    assert result.negative_log_likelihood == pytest.approx(log_loss([0, 0, 0, 1, 1, 0], probabilities))


def test_right_temperature_is_found_and_calibrates():
    for truth in (0.5, 1.0, 3.0):
        labels, probabilities = model(truth)
        temperature = fit_temperature(labels, probabilities)
        assert temperature == pytest.approx(truth, rel=0.05)
        scaled = at_temperature(probabilities, temperature)
        after = calibration(labels, scaled)
        assert after.error < 0.02
        assert after.equal_mass_error < 0.02
        np.testing.assert_array_equal(scaled.argmax(-1), probabilities.argmax(-1))
        before = calibration(labels, probabilities)
        assert after.negative_log_likelihood <= before.negative_log_likelihood + 1e-9
        if truth != 1.0:
            assert before.error > 0.05
            assert (before.confidence > before.accuracy) == (truth > 1)


def test_classes_without_images_and_certain_answers():
    result = calibration([0, 1, 1], np.array([[1.0, 0, 0], [0, 1.0, 0], [1.0, 0, 0]]))
    assert result.error == pytest.approx(1 / 3)
    assert np.isfinite(result.negative_log_likelihood)
    data = json.loads(json.dumps(result.to_dict()))
    assert data["bins"]["accuracy"][0] is None
    assert data["bins"]["accuracy"][-1] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([0.5, 0.5], "shape"),
        ([[2.0, -1.0], [0.5, 0.5]], "logits"),
        ([[np.nan, 1.0], [0.5, 0.5]], "finite"),
        ([[2.0, 3.0], [0.5, 0.5]], "add up to 1"),
        ([[1.0], [1.0]], "2 classes"),
        ([[0.5, 0.5]], "need"),
    ],
)
def test_bad_input(probabilities, message):
    with pytest.raises(InputError, match=message):
        calibration([0, 1], np.array(probabilities))


def test_bad_settings():
    with pytest.raises(InputError, match="bins"):
        calibration([0, 1], np.eye(2), bins=0)
    with pytest.raises(InputError, match="temperature"):
        at_temperature(np.eye(2), 0)
    with pytest.raises(InputError, match="no calibration"):
        plot_reliability({})


def test_diagram_shows_accuracy_by_confidence():
    labels, probabilities = model(2.0, images=1000)
    result = calibration(labels, probabilities)
    figure = plot_reliability({"before": result, "after": calibration(labels, at_temperature(probabilities, 2.0))})
    assert len(figure.axes) == 4
    heights = [bar.get_height() for bar in figure.axes[0].containers[0]]
    np.testing.assert_allclose(heights, result.bins.accuracy[result.bins.counts > 0])
    shares = [bar.get_height() for bar in figure.axes[2].containers[0]]
    assert sum(shares) == pytest.approx(1)
