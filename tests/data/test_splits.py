"""Splits: sizes, disjointness, nesting, bad requests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kzoo.data.arrays import Arrays
from kzoo.data.datasets import Dataset, dataset
from kzoo.data.splits import Split, Splits, split
from kzoo.errors import InputError


def numbered(train: int, test: int | None) -> Arrays:
    """Images whose four pixels hold their number; test images go on counting."""

    def part(start: int, stop: int) -> np.ndarray:
        return np.arange(start, stop, dtype="<u4").view(np.uint8).reshape(-1, 2, 2, 1)

    images, labels = part(0, train), np.arange(train) % 10
    test_images = None if test is None else part(train, train + test)
    test_labels = None if test is None else np.arange(train, train + test) % 10
    return Arrays(images, labels, test_images, test_labels, tuple("0123456789"), None, None, "")


def numbers(splits: Splits) -> list[np.ndarray]:
    found = [np.ascontiguousarray(part.images).reshape(-1, 4).view("<u4").ravel() for part in splits]
    for part, values in zip(splits, found, strict=True):
        np.testing.assert_array_equal(part.labels, values % 10)
    return found


ROW = Dataset("own", validation=0.1, test=0.2)


@pytest.mark.parametrize(
    ("name", "spec", "train", "test", "sizes"),
    [
        ("cifar100", Split(), 50_000, 10_000, (47_500, 2_500, 10_000)),  # reports a, b
        ("cifar10", Split(), 50_000, 10_000, (45_000, 5_000, 10_000)),  # report e
        ("cifar10", Split(validation=0.2), 50_000, 10_000, (40_000, 10_000, 10_000)),  # report c, text
        ("cifar10", Split(validation=0), 50_000, 10_000, (50_000, 0, 10_000)),  # report c, code
        # report d prints 100,000 / 15,800 / 15,800: its proportions to two places, and its counts
        ("emnist", Split(validation=0.12, test=0.12), 112_800, 18_800, (100_016, 15_792, 15_792)),
        ("emnist", Split(validation=15_800, test=15_800), 112_800, 18_800, (100_000, 15_800, 15_800)),
        ("emnist", Split(validation=0.12, test=0.12), 90_605, 18_800, (83_147, 13_129, 13_129)),
        ("emnist", Split(), 90_605, 18_800, (79_732, 10_873, 18_800)),
        ("mnist", Split(), 60_000, 10_000, (55_000, 5_000, 10_000)),
        ("digits", Split(), 1_797, None, (1_222, 216, 359)),
    ],
)
def test_the_reports_sizes(name: str, spec: Split, train: int, test: int | None, sizes: tuple[int, int, int]) -> None:
    splits = split(numbered(train, test), spec, dataset(name))
    assert tuple(map(len, splits)) == sizes
    everything = np.sort(np.concatenate(numbers(splits)))
    np.testing.assert_array_equal(everything, np.arange(train + (test or 0)))


def test_a_test_split_of_its_own_is_kept_as_it_is() -> None:
    arrays = numbered(100, 30)
    splits = split(arrays, Split(validation=7), ROW)
    np.testing.assert_array_equal(numbers(splits)[2], np.arange(100, 130))
    pooled = numbers(split(arrays, Split(validation=7, test=30), ROW))
    assert (pooled[2] < 100).any()
    assert (pooled[0] >= 100).any()


def test_the_seed_decides_and_nothing_else() -> None:
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
)
def test_parts_are_disjoint_and_smaller_training_sets_nest(
    train: int, test: int | None, validation: float | int | None, cut: float | int | None, share: float
) -> None:
    arrays, spec = numbered(train, test), Split(validation=validation, test=cut)
    whole = numbers(split(arrays, spec, ROW))
    assert len(np.unique(np.concatenate(whole))) == sum(map(len, whole)) == train + (test or 0)
    size = max(1, int(share * len(whole[0])))
    smaller = numbers(split(arrays, spec, ROW, train_size=size))
    np.testing.assert_array_equal(smaller[0], whole[0][:size])
    np.testing.assert_array_equal(smaller[1], whole[1])
    np.testing.assert_array_equal(smaller[2], whole[2])


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
    ],
)
def test_impossible_requests_are_refused(spec: Split, train_size: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(numbered(100, 30), spec, ROW, train_size)


def test_a_set_without_test_images_needs_a_share() -> None:
    with pytest.raises(InputError, match=r"set split\.test"):
        split(numbered(100, None), Split(), Dataset("own", test=None))


@pytest.mark.parametrize("value", [-0.1, -3, 2.5, True, "a tenth", float("nan"), float("inf")])
def test_amounts_are_shares_below_one_or_whole_numbers(value: object) -> None:
    with pytest.raises(ValidationError):
        Split(validation=value)  # type: ignore[arg-type]


def test_amounts_survive_json() -> None:
    spec = Split(validation=0.12, test=2500, seed=3)
    assert Split.model_validate_json(spec.model_dump_json()) == spec
    assert isinstance(Split(validation=2500.0).validation, int)
    with pytest.raises(ValidationError):
        Split(validaton=1)  # type: ignore[call-arg]
