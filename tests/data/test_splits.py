"""Splits: sizes, disjointness, nesting, bad requests."""

from __future__ import annotations

import dataclasses
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kzoo.data.arrays import Arrays
from kzoo.data.datasets import Dataset, get_dataset
from kzoo.data.splits import Part, Split, Splits, part_sizes, split
from kzoo.data.strata import shares
from kzoo.errors import InputError


def numbered(train: int, test: int | None) -> Arrays:
    """Images whose four pixels encode their number; test images continue the count."""

    def part(start: int, stop: int) -> np.ndarray:
        return np.arange(start, stop, dtype="<u4").view(np.uint8).reshape(-1, 2, 2, 1)

    images, labels = part(0, train), np.arange(train) % 10
    test_images = None if test is None else part(train, train + test)
    test_labels = None if test is None else np.arange(train, train + test) % 10
    return Arrays(images, labels, test_images, test_labels, tuple("0123456789"), None, None, "")


def numbers(splits: Splits) -> list[np.ndarray]:
    result = [np.ascontiguousarray(part.images).reshape(-1, 4).view("<u4").ravel() for part in splits]
    for part, values in zip(splits, result, strict=True):
        np.testing.assert_array_equal(part.labels, values % 10)
    return result


ROW = Dataset("own", validation=0.1, test=0.2)


@pytest.mark.parametrize(
    ("name", "spec", "train", "test", "sizes"),
    [
        ("cifar100", Split(), 50_000, 10_000, (47_500, 2_500, 10_000)),  # reports a, b
        ("cifar10", Split(), 50_000, 10_000, (45_000, 5_000, 10_000)),  # report e
        ("cifar10", Split(validation=0.2), 50_000, 10_000, (40_000, 10_000, 10_000)),  # report c, text
        ("cifar10", Split(validation=0), 50_000, 10_000, (50_000, 0, 10_000)),  # report c, code
        # report d prints 100,000 / 15,800 / 15,800: first its proportions to two places, then its counts
        ("emnist", Split(validation=0.12, test=0.12), 112_800, 18_800, (100_016, 15_792, 15_792)),
        ("emnist", Split(validation=15_800, test=15_800), 112_800, 18_800, (100_000, 15_800, 15_800)),
        ("emnist", Split(validation=0.12, test=0.12), 90_605, 18_800, (83_147, 13_129, 13_129)),
        ("emnist", Split(), 90_605, 18_800, (79_732, 10_873, 18_800)),
        ("mnist", Split(), 60_000, 10_000, (55_000, 5_000, 10_000)),
        ("digits", Split(), 1_797, None, (1_222, 216, 359)),
    ],
)
def test_the_reports_sizes(name: str, spec: Split, train: int, test: int | None, sizes: tuple[int, int, int]) -> None:
    splits = split(numbered(train, test), spec, get_dataset(name))
    assert tuple(map(len, splits)) == sizes
    everything = np.sort(np.concatenate(numbers(splits)))
    np.testing.assert_array_equal(everything, np.arange(train + (test or 0)))


def test_an_existing_test_split_is_kept() -> None:
    arrays = numbered(100, 30)
    splits = split(arrays, Split(validation=7), ROW)
    np.testing.assert_array_equal(numbers(splits)[2], np.arange(100, 130))
    pooled = numbers(split(arrays, Split(validation=7, test=30), ROW))
    assert (pooled[2] < 100).any()
    assert (pooled[0] >= 100).any()


def test_only_the_seed_decides() -> None:
    arrays = numbered(1000, 100)
    first, again, other = (numbers(split(arrays, Split(seed=seed), ROW)) for seed in (0, 0, 1))
    for part in range(3):
        np.testing.assert_array_equal(first[part], again[part])
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(np.sort(first[1]), np.sort(other[1]))
    assert not np.array_equal(first[0], np.sort(first[0]))


@given(
    train=st.integers(20, 400),
    test=st.none() | st.integers(1, 100),
    validation=st.none() | st.floats(0.05, 0.4) | st.integers(0, 5),
    cut=st.none() | st.floats(0.05, 0.4) | st.integers(0, 5),
    share=st.floats(0.01, 1),
    stratified=st.booleans(),
)
@pytest.mark.filterwarnings("ignore:split")
def test_parts_are_disjoint_and_smaller_training_sets_nest(
    train: int,
    test: int | None,
    validation: float | int | None,
    cut: float | int | None,
    share: float,
    stratified: bool,
) -> None:
    arrays, spec = numbered(train, test), Split(validation=validation, test=cut, stratified=stratified)
    sizes = part_sizes(spec, ROW, train, test)
    assume(not stratified or share * sizes[0] >= 10)
    whole = numbers(split(arrays, spec, ROW))
    assert len(np.unique(np.concatenate(whole))) == sum(map(len, whole)) == train + (test or 0)
    size = max(1, int(share * len(whole[0])))
    smaller = numbers(split(arrays, spec, ROW, train_size=size))
    assert tuple(map(len, whole)) == sizes
    assert not stratified or set(smaller[0] % 10) == set(range(10))
    np.testing.assert_array_equal(smaller[0], whole[0][:size])
    np.testing.assert_array_equal(smaller[1], whole[1])
    np.testing.assert_array_equal(smaller[2], whole[2])


def test_a_usual_count_that_leaves_few_images_for_training_is_reported() -> None:
    row = dataclasses.replace(ROW, validation=60)
    with pytest.warns(UserWarning, match=r"split: 60 images are for validation, as usual .*, and only 40 for training"):
        part_sizes(Split(), row, 100, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert part_sizes(Split(validation=60), row, 100, 10) == (40, 60, 10)
    with pytest.raises(InputError, match=r"leaves none for training: .*: set split\.validation"):
        part_sizes(Split(), row, 60, 10)


@pytest.mark.parametrize(
    ("spec", "train_size", "message"),
    [
        (Split(validation=0.5, test=0.5), None, "leaves none for training"),
        (Split(validation=100), None, "leaves none for training"),
        (Split(validation=5_000), None, "leaves none for training"),
        (Split(test=131), None, "leaves none for training"),
        (Split(validation=0.001), None, "less than one"),
        (Split(), 91, "train_size must be from 1 to 90"),
        (Split(), 0, "train_size must be from 1"),
        (Split(), 9, "train_size=9: too few for the 10 classes"),
        (Split(validation=91), None, r"split of 100 images leaves 9: too few for the 10 classes.*\(0, 1, 2"),
    ],
)
def test_impossible_requests_are_refused(spec: Split, train_size: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(numbered(100, 30), spec, ROW, train_size)


def test_a_set_without_test_images_needs_a_share() -> None:
    with pytest.raises(InputError, match=r"set split\.test"):
        split(numbered(100, None), Split(), Dataset("own", test=None))


@pytest.mark.parametrize("value", [-0.1, -3, 2.5, 1.0, True, "a tenth", float("nan"), float("inf")])
def test_amounts_are_shares_below_one_or_whole_numbers(value: object) -> None:
    with pytest.raises(InputError, match="Split: validation must be a "):
        Split(validation=value)  # type: ignore[arg-type]


def test_amounts_survive_json() -> None:
    spec = Split(validation=0.12, test=2500, seed=3)
    assert Split.model_validate_json(spec.model_dump_json()) == spec
    assert isinstance(Split(validation=2500.0).validation, int)
    assert Split(validation=np.float32(0.25), test=np.int64(1)) == Split(validation=0.25, test=1)
    with pytest.raises(InputError, match="unknown argument of Split 'validaton': did you mean 'validation'"):
        Split(validaton=1)  # type: ignore[call-arg]


# --- stratified


def of_classes(*counts: int) -> Arrays:
    """Images of classes a, b, ..., `counts` of each, without a test part."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.arange(len(labels), dtype="<u4").view(np.uint8).reshape(-1, 2, 2, 1)
    return Arrays(images, labels, None, None, tuple("abcdefghij"[: len(counts)]), None, None, "")


def per_class(part: Part, classes: int) -> list[int]:
    return np.bincount(part.labels, minlength=classes).tolist()


def everything(splits: Splits) -> np.ndarray:
    return np.concatenate([np.ascontiguousarray(part.images).reshape(-1, 4).view("<u4").ravel() for part in splits])


@pytest.mark.filterwarnings("error")
def test_rare_classes_are_in_every_part() -> None:
    # When images were drawn from all classes at once, 57 of 60 seeds left some part without one of the classes.
    for seed in range(60):
        parts = split(of_classes(90, 30, 4, 3), Split(seed=seed), ROW)
        assert per_class(parts.test, 4) == [17, 6, 1, 1]  # of shares 17.7, 5.9, 0.8, 0.6
        assert per_class(parts.validation, 4) == [6, 2, 1, 1]
        assert per_class(parts.train, 4) == [67, 22, 2, 1]


def test_classes_keep_their_shares() -> None:
    parts = split(of_classes(500, 300, 200), Split(validation=0.1, test=0.2), ROW)
    assert [per_class(part, 3) for part in parts] == [[350, 210, 140], [50, 30, 20], [100, 60, 40]]
    equal = split(of_classes(*[50] * 10), Split(), ROW)
    assert [per_class(part, 10) for part in equal] == [[36] * 10, [4] * 10, [10] * 10]


def test_a_class_too_rare_for_all_parts_is_named_and_trained_on() -> None:
    with pytest.warns(UserWarning, match="split") as caught:
        parts = split(of_classes(40, 40, 2, 1), Split(), ROW)
    assert [str(warning.message) for warning in caught] == ["split: no validation image of c, d; no test image of d"]
    assert per_class(parts.train, 4)[2:] == [1, 1]
    assert per_class(parts.test, 4)[2:] == [1, 0]
    for only, text in (("test", "split: no test image of d"), ("validation", "split: no validation image of c, d")):
        with pytest.warns(UserWarning, match="split") as caught:
            split(of_classes(40, 40, 2, 1), Split(), ROW, only=only)
        assert [str(warning.message) for warning in caught] == [text]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split(of_classes(40, 40, 2, 1), Split(), ROW, only="train")


def test_subsets_hold_every_class_in_its_share() -> None:
    arrays = of_classes(400, 80, 20)
    for size in (3, 25, 100, 250):
        counts = per_class(split(arrays, Split(), ROW, train_size=size).train, 3)
        assert min(counts) >= 1
        np.testing.assert_allclose(counts, np.array([0.8, 0.16, 0.04]) * size, atol=1.6)


def test_drawing_at_once_is_the_published_way_and_says_what_is_missing() -> None:
    arrays = of_classes(60, 60, 2)
    published = Dataset("own", validation=0.1, test=0.2, stratified=False)
    with pytest.warns(UserWarning, match="split: no validation image of c"):
        first = everything(split(arrays, Split(stratified=False), ROW))
    with pytest.warns(UserWarning, match="split: no"):
        np.testing.assert_array_equal(first, everything(split(arrays, Split(), published)))
    assert not np.array_equal(first, everything(split(arrays, Split(), ROW)))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.floats(0, 1), st.integers(1, 2))
def test_shares_add_up_and_leave_a_training_image(counts: list[int], share: float, keep: int) -> None:
    many = np.array(counts)
    take = int(share * (many - 1).sum())
    taken = shares(many, take, keep)
    assert taken.sum() == take
    assert (taken >= 0).all()
    assert (taken < many).all()
    able = many - np.clip(many - 1, 1, keep) > 0
    assert take < able.sum() or (taken[able] >= 1).all()


def drawn_naively(labels: list[int], order: list[int], per_class: list[list[int]]) -> list[list[int]]:
    """Draw image by image; `per_class` has the number of images of each class for validation and for test."""
    for_validation, for_test = per_class
    left = {label: [index for index in order if labels[index] == label] for label in set(labels)}
    keys, validation, test = {}, [], []
    for label, mine in left.items():
        held_out = for_test[label] + for_validation[label]
        test += mine[: for_test[label]]
        validation += mine[for_test[label] : held_out]
        training = mine[held_out:]
        for j, index in enumerate(training):
            keys[index] = -1.0 if j == 0 else (j + 0.5) / len(training)
    return [
        sorted(keys, key=lambda index: (keys[index], order.index(index))),
        sorted(validation, key=order.index),
        sorted(test, key=order.index),
    ]


@pytest.mark.parametrize(("seed", "amounts"), [(0, (0.1, 0.2)), (5, (7, 11)), (1, (0, 0.3))])
def test_a_seed_draws_the_same_images_in_every_version(seed: int, amounts: tuple[float, float]) -> None:
    arrays = of_classes(30, 20, 9)
    spec = Split(validation=amounts[0], test=amounts[1], seed=seed)
    order = np.random.default_rng([seed, zlib.crc32(b"split")]).permutation(59).tolist()
    parts = [
        np.ascontiguousarray(part.images).reshape(-1, 4).view("<u4").ravel().tolist()
        for part in split(arrays, spec, ROW)
    ]
    sizes = [len(part) for part in parts]
    at_once = split(arrays, spec.model_copy(update={"stratified": False}), ROW)
    assert (
        everything(at_once).tolist()
        == order[sizes[2] + sizes[1] :] + order[sizes[2] : sizes[2] + sizes[1]] + order[: sizes[2]]
    )
    labels = arrays.labels.tolist()
    counts = [[sum(labels[index] == label for index in part) for label in range(3)] for part in parts[1:]]
    assert parts == drawn_naively(labels, order, counts)


@pytest.mark.filterwarnings("ignore:split")
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        # Three images of the second class: one is for training, and one for validation if there is a validation part.
        (Split(validation=0, test=8), [[3, 1], [0, 0], [6, 2]]),
        (Split(validation=1, test=8), [[1, 2], [1, 0], [7, 1]]),
        (Split(validation=2, test=2), [[7, 1], [1, 1], [1, 1]]),
    ],
)
def test_what_a_small_class_leaves_for_other_parts(spec: Split, expected: list[list[int]]) -> None:
    assert [per_class(part, 2) for part in split(of_classes(9, 3), spec, ROW)] == expected


# --- a validation part that comes with the data


def with_validation() -> Arrays:
    images = np.arange(1000, 1020, dtype="<u4").view(np.uint8).reshape(-1, 2, 2, 1)
    return dataclasses.replace(numbered(100, 30), validation_images=images, validation_labels=np.arange(20) % 10)


def test_an_existing_validation_part_is_used() -> None:
    train, validation, test = numbers(split(with_validation(), Split(), ROW))
    np.testing.assert_array_equal(validation, np.arange(1000, 1020))
    np.testing.assert_array_equal(test, np.arange(100, 130))
    np.testing.assert_array_equal(np.sort(train), np.arange(100))
    # Without a test part, one is drawn from the training images, not from the validation images.
    alone = dataclasses.replace(with_validation(), test_images=None, test_labels=None)
    train, validation, test = numbers(split(alone, Split(), ROW))
    assert (len(train), len(test)) == (80, 20)
    assert max(train.max(), test.max()) < 100
    np.testing.assert_array_equal(validation, np.arange(1000, 1020))


def test_another_size_pools_it_with_the_training_images() -> None:
    train, validation, test = numbers(split(with_validation(), Split(validation=40), ROW))
    assert (len(train), len(validation), len(test)) == (80, 40, 30)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), [*range(100), *range(1000, 1020)])
    assert len(split(with_validation(), Split(validation=0), ROW).train) == 120
