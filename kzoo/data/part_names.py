"""Usual names of the parts of a dataset, in folders and arrays."""

from __future__ import annotations

import re
from typing import NamedTuple

TRAIN, VALIDATION, TEST = "train", "validation", "test"
EVALUATION, UNLABELLED = "evaluation", "unlabelled"
"""`EVALUATION` is the test part or, where one exists, the validation part; `UNLABELLED` images are not used."""

# `train_val` and `trainval` name training parts from which validation images are drawn.
_WORDS = {
    TRAIN: "train training trn trainval trainvalidation",
    VALIDATION: "val valid validate validation dev devel development",
    TEST: "test tests testing tst holdout heldout",
    EVALUATION: "eval evaluation",
    UNLABELLED: "pred predict prediction predictions unlabeled unlabelled nolabel nolabels",
}
_PART_OF_WORD = {word: part for part, words in _WORDS.items() for word in words.split()}
# Words without meaning here: `train_images`, `Training Set`, `images_train`.
_FILLERS = frozenset(
    re.findall(
        r"\w+",
        "set sets data dataset datasets split splits part folder folders dir sample samples "
        "image images img imgs photo photos picture pictures pics file files",
    )
)
_FOLDS = frozenset(["fold", "folds", "kfold", "kfolds", "split", "splits", "cv", "partition", "partitions"])
_SHARES = _FILLERS | {"batch", "batches", "chunk", "shard", "subset", "archive", "zip", "volume", "disk", "parts"}
# Between words: signs, a capital after a small letter, a digit next to a letter.
_BETWEEN = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")


class PartName(NamedTuple):
    """The part that a name means, if any, and the remaining words (`seg` of `seg_train`).

    A name without remaining words is a part. A name with some may be a class (`test_tube`); only the other names in
    the folder decide.
    """

    part: str | None
    rest: tuple[str, ...]


def words(name: str) -> list[str]:
    """A name's words in lower case: ``"TrainImages_2"`` has train, images and 2."""
    text = re.sub(r"(?i)(held|hold)[\W_]?out", "holdout", name)
    return [word.lower() for word in _BETWEEN.split(text) if word]


def part_name(name: str) -> PartName:
    """The part that `name` means, and its remaining words."""
    parts: list[str] = []
    rest = []
    for word in words(name):
        part = _part(word)
        if part:
            parts.append(part)
        elif word not in _FILLERS and not word.isdigit():
            rest.append(word)
    if set(parts) == {TRAIN, VALIDATION}:
        parts = [TRAIN]
    elif UNLABELLED in parts:
        parts = [UNLABELLED]
    return PartName(parts[0] if len(set(parts)) == 1 else None, tuple(rest))


def is_fold(name: str) -> bool:
    """Whether a name numbers a fold of a cross-validation: `fold1`, `split_0`, `5th fold`, `fold A`."""
    name_words = words(name)
    return any(word in _FOLDS for word in name_words) and any(word.isdigit() or len(word) == 1 for word in name_words)


def is_numbered(name: str) -> bool:
    """Whether a name numbers a share of a dataset: `part1`, `data_batch_2`, `Subset 3`."""
    name_words = words(name)
    return {True, False} == {word.isdigit() for word in name_words} and _SHARES.issuperset(
        w for w in name_words if not w.isdigit()
    )


def _part(word: str) -> str | None:
    if word in _PART_OF_WORD:
        return _PART_OF_WORD[word]
    for filler in sorted(_FILLERS, key=len, reverse=True):  # trainset, testimages
        if word.endswith(filler) and word[: -len(filler)] in _PART_OF_WORD:
            return _PART_OF_WORD[word[: -len(filler)]]
    return None
