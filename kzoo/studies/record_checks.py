"""Whether the parts of a record agree, so that everything that reads it can rely on them (no Keras)."""

from __future__ import annotations

import math

from kzoo.errors import counted
from kzoo.training.counts import from_json
from kzoo.training.records import RunRecord

NEEDED = {"data": ("fingerprint", "class_names"), "recipe": ("seed", "dataset"), "sizes": ("train",)}
"""Keys that every record has, by field; those of its first schema."""
PARTS = ("train", "last", "best", "test", "test_tta")


def contradiction(record: RunRecord) -> str:
    """What a record lacks, or how two parts of it disagree; empty if nothing is wrong."""
    try:
        return _incomplete(record) or (_disagreement(record) if record.status == "completed" else "")
    except (KeyError, IndexError, ValueError, TypeError) as error:
        return f"its parts do not fit together ({type(error).__name__}: {error})"


def _incomplete(record: RunRecord) -> str:
    """What is missing from a record, or out of range."""
    for field, names in NEEDED.items():
        missing = [name for name in names if name not in getattr(record, field)]
        if missing:
            return f"its {field} lacks {', '.join(missing)}"
    if len({len(values) for values in record.history.values()}) > 1:
        return "the columns of its history have different lengths"
    if not (math.isfinite(record.seconds) and record.seconds >= 0):
        return f"it took {record.seconds:g} seconds"
    for part in PARTS:
        score = getattr(record, part)
        if score is not None and not 0 <= score.accuracy <= 1:  # NaN is not in this range either
            return f"its {part} accuracy is {score.accuracy:g}"
    return ""


def _disagreement(record: RunRecord) -> str:
    """How the scores of a completed run disagree with its history or its confusion matrix."""
    history, best, test = record.history, record.best_epoch, record.test

    # The history has every epoch, and the scores are its values.
    lengths = {len(values) for values in history.values()}
    if lengths != {record.epochs}:
        return f"it has {record.epochs} epochs and a history of {sorted(lengths)}"
    if best is not None and not 1 <= best <= record.epochs:
        return f"its best epoch is {best} of {record.epochs}"
    for part, index, prefix in (("train", -1, ""), ("last", -1, "val_"), ("best", (best or 1) - 1, "val_")):
        score = getattr(record, part)
        for key in ("loss", "accuracy"):
            if score is not None and getattr(score, key) != history[prefix + key][index]:
                return f"its {part} {key} does not match its history"

    # The test accuracy matches the confusion matrix.
    if test is not None and record.confusion is not None:
        matrix = from_json(record.confusion)
        images, correct = int(matrix.sum()), int(matrix.diagonal().sum())
        if images and abs(correct / images - test.accuracy) > 1e-6:
            return "its test accuracy does not match its confusion matrix"
        names = record.data.get("class_names")
        if names is not None and len(names) != len(matrix):
            return f"it has {counted(len(names), 'name')} for the {len(matrix)} classes of its confusion matrix"
    return ""
