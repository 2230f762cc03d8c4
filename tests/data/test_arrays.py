"""Checked arrays: what is refused, fingerprints, restriction to classes, channel statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kzoo.data.arrays import Arrays, channel_statistics, checked, fingerprint, restricted
from kzoo.errors import InputError


def content(**changes: Any) -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 5, 3), np.uint8)
    return {"images": images, "labels": np.arange(12) % 3, **changes}


def test_good_content_comes_out_typed() -> None:
    raw = content(labels=(np.arange(12, dtype=np.uint8) % 3)[:, None], class_names=np.array(["a", "b", "c"]))
    arrays = checked(raw, "the set")
    np.testing.assert_array_equal(arrays.images, raw["images"])
    np.testing.assert_array_equal(arrays.labels, np.arange(12) % 3)
    assert arrays.labels.dtype == np.int64
    assert arrays.class_names == ("a", "b", "c")
    assert arrays.test_images is None
    assert checked(content(), "the set").class_names == ("0", "1", "2")


def test_grey_images_get_a_channel_axis() -> None:
    images = content()["images"][..., 0]
    arrays = checked(content(images=images, test_images=images[:3], test_labels=[0, 1, 1]), "the set")
    assert arrays.images.shape == (12, 4, 5, 1)
    assert arrays.test_images is not None
    assert arrays.test_images.shape == (3, 4, 5, 1)


def test_whole_numbers_of_another_type_are_pixels() -> None:
    images = content()["images"]
    assert (
        checked(content(images=images.astype(np.float32)), "set").fingerprint == checked(content(), "set").fingerprint
    )


def test_images_of_zeros_and_ones_are_reported_as_dark() -> None:
    images = content()["images"]
    dark = checked(content(test_images=images // 255, test_labels=np.arange(12) % 3), "the set")
    assert [line.partition(":")[0] for line in dark.notes] == ["the set"]
    assert "no pixel of its test images is above 1" in dark.notes[0]
    assert not checked(content(), "the set").notes
    (line,) = checked(content(images=images // 15), "the set").notes  # scikit-learn's digits range from 0 to 16
    assert "no pixel of its training images is above 17, where 255 is white: multiply by 255 / 17" in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "must give 'images' and 'labels'"),
        ({"labels": None}, "must give 'images' and 'labels'"),
        ({"images": [np.ones((4, 5)), np.ones((5, 5))]}, "images cannot be made into an array: .*different shapes"),
        ({"labels": np.ma.masked_equal(np.arange(12) % 3, 2)}, "labels hold masked values"),
        ({"labels": np.array([0, 1, 2, 2**63] * 3, np.uint64)}, "label 9223372036854775808 is out of range"),
        ({"class_names": {"a", "b", "c"}}, "class_names must be a list of names, in the order of the labels"),
        ({"class_names": ["a", None, "c"]}, "class_names must name every class, but 1 has None"),
        ({"images": np.ones((12, 4, 5, 3), np.float32)}, r"not float32 from 1 to 1 \(multiply by 255"),
        ({"images": np.ones((12, 4, 5, 3), np.int64)}, "must be uint8 in 0-255, not int64"),
        ({"images": np.full((12, 4, 5, 3), -0.5)}, r"not float64 from -0\.5 to -0\.5 \(scale them to 0-255 and round"),
        ({"images": np.full((12, 4, 5, 3), 7.5)}, r"not float64 from 7\.5 to 7\.5 \(round them"),
        (
            {"images": np.full((12, 4, 5, 3), 65535, np.uint16)},
            r"not uint16 from 65535 to 65535 \(16 bits\? divide by 257",
        ),
        ({"images": np.full((12, 4, 5, 3), np.nan)}, "not float64 with values that are not finite"),
        ({"images": np.ones((12, 4, 5, 3), bool)}, r"not bool \(multiply by 255"),
        ({"images": np.ones((12, 4, 8, 8), np.uint8)}, r"look like \(N, C, H, W\)"),
        ({"images": np.ones((12, 60), np.uint8)}, r"must have shape \(N, H, W, C\)"),
        ({"images": np.full((12, 60), 255.0)}, r"must have shape .*, not float64 of shape \(12, 60\)"),
        ({"class_names": 3}, "class_names must be a list of names, not 3"),
        ({"images": np.ones((12, 0, 5, 3), np.uint8)}, r"must have shape \(N, H, W, C\)"),
        ({"images": np.ones((11, 4, 5, 3), np.uint8)}, "11 images but 12 labels"),
        ({"images": np.ones((0, 4, 5, 3), np.uint8), "labels": np.zeros(0, int)}, "there are no images"),
        ({"labels": np.arange(12) / 4}, "labels must be whole numbers"),
        ({"labels": np.ones((12, 3))}, r"labels of shape \(12, 3\) must be one-hot"),
        ({"labels": np.eye(4)[np.arange(12) % 3]}, r"labels must be 0\.\.3 with each class present, .* no image of 3"),
        (
            {"labels": np.eye(3)[np.arange(12) % 3], "class_names": ["a", "b", "c", "d"]},
            "for 3 classes, but there are 4 class names",
        ),
        # As from pandas.get_dummies, which makes no column for a class that does not occur.
        (
            {"test_images": np.ones((4, 4, 5, 3), np.uint8), "test_labels": np.eye(2, dtype=bool)[[0, 1, 1, 0]]},
            "test labels are one-hot for 2 classes, but the training labels have 3",
        ),
        ({"labels": np.arange(12) % 3 - 1}, "labels must be 0 or more"),
        ({"labels": np.arange(12) % 3 + 1}, "there is no image of 0"),
        ({"labels": np.arange(12) % 3 * 2}, r"must be 0\.\.4 .* no image of 1"),
        ({"labels": np.zeros(12, int)}, "at least two classes"),
        ({"class_names": ("a", "b")}, "label 2 is out of range: there are 2 class names"),
        ({"class_names": ("a", "b", "c", "d")}, "no image of 3"),
        ({"class_names": ("a", "b", "a")}, "a name twice"),
        ({"test_images": np.ones((2, 4, 5, 3), np.uint8)}, "without the other"),
        ({"test_labels": np.ones(2, int)}, "without the other"),
        (
            {"test_images": np.ones((2, 4, 4, 3), np.uint8), "test_labels": [0, 1]},
            r"test images have shape \(4, 4, 3\)",
        ),
        ({"test_images": np.ones((2, 4, 5, 3), np.uint8), "test_labels": [0, 3]}, "test label 3 is out of range"),
        ({"test_images": np.ones((2, 4, 5, 3), np.uint8), "test_labels": [0]}, "2 test images but 1 test labels"),
        ({"test_images": np.ones((2, 4, 5, 3)), "test_labels": [0, 1]}, "test images must be uint8"),
    ],
)
def test_bad_content_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        checked(content(**changes), "the set")
    assert "the set" in str(caught.value)


def test_the_fingerprint_follows_the_content() -> None:
    base = checked(content(), "the set").fingerprint
    assert base == checked(content(class_names=("x", "y", "z")), "another source").fingerprint
    changed = content()
    changed["images"][3, 2, 1, 0] ^= 1
    others = [
        checked(changed, "").fingerprint,
        checked(content(labels=np.arange(12)[::-1] % 3), "").fingerprint,
        checked(content(images=content()["images"].reshape(12, 5, 4, 3)), "").fingerprint,
        checked(content(test_images=content()["images"], test_labels=content()["labels"]), "").fingerprint,
    ]
    assert len({base, *others}) == 5
    assert len(base) == 64


def test_the_fingerprint_does_not_depend_on_the_memory_layout() -> None:
    images = content()["images"]
    assert fingerprint(np.asfortranarray(images)) == fingerprint(images)
    assert fingerprint(images, None) != fingerprint(None, images)


def letters() -> Arrays:
    images = np.arange(30, dtype=np.uint8).reshape(30, 1, 1, 1)
    training = {"images": images, "labels": np.arange(30) % 5, "class_names": tuple("abcde")}
    return checked({**training, "test_images": images[:7], "test_labels": np.arange(7) % 5}, "letters")


def test_restriction_keeps_the_chosen_classes_in_the_requested_order() -> None:
    arrays = restricted(letters(), ("d", 0))
    assert arrays.class_names == ("d", "a")
    np.testing.assert_array_equal(arrays.images.ravel(), [i for i in range(30) if i % 5 in (0, 3)])
    np.testing.assert_array_equal(arrays.labels, [{3: 0, 0: 1}[i % 5] for i in arrays.images.ravel()])
    assert arrays.test_images is not None
    np.testing.assert_array_equal(arrays.test_images.ravel(), [0, 3, 5])
    np.testing.assert_array_equal(arrays.test_labels, [1, 0, 1])
    assert restricted(letters(), (3, "a")).fingerprint == arrays.fingerprint != letters().fingerprint
    assert restricted(letters(), ("a", "d")).fingerprint != arrays.fingerprint


@pytest.mark.parametrize(
    ("shape", "refused"),
    [((4, 5, 5), True), ((1, 28, 28), True), ((5, 5, 5), False), ((4, 4, 5), False), ((4, 5, 4), False)],
)
def test_few_rows_and_many_channels_look_like_channels_first(shape: tuple[int, int, int], refused: bool) -> None:
    raw = content(images=np.full((12, *shape), 99, np.uint8))
    if refused:
        with pytest.raises(InputError, match=r"look like \(N, C, H, W\)"):
            checked(raw, "the set")
    else:
        assert checked(raw, "the set").images.shape[1:] == shape


@pytest.mark.parametrize(("brightest", "warned"), [(1, True), (63, True), (64, False)])
def test_up_to_six_bits_are_dark(brightest: int, warned: bool) -> None:
    images = np.zeros((12, 4, 5, 3), np.uint8)
    images[5, 2, 2] = brightest
    notes = checked(content(images=images), "the set").notes
    assert [f"is above {brightest}, where 255 is white" in line for line in notes] == [True] * warned


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("a", "zebra"), "unknown class 'zebra'"),
        (("a", 5), r"class number 5 is out of range: allowed are 0\.\.4"),
        (("a", -1), "out of range"),
        (("a", 0), "two or more different classes"),
        (("a",), "two or more different classes"),
        ((), "two or more different classes"),
        (3, "classes must be a list, in the order of the new labels, not 3"),
        ("ab", "classes must be a list"),
    ],
)
def test_impossible_restrictions_are_refused(classes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        restricted(letters(), classes)


def test_the_nearest_class_name_is_suggested() -> None:
    raw = content(class_names=("airplane", "automobile", "bird"))
    with pytest.raises(InputError, match="did you mean 'airplane'"):
        restricted(checked(raw, "the set"), ("aeroplane", "bird"))


def test_channel_statistics_equal_those_of_floats() -> None:
    images = np.random.default_rng(1).integers(0, 256, (40, 9, 8, 3), np.uint8) // np.array([1, 2, 3], np.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), atol=5.1e-5)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 1, 2)), atol=5.1e-5)
