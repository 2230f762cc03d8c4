"""Accuracy after shifts and rotations, on images and models whose answers can be counted by hand."""

import keras
import numpy as np
import pytest

from kzoo.data.augmentation.geometry import rotate
from kzoo.diagnostics.invariance import Invariance, invariance, plot_invariance, shifted, turned
from kzoo.errors import InputError

L = keras.layers
SIZE = 9


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (-3, 0), (0, 1), (0, -4), (2, -1), (20, 0)])
def test_shifted_takes_each_pixel_from_its_place(down, right):
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3)).astype("uint8")
    for fill in ("edge", "black"):
        result = shifted(images, down, right, fill)
        assert result.dtype == np.uint8
        for row in range(6):
            for column in range(5):
                source = row - down, column - right
                inside = 0 <= source[0] < 6 and 0 <= source[1] < 5
                nearest = np.clip(source[0], 0, 5), np.clip(source[1], 0, 4)
                expected = images[:, nearest[0], nearest[1]] if inside or fill == "edge" else 0
                np.testing.assert_array_equal(result[:, row, column], expected)


@pytest.mark.parametrize("shape", [(2, 6, 6, 3), (2, 7, 7, 1)])
def test_turned_by_right_angles_is_exact(shape):
    images = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    for fill in ("edge", "black"):
        for quarters in range(5):
            expected = np.rot90(images, quarters, axes=(1, 2))
            np.testing.assert_array_equal(turned(images, 90 * quarters, fill), expected)


def test_turned_fills_with_the_edge_or_with_black():
    images = np.full((1, 8, 12, 1), 200, "uint8")
    for angle in (15, 45, 90, 137):
        assert (turned(images, angle) == 200).all()
        assert turned(images, angle, "black").min() == 0
    middle = (slice(None), slice(3, 5), slice(5, 7))
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 12, 1)).astype("float32")
    np.testing.assert_allclose(turned(images, 30)[middle], rotate(images, 30)[middle], rtol=1e-4)


def dots(rows, columns):
    """One image per position, dark except for one bright pixel at the position."""
    images = np.zeros((len(rows), SIZE, SIZE, 1), "uint8")
    images[np.arange(len(rows)), rows, columns] = 255
    return images


def halves(vote):
    """Returns 1 if the bright pixel is where `vote` (SIZE, SIZE) is positive, else 0."""
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), L.Flatten(), L.Dense(2, use_bias=False)])
    model.layers[-1].kernel.assign(np.stack([-vote.ravel(), vote.ravel()], axis=1))
    return model


def test_shift_and_rotation_counted_by_hand():
    # The class is whether the pixel is right of the middle column; the middle column itself counts as left.
    columns = np.array([1, 2, 3, 5, 6, 7])
    vote = np.where(np.indices((SIZE, SIZE))[1] > 4, 1.0, -1.0)
    labels = (columns > 4).astype(int)
    images = dots(np.full(6, 4), columns)
    curves = invariance(halves(vote), images, labels, shifts=(0, 1, 2, 3), angles=(0, 90, 180), fill="black")
    # A pixel that has left the image leaves two equal scores, which count as class 0.
    right = [sum((4 < c + n < SIZE) == (c > 4) for c in columns) for n in range(4)]
    left = [sum((c - n > 4) == (c > 4) for c in columns) for n in range(4)]
    expected = (np.array(right) + left + 6 + 6) / 24
    np.testing.assert_allclose(curves.shift_accuracy, expected)
    assert curves.rotation_accuracy[0] == 1
    assert curves.rotation_accuracy[1] == pytest.approx(0.5)  # all in the middle column: class 0
    assert curves.rotation_accuracy[2] == 0
    assert curves.shift_agreement == curves.shift_accuracy  # all right at first
    assert (curves.images, curves.shifts, curves.angles) == (6, (0, 1, 2, 3), (0.0, 90.0, 180.0))


def test_global_pooling_is_invariant_and_both_senses_are_turned():
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), L.GlobalMaxPooling2D(), L.Dense(2, use_bias=False)])
    model.layers[-1].kernel.assign([[0.0, 1.0]])
    images = dots([4, 4], [4, 4])
    curves = invariance(model, images, np.array([1, 1]), shifts=(0, 4, 5), angles=(90, 180), fill="black")
    assert curves.shift_accuracy == (1, 1, 0)  # at 5 the pixel has left the image
    assert curves.rotation_accuracy == (1, 1)
    # A quarter turn moves the right side to the top in one direction, to the bottom in the other.
    vote = np.where(np.indices((SIZE, SIZE))[0] < 4, 1.0, -1.0)
    one = invariance(halves(vote), dots([4], [7]), np.array([1]), shifts=(), angles=(0, 90))
    assert one.shift_accuracy == ()
    assert one.rotation_accuracy == (0, 0.5)
    assert one.rotation_agreement == (1, 0.5)


def test_goes_to_json_and_back_and_into_a_figure():
    import json

    model = halves(np.ones((SIZE, SIZE)))
    curves = invariance(model, dots([1], [1]), np.array([1]), shifts=range(3), angles=(0, 45), name="one")
    assert Invariance.from_dict(json.loads(json.dumps(curves.to_dict()))) == curves
    figure = plot_invariance([curves, curves], "agreement")
    left, right = figure.axes
    assert len(left.lines) == len(right.lines) == 2
    np.testing.assert_array_equal(left.lines[0].get_ydata(), curves.shift_agreement)
    np.testing.assert_array_equal(right.lines[0].get_xdata(), (0, 45))
    curves = invariance(model, dots([1], [1]), np.array([1]))
    assert (curves.shifts, curves.angles) == (tuple(range(9)), tuple(range(0, 181, 15)))
    with pytest.raises(InputError, match="results is empty"):
        plot_invariance([])
    with pytest.raises(InputError, match="measure='loss'"):
        plot_invariance(curves, "loss")


CASES = {
    "shape": ({"images": np.zeros((3, SIZE, SIZE))}, "n, height, width, channels"),
    "size": ({"images": np.zeros((3, 4, 4, 1))}, "images must be one or more of shape"),
    "none": ({"images": np.zeros((0, SIZE, SIZE, 1)), "labels": np.zeros(0, int)}, "1 or more"),
    "labels": ({"labels": np.zeros(2, int)}, "labels must be 3 integers"),
    "one-hot": ({"labels": np.eye(3)}, "labels must be 3 integers"),
    "classes": ({"labels": np.array([0, 1, 2])}, "labels must be from 0 to 1, the classes of .*; they go from 0 to 2"),
    "fill": ({"fill": "white"}, "fill='white'"),
    "negative": ({"shifts": (0, -1)}, "shifts has -1"),
    "half": ({"shifts": (0.5,)}, "shifts has 0.5"),
    "infinite": ({"angles": (np.inf,)}, "angles has inf"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_error(case):
    options, message = CASES[case]
    arguments = {"images": np.zeros((3, SIZE, SIZE, 1)), "labels": np.zeros(3, int), **options}
    with pytest.raises(InputError, match=message):
        invariance(halves(np.ones((SIZE, SIZE))), **arguments)


def test_unbuilt_models_and_other_outputs_are_refused():
    images, labels = np.zeros((3, SIZE, SIZE, 1)), np.zeros(3, int)
    with pytest.raises(InputError, match="is not built"):
        invariance(keras.Sequential([L.Flatten(), L.Dense(2)]), images, labels)
    with pytest.raises(InputError, match="gives outputs of shape"):
        invariance(keras.Sequential([keras.Input((SIZE, SIZE, 1)), L.Conv2D(2, 3)]), images, labels)
