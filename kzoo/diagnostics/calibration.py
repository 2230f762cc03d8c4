"""Whether a model's confidence matches its accuracy: reliability diagram, calibration errors, temperature scaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss

from kzoo.checks import whole
from kzoo.diagnostics.confusion import check_labels
from kzoo.diagnostics.plots import COLORS, literal, new_figure
from kzoo.errors import InputError

SMALLEST = 1e-30  # a probability of 0 counts as this in logarithms
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Bins:
    """Images in bins of confidence, the probability of the predicted class; empty bins hold NaN.

    Attributes:
        edges: float64 (bins + 1,).
        counts: int64 (bins,).
        confidence: mean confidence of each bin's images, float64 (bins,).
        accuracy: share of each bin's images that are classified correctly, float64 (bins,).
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: mean of |accuracy - confidence| over the bins, weighted by their images."""
        full = self.counts > 0
        gaps = np.abs(self.accuracy - self.confidence)[full]
        return float(np.average(gaps, weights=self.counts[full]))


@dataclass(frozen=True)
class Calibration:
    """How far a model's probabilities can be trusted (Guo et al., 2017).

    Attributes:
        images: number of images.
        accuracy: share of them that are classified correctly.
        confidence: mean probability of the predicted class; above the accuracy in an overconfident model.
        error: expected calibration error over bins of equal width.
        equal_mass_error: the same over bins with equal numbers of images, so that no bin dominates.
        negative_log_likelihood: mean cross entropy, in nats.
        brier: mean squared distance of the probabilities from the one-hot label, summed over the classes (0 to 2).
        bins: of equal width.
    """

    images: int
    accuracy: float
    confidence: float
    error: float
    equal_mass_error: float
    negative_log_likelihood: float
    brier: float
    bins: Bins

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; empty bins hold None."""
        bins = {
            name: [None if np.isnan(value) else value for value in values.tolist()]
            for name, values in asdict(self.bins).items()
        }
        return {**asdict(self), "bins": bins}


def reliability_bins(
    confidence: np.ndarray, right: np.ndarray, bins: int = 15, strategy: Literal["uniform", "quantile"] = "uniform"
) -> Bins:
    """Put images into bins by confidence, like scikit-learn's `calibration_curve` (which returns no counts).

    Args:
        confidence: (n,), 0 to 1.
        right: whether each prediction is correct, bool (n,).
        bins: number of bins.
        strategy: ``"uniform"`` (equal width) or ``"quantile"`` (equal numbers of images).
    """
    quantiles = np.linspace(0.0, 1.0, bins + 1)
    edges = quantiles if strategy == "uniform" else np.quantile(confidence, quantiles)
    index = np.searchsorted(edges[1:-1], confidence)
    counts = np.bincount(index, minlength=bins)

    def means(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(index, weights=values, minlength=bins)
        return np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)

    return Bins(edges, counts, means(confidence), means(right.astype(float)))


def calibration(labels: Any, probabilities: Any, *, bins: int = 15) -> Calibration:
    """Compare a model's probabilities with its accuracy.

    Args:
        labels: integers (n,).
        probabilities: (n, classes), each row adding up to 1.
        bins: number of bins of the calibration errors; 15 in Guo et al.

    Raises:
        InputError: the shapes do not fit, a label is not a class, or a row is not a distribution.

    Example:
        >>> shares = model.predict(images, verbose=0)
        >>> 0 <= kzoo.calibration(labels, shares, bins=10).error <= 1
        True
    """
    labels, probabilities = _checked(labels, probabilities)
    bins = whole("bins", bins)
    predicted, confidence = probabilities.argmax(-1), probabilities.max(-1)
    right = predicted == labels
    equal_width = reliability_bins(confidence, right, bins)
    classes = np.arange(probabilities.shape[1])
    return Calibration(
        images=len(labels),
        accuracy=float(right.mean()),
        confidence=float(confidence.mean()),
        error=equal_width.error,
        equal_mass_error=reliability_bins(confidence, right, bins, "quantile").error,
        negative_log_likelihood=_loss(labels, _logarithms(probabilities)),
        brier=float(brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False)),
        bins=equal_width,
    )


def fit_temperature(labels: Any, probabilities: Any) -> float:
    """The temperature that makes a model's probabilities most likely, fitted on images it was not trained on.

    All logits are divided by this one number, which does not change the predicted classes (Guo et al., 2017, section
    4.2). If it is above 1, the model was overconfident. It is searched for between 0.05 and 20.

    Args:
        labels: integers (n,), of the validation part.
        probabilities: (n, classes).
    """
    labels, probabilities = _checked(labels, probabilities)
    logits = _logarithms(probabilities)  # the logits, up to a constant that cancels
    limits = (np.log(COLDEST), np.log(HOTTEST))
    optimum = minimize_scalar(
        lambda power: _loss(labels, logits / np.exp(power)), bounds=limits, method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(optimum.x))


def at_temperature(probabilities: Any, temperature: float) -> np.ndarray:
    """Probabilities (n, classes) after dividing all logits by a temperature."""
    if not temperature > 0:
        raise InputError(f"temperature must be above 0, not {temperature}")
    return softmax(_logarithms(np.asarray(probabilities, np.float64)) / temperature, axis=-1)


def _checked(labels: Any, probabilities: Any) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise InputError(f"probabilities must have shape (n, classes), 2 classes or more, not {probabilities.shape}")
    check_labels(labels, probabilities.shape[1], probabilities)
    if not (np.isfinite(probabilities).all() and probabilities.min() >= 0):
        raise InputError("probabilities must be finite and 0 or more: are they logits?")
    sums = probabilities.sum(axis=-1)
    if np.abs(sums - 1).max() > 1e-2:
        raise InputError(f"probabilities must add up to 1, not to {sums.min():.3g} to {sums.max():.3g}")
    return labels, probabilities / sums[:, None]


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, SMALLEST))


def _loss(labels: np.ndarray, logits: np.ndarray) -> float:
    return float(-log_softmax(logits, axis=-1)[np.arange(len(labels)), labels].mean())


def plot_reliability(results: Calibration | Mapping[str, Calibration], *, title: str = "") -> Figure:
    """Reliability diagrams: accuracy by confidence and, below, the share of images with that confidence.

    On the dashed line, accuracy equals confidence; bars below it mean too much confidence.

    Args:
        results: one calibration, or several by name, side by side.
        title: title of the whole figure.
    """
    # One column of panels for each calibration.
    panels = {"": results} if isinstance(results, Calibration) else dict(results)
    if not panels:
        raise InputError("there is no calibration to show")
    figure = new_figure(4.6 * len(panels) if len(panels) > 1 else 5.0, 5.2)
    grid = figure.subplots(2, len(panels), squeeze=False, sharex="col", gridspec_kw={"height_ratios": (3, 1)})
    for (name, panel), (upper, lower) in zip(panels.items(), grid.T, strict=True):
        bins = panel.bins
        full = bins.counts > 0
        widths = np.diff(bins.edges)[full]
        left = bins.edges[:-1][full]
        style: dict[str, Any] = {"width": widths, "align": "edge", "edgecolor": "white", "linewidth": 0.6}

        # Upper panel: accuracy, and its gap to the confidence.
        upper.bar(left, bins.accuracy[full], color=COLORS[4], label="accuracy", **style)
        gap = bins.confidence[full] - bins.accuracy[full]
        hatched = {**style, "edgecolor": COLORS[1], "facecolor": "none", "hatch": "////"}
        upper.bar(left, gap, bottom=bins.accuracy[full], label="gap to confidence", **hatched)
        upper.plot([0, 1], [0, 1], color="0.3", linestyle="--", linewidth=1)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        label = f"calibration error {panel.error:.3f}"
        upper.set_title(f"{literal(name)}\n{label}" if name else label, fontsize=11)
        upper.legend(loc="upper left", frameon=False, fontsize=9)

        # Lower panel: the distribution of the confidence.
        lower.bar(left, bins.counts[full] / panel.images, color="0.55", **style)
        lower.axvline(panel.accuracy, color=COLORS[0], linewidth=1.5, label=f"accuracy {panel.accuracy:.2f}")
        lower.axvline(panel.confidence, color=COLORS[1], linewidth=1.5, label=f"confidence {panel.confidence:.2f}")
        lower.set(xlabel="confidence (probability of the predicted class)", ylabel="share of images")
        lower.legend(frameon=False, fontsize=8)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure
