"""Predicted extra memory equals what tracemalloc measures."""

import pytest

from benchmarks.convolution import measuring
from benchmarks.convolution.points import STANDARD, Point
from kzoo.convolution import ALGORITHMS

POINTS = [
    STANDARD,
    Point(batch=4, channels=8, size=40),
    Point(batch=3, channels=8, kernel=7),
    Point(batch=2, channels=24, size=20, kernel=1),
    Point(batch=2, channels=8, kernel=5, dilation=3),
    Point(batch=1, channels=64, size=16),
]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: "-".join(map(str, point.to_dict().values())))
@pytest.mark.parametrize("algorithm", ["im2col", "im2col-blocked", "fft"])
def test_prediction_is_right_but_for_small_objects(algorithm, point):
    for function, sizes in measuring.memory(point, algorithm).items():
        assert sizes["measured"] == pytest.approx(sizes["predicted"], rel=0, abs=10_000), function


def test_correlate2d_takes_a_map_or_two_and_loops_nothing():
    point = Point(batch=2, channels=8, size=32)
    for sizes in measuring.memory(point, "correlate2d").values():
        assert sizes["measured"] < sizes["predicted"] + 3 * 4 * 34**2
    for sizes in measuring.memory(Point(batch=1, channels=2, size=16), "loops").values():
        assert sizes["measured"] < 3_000


def test_what_grows_with_what():
    def stored(algorithm, **fields):
        return sum(sizes["measured"] for sizes in measuring.memory(Point(**fields), algorithm).values())

    assert stored("im2col", batch=8) == pytest.approx(2 * stored("im2col", batch=4), rel=0.05)
    assert stored("im2col-blocked", batch=32) == pytest.approx(stored("im2col-blocked", batch=16), rel=0.01)
    assert stored("im2col", kernel=5) == pytest.approx(25 / 9 * stored("im2col", kernel=3), rel=0.1)
    assert stored("fft", kernel=5) == pytest.approx(stored("fft", kernel=3), rel=0.01)
    assert stored("correlate2d", batch=4, channels=4) < 100_000


def test_all_algorithms_predict():
    for algorithm in ALGORITHMS.values():
        assert set(algorithm.storage(STANDARD.geometry, 4)) == {"forward", "input_gradient", "kernel_gradient"}
