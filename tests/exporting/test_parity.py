"""The comparison of a file's outputs with the network's, on outputs made by hand."""

import numpy as np
import pytest

from kzoo.errors import RunFailed
from kzoo.exporting import parity
from kzoo.exporting.parity import check_outputs, compare, outputs_of, photographs, random_pictures

RANDOM = np.random.default_rng(0)
LOGITS = 3 * RANDOM.normal(size=(20, 4))
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


def column(*values):
    return np.array(values)[:, None]


def classes(*chosen):
    """Probabilities of three classes, one row per chosen class, which is the most probable."""
    return 0.1 + 0.7 * np.eye(3)[list(chosen)]


@pytest.mark.parametrize(("offset", "passes"), [(0.9e-4, True), (-0.9e-4, True), (1e-4, False), (-1.1e-4, False)])
def test_a_probability_may_differ_by_the_tolerance(offset, passes):
    expected, actual = np.zeros((3, 2)), np.zeros((3, 2))
    actual[1, 1] = offset
    if passes:
        result = compare(expected, actual, output="probabilities", images={"random": 1, "test": 2})
        assert (result.largest_difference, result.tolerance) == (abs(offset), 1e-4)
        assert result.images == {"random": 1, "test": 2}
        assert (result.accuracy_before, result.accuracy_after, result.scored) == (None, None, None)
    else:
        text = rf"by up to {abs(offset):.3g} on 3 images, at most 0\.0001 is allowed; nothing was written"
        with pytest.raises(RunFailed, match=text):
            compare(expected, actual, output="probabilities", images={"random": 1, "test": 2})


def test_other_outputs_may_differ_by_a_share_of_the_largest():
    for expected, allowed in ((column(-200.0, 3.0), 0.02), (column(200.0, 3.0), 0.02), (column(0.5, 0.1), 1e-4)):
        result = compare(expected, expected + 0.9 * allowed, output="logits", images={"random": 2})
        assert result.tolerance == pytest.approx(allowed)
        with pytest.raises(RunFailed, match=f"{allowed:.3g} is allowed"):
            compare(expected, expected + 1.1 * allowed, output="logits", images={"random": 2})
    with pytest.raises(RunFailed, match=r"by up to 0\.018 "):
        compare(column(-200.0), column(-199.982), output="probabilities", images={"random": 1})


def test_nan_and_other_shapes_fail():
    wrong = SOFTMAX.copy()
    wrong[3, 1] = np.nan
    for expected, actual in ((SOFTMAX, wrong), (wrong, SOFTMAX)):
        with pytest.raises(RunFailed, match="by up to nan on 20 images"):
            compare(expected, actual, output="probabilities", images={"random": 20})
    for quantized in (False, True):
        with pytest.raises(RunFailed, match=r"gives outputs of shape \(20, 3\), the model \(20, 4\)"):
            compare(SOFTMAX, SOFTMAX[:, :3], output="probabilities", images={"random": 20}, quantized=quantized)


def test_the_class_is_the_largest_output():
    expected, actual = classes(0, 1, 2, 0, 1), classes(0, 1, 2, 0, 2)
    images = {"photographs": 2, "test": 3}
    result = compare(expected, actual, output="probabilities", images=images, quantized=True)
    assert (result.same_class, result.tolerance) == (0.8, None)
    assert result.largest_difference == pytest.approx(0.7)
    with pytest.raises(
        RunFailed, match=r"^the int8 file predicts the model's class for 60\.0% of 5 images; at least 80%"
    ):
        compare(expected, classes(0, 1, 2, 1, 2), output="probabilities", images=images, quantized=True)


def test_one_sigmoid_above_one_half_is_the_second_class():
    expected = column(0.2, 0.6, 0.9, 0.4, 0.5)
    result = compare(
        expected, column(0.45, 0.55, 0.7, 0.51, 0.1), output="probabilities", images={"test": 5},
        labels=np.array([0, 1, 1, 1, 1]), part="test", quantized=True,
    )  # fmt: skip
    assert result.same_class == 0.8
    assert (result.accuracy_before, result.accuracy_after, result.scored) == (0.6, 0.8, (5, "test"))
    with pytest.raises(RunFailed, match=r"for 20\.0% of 5 images"):
        compare(expected, 1 - expected, output="probabilities", images={"test": 5}, quantized=True)
    # A single logit has no such threshold.
    assert compare(LOGITS[:, :1], LOGITS[:, :1], output="logits", images={"test": 20}).largest_difference == 0


def test_labels_are_those_of_the_last_images():
    expected, labels = classes(2, 2, 0, 1, 2, 0, 1, 2, 0, 1), np.array([1, 1, 0, 0])
    options = {"output": "probabilities", "images": {"random": 6, "test": 4}, "part": "test"}
    result = compare(expected, expected, labels=labels, **options)
    assert (result.accuracy_before, result.accuracy_after, result.scored) == (0.5, 0.5, (4, "test"))
    for none in (None, labels[:0]):
        assert compare(expected, expected, labels=none, **options).scored is None
    assert result.to_dict() == {
        "images": {"random": 6, "test": 4}, "largest_difference": 0.0, "tolerance": 1e-4, "same_class": 1.0,
        "accuracy_before": 0.5, "accuracy_after": 0.5, "scored": (4, "test"),
    }  # fmt: skip


def test_an_int8_file_may_lose_a_little_accuracy_and_gain_any():
    right, wrong = classes(*[0, 1, 2] * 10), classes(*[1, 1, 2] * 2, *[0, 1, 2] * 8)
    options = {"output": "probabilities", "images": {"test": 30}, "labels": np.array([0, 1, 2] * 10), "quantized": True}
    result = compare(wrong, right, **options)
    assert (result.accuracy_before, result.accuracy_after) == (pytest.approx(28 / 30), 1.0)
    with pytest.raises(RunFailed, match=r"for 93\.3% of 30 images, accuracy 1\.0000 became 0\.9333; .* at most 0"):
        compare(right, wrong, **options)
    little = classes(1, 1, 2, *[0, 1, 2] * 9)
    assert compare(right, little, **options).accuracy_after == pytest.approx(29 / 30)


@pytest.mark.parametrize(
    ("outputs", "expected", "kind", "low", "wrong"),
    [
        # Unchanged outputs must be possible for their kind.
        (SOFTMAX, SOFTMAX, "softmax", False, None),
        (LOGITS, LOGITS, "logits", False, None),
        (0.3 * SOFTMAX, 0.3 * SOFTMAX, "logits", False, None),  # between 0 and 1 by chance
        (0.3 * SOFTMAX, 0.3 * SOFTMAX, "sigmoids", False, None),
        (0.97 * SOFTMAX, 0.97 * SOFTMAX, "softmax", True, None),  # sums of half precision
        (0.97 * SOFTMAX, 0.97 * SOFTMAX, "softmax", False, "outputs softmax, but they are sigmoids"),
        (SOFTMAX, SOFTMAX, "logits", False, "outputs logits, but they are softmax"),
        (LOGITS, LOGITS, "softmax", True, "outputs softmax, but they are logits"),
        (LOGITS, LOGITS, "sigmoids", False, "outputs sigmoids, but they are logits"),
        # Converted outputs must mean the same.
        (SOFTMAX, LOGITS, "logits", False, None),
        (LOGITS, SOFTMAX, "softmax", False, None),
        (SOFTMAX, LOGITS + 0.003 * np.eye(20, 4), "logits", False, None),
        (SOFTMAX, LOGITS + 0.2 * np.eye(20, 4), "logits", False, r"by up to 0\.0\d+ on 20 images"),
        (SOFTMAX, LOGITS + 0.2 * np.eye(20, 4), "logits", True, None),
        (SOFTMAX, LOGITS[::-1], "logits", True, r"by up to 0\.8\d+ on 20 images"),
        (SOFTMAX, np.where(np.arange(20)[:, None] < 6, -LOGITS, LOGITS), "logits", True, None),  # on few images
        (SOFTMAX, LOGITS[:, :3], "logits", False, r"of shape \(20, 3\), but the model gives \(20, 4\)"),
        (SOFTMAX, np.full((20, 4), np.nan), "softmax", False, "by up to nan"),
    ],
)
def test_outputs_of_the_file_mean_what_the_network_returns(outputs, expected, kind, low, wrong):
    if wrong is None:
        check_outputs(outputs, expected, kind=kind, low_precision=low)
    else:
        with pytest.raises(RunFailed, match=wrong):
            check_outputs(outputs, expected, kind=kind, low_precision=low)


def test_files_are_run_with_two_batch_sizes_and_every_image_once():
    sizes = []

    def run(images):
        sizes.append(len(images))
        return 2 * images

    for count, wanted in ((1, [1]), (2, [1, 1]), (65, [1, 64]), (66, [1, 64, 1])):
        sizes.clear()
        np.testing.assert_array_equal(outputs_of(run, np.arange(count)), 2 * np.arange(count))
        assert sizes == wanted


def test_pictures_to_compare_on():
    pictures = random_pictures((6, None, 2), 50)
    assert (pictures.shape, pictures.dtype) == ((50, 6, parity.OPEN_SIZE, 2), np.uint8)
    np.testing.assert_array_equal(pictures, random_pictures((6, None, 2), 50))
    assert (pictures != random_pictures((6, None, 2), 50, seed=1)).any()
    spread = pictures.std((1, 2)).mean(-1)  # from a single colour to noise, whose deviation is 74
    assert spread.min() < 10
    assert 60 < spread.max() < 80
    assert pictures.min() < 5
    assert pictures.max() > 250
    assert photographs((8, 8, 2), 4).shape == (0, 8, 8, 2)
    colour, grey = photographs((20, None, 3), 10), photographs((20, None, 1), 10)
    assert (colour.shape, grey.shape) == ((10, 20, parity.OPEN_SIZE, 3), (10, 20, parity.OPEN_SIZE, 1))
    np.testing.assert_array_equal(grey, colour.mean(-1, keepdims=True).astype(np.uint8))
    assert len({picture.tobytes() for picture in colour}) == 10
