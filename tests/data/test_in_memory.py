"""Arrays passed in Python: all forms give the same dataset, and anything else is one error."""

from __future__ import annotations

import dataclasses
import gc
from typing import Any

import keras
import numpy as np
import pytest

from kzoo.data import from_arrays, load
from kzoo.data.in_memory import name_of
from kzoo.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
LABELS = np.arange(12) % 3
PAIR = (IMAGES, LABELS)
TEST = (IMAGES[:6], LABELS[:6])


class Gives(keras.utils.PyDataset):
    """One batch."""

    def __init__(self, images: Any, labels: Any) -> None:
        super().__init__()
        self.batch = images, labels

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return self.batch


class Sequence(keras.utils.PyDataset):
    """Batches of five images, in an order that changes with `seed`; `end` is what `num_batches` returns."""

    def __init__(self, seed: int = 0, end: int | None = 3) -> None:
        super().__init__()
        self.order, self.end = np.random.default_rng(seed).permutation(12), end

    @property
    def num_batches(self) -> int | None:
        return self.end

    def __getitem__(self, index: int) -> Any:
        chosen = self.order[5 * index : 5 * index + 5]
        return IMAGES[chosen], LABELS[chosen]


@pytest.fixture
def tf() -> Any:
    return pytest.importorskip("tensorflow", reason="tf.data is of TensorFlow")


@pytest.mark.parametrize(
    "value",
    [
        PAIR,
        list(PAIR),
        {"x_train": IMAGES, "y_train": LABELS},
        (IMAGES.astype("float32"), LABELS.astype("uint8")),
        (IMAGES.astype("int64"), np.eye(3)[LABELS]),
    ],
)
def test_forms_of_images_and_labels_are_one_dataset(value: Any) -> None:
    arrays = from_arrays(value)
    np.testing.assert_array_equal(arrays.images, IMAGES)
    np.testing.assert_array_equal(arrays.labels, LABELS)
    assert arrays.images.dtype == np.uint8
    assert name_of(arrays) == name_of(from_arrays(PAIR))
    assert arrays.test_images is None


def test_arrays_whose_labels_were_replaced_are_another_dataset() -> None:
    arrays = from_arrays(PAIR)
    other = dataclasses.replace(arrays, labels=arrays.labels[::-1].copy(), mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    assert name_of(from_arrays(other)) == name_of(from_arrays((IMAGES, LABELS[::-1])))
    assert from_arrays(other).mean == (0.5, 0.5, 0.5)
    assert from_arrays(arrays) is arrays
    with pytest.raises(InputError, match="labels must be 0 or more"):
        from_arrays(dataclasses.replace(arrays, labels=arrays.labels - 1))


def test_the_names_that_keras_gives_to_classes_are_kept_and_must_be_the_same_in_both_parts() -> None:
    train, test = Sequence(), Sequence(1)
    train.class_names, test.class_names = ["a", "b", "c"], ["a", "c", "d"]
    assert from_arrays(train).class_names == ("a", "b", "c")
    with pytest.raises(InputError, match="training part has the classes a, b, c, the test part a, c, d, so a label"):
        from_arrays((train, test))
    test.class_names = train.class_names
    assert from_arrays((train, test)).class_names == ("a", "b", "c")


def test_images_in_memory_are_not_copied() -> None:
    assert from_arrays(PAIR).images.base is IMAGES or from_arrays(PAIR).images is IMAGES


def test_images_that_were_changed_in_place_are_refused_until_that_is_undone() -> None:
    images, tests = IMAGES.copy(), (TEST[0].copy(), TEST[1])
    arrays = from_arrays(((images, LABELS), tests))
    for changed in (images, tests[0]):
        changed ^= 1
        for size in (None, 4):  # not even into the cache of scaled images
            with pytest.raises(InputError, match=f"'{name_of(arrays)}' have been changed in place"):
                load(name_of(arrays), image_size=size)
        changed ^= 1
    np.testing.assert_array_equal(load(name_of(arrays)).images, IMAGES)


def test_a_second_pair_is_the_test_part_as_load_data_returns_it() -> None:
    arrays = from_arrays((PAIR, TEST))
    np.testing.assert_array_equal(arrays.test_images, TEST[0])
    assert name_of(arrays) != name_of(from_arrays(PAIR))
    names = {
        "x_train": IMAGES,
        "y_train": LABELS,
        "x_val": IMAGES[:3],
        "y_val": LABELS[:3],
        "class_names": ["a", "b", "c"],
    }
    mapping = from_arrays(names)
    assert mapping.validation_images is not None
    assert mapping.class_names == ("a", "b", "c")


def test_shuffling_of_a_dataset_object_changes_nothing() -> None:
    one, other = from_arrays(Sequence(0)), from_arrays(Sequence(1))
    assert one.fingerprint == other.fingerprint
    for image, label in zip(one.images, one.labels, strict=True):
        index = next(i for i in range(12) if np.array_equal(IMAGES[i], image))
        assert LABELS[index] == label
    assert from_arrays((Sequence(0), Sequence(1))).test_images is not None


def test_tf_data_in_any_form_is_one_dataset(tf: Any) -> None:
    examples = tf.data.Dataset.from_tensor_slices(PAIR)
    named = examples.map(lambda image, label: {"image": image, "label": label})
    forms = (examples, examples.batch(5), examples.shuffle(12).batch(4), named.batch(5))
    assert {from_arrays(form).fingerprint for form in forms} == {from_arrays(Sequence()).fingerprint}
    # With as many classes as image rows, an element is still one image, not a batch of grey ones.
    labels = np.arange(12) % 8
    one_hot = tf.data.Dataset.from_tensor_slices((IMAGES, np.eye(8)[labels]))
    assert from_arrays(one_hot).images.shape == IMAGES.shape
    assert sorted(from_arrays(one_hot).labels) == sorted(labels)
    for grey_labels in (LABELS, np.eye(3)[LABELS]):
        grey = tf.data.Dataset.from_tensor_slices((IMAGES[..., 0], grey_labels))
        for form in (grey, grey.batch(5)):
            assert from_arrays(form).images.shape == (12, 8, 8, 1)


def test_arrays_have_their_name_as_long_as_something_holds_them() -> None:
    arrays = from_arrays((IMAGES[:11], LABELS[:11]))
    name = name_of(arrays)
    assert load(name, image_size=4).images.shape == (11, 4, 4, 3)
    del arrays
    gc.collect()
    with pytest.raises(InputError, match=r"kzoo\.train\(recipe, dataset=\(images, labels\)\)"):
        load(name)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (IMAGES, r"must be a name or \(images, labels\).*, not ndarray of shape \(12, 8, 8, 3\)"),
        (3, r"must be a name or .*, not 3"),
        ((IMAGES, LABELS, LABELS), "not 3 items; a validation part goes into a mapping"),
        ((PAIR, PAIR, PAIR), "not 3 items; a validation part goes into a mapping"),
        ((IMAGES / 255, LABELS), r"images must be uint8 in 0-255, not float64 .*multiply by 255"),
        ((IMAGES - 128.0, LABELS), "images must be uint8 in 0-255, not float64"),
        ((IMAGES, LABELS[:5]), "12 images but 5 labels"),
        ((LABELS, IMAGES), r"images must have shape .*, not int64 of shape \(12,\)"),
        ((IMAGES, LABELS + 0.5), "labels must be whole numbers"),
        (({"a": 1}, LABELS), r"images must have shape .*, not object of shape \(\)"),
        ({"pictures": IMAGES, "labels": LABELS}, "'pictures', which is not understood"),
        ((PAIR, (IMAGES[:, :4], LABELS)), r"test images have shape \(4, 8, 3\)"),
        (Sequence(end=None), "is infinite: give a PyDataset whose num_batches is a number"),
        (Sequence(end=0), "dataset is empty"),
        (Gives(IMAGES, LABELS[:5]), "a batch of 12 images with 5 labels"),
        (Gives(IMAGES, {"kind": LABELS}), "must give an array of images and one of labels, not .'kind': array"),
        (Gives([IMAGES[0], IMAGES[0, 1:]], LABELS[:2]), "dataset cannot be made into an array: .* different shapes"),
    ],
)
def test_what_is_not_a_dataset_is_one_error(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_arrays(value)
    assert "\n" not in str(caught.value)


def test_tf_data_without_an_end_or_of_another_kind_is_refused(tf: Any) -> None:
    examples = tf.data.Dataset.from_tensor_slices(PAIR)
    for dataset, message in {
        examples.repeat(): "is infinite: give a tf.data.Dataset of finite size",
        examples.filter(lambda image, label: label > 0): "assert_cardinality",
        examples.map(lambda image, label: image): "must give images and labels, not ndarray of shape",
        examples.map(lambda image, label: (image, label, 1.0)): "not 3 items .sample weights",
        examples.map(lambda image, label: (tf.cast(image, "float32") / 7, label)): "images must be uint8",
    }.items():
        with pytest.raises(InputError, match=message):
            from_arrays(dataset)


def test_equal_arrays_are_found_as_long_as_any_of_them_is_referenced() -> None:
    first = from_arrays(PAIR)
    again = from_arrays({"images": IMAGES, "labels": LABELS, "class_names": ["a", "b", "c"]})
    assert name_of(first) == name_of(again)
    assert load(name_of(first)).class_names == ("a", "b", "c")  # the latest
    del again
    gc.collect()
    assert load(name_of(first)).class_names == first.class_names == ("0", "1", "2")


@pytest.mark.parametrize("size", [1, 3, 12])
def test_float_images_in_any_batches_are_the_same_dataset(tf: Any, size: int) -> None:
    """A batch that consists of a black image alone could be in 0-1."""
    images = np.where(np.arange(12)[:, None, None, None] == 7, 0, IMAGES).astype(np.float32)
    batched = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(size)
    assert from_arrays(batched).fingerprint == from_arrays(tf.data.Dataset.from_tensors((images, LABELS))).fingerprint
    assert from_arrays(batched).images.dtype == np.uint8
