"""What short training reaches, to compare with a study's runs: packaged ``fast`` weight sets (no Keras)."""

from __future__ import annotations

from kzoo.models.weight_sets import PACKAGED, RECORD
from kzoo.studies import metrics
from kzoo.studies.records import BudgetRecords
from kzoo.training.records import RunRecord, read_result

SETS = {"cifar10": "fastnet-s", "cifar100": "fastnet-m"}
"""By dataset, the model whose packaged weight set is used for comparison: the one with the shortest recipe."""


def remark(records: BudgetRecords) -> str:
    """What the fast recipe reaches, and the operations that it and these runs take; empty without a weight set.

    Only the reports' studies get this remark: studies of short training have these runs in their tables.
    """
    if records.study.report == "ours":
        return ""
    runs = [run for label in records.recorded for run in records.records(label)]
    datasets = dict.fromkeys(str(run.recipe["dataset"]) for run in runs)
    reached = [_reached(record) for record in map(_record, datasets) if record is not None]
    if not reached:
        return ""
    operations = sorted(run.training_flops for run in runs if run.training_flops)
    text = f"For comparison: {'; '.join(reached)}."
    if operations:
        ends = dict.fromkeys(metrics.write("training_flops", value) for value in (operations[0], operations[-1]))
        text += f" The runs of this table take {' to '.join(ends)}."
    return text


def _record(dataset: str) -> RunRecord | None:
    path = PACKAGED / SETS[dataset] / dataset / RECORD if dataset in SETS else None
    return read_result(path) if path is not None and path.exists() else None


def _reached(record: RunRecord) -> str:
    values = {name: metrics.metric(name).read(record) for name in ("test_accuracy", "test_tta_accuracy")}
    plain, augmented = (None if value is None else metrics.write(name, value) for name, value in values.items())
    also = f" ({augmented} with test-time augmentation)" if augmented else ""
    flops = record.training_flops
    effort = f" with {metrics.write('training_flops', flops)} of training" if flops else ""
    return f"`{record.name}` reaches a test accuracy of {plain}{also}{effort}"
