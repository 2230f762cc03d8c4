"""The median rule, on curves written by hand."""

import types
from pathlib import Path

import pytest

from kzoo.files import write_json
from kzoo.search.callbacks import MedianStop
from kzoo.search.results import Outcome


def trial(number, curve, status="completed"):
    folder = Path("search") / f"trial_{number:04d}"
    (folder / "run").mkdir(parents=True)
    rows = [f"{epoch},{value},{1 - value}" for epoch, value in enumerate(curve, 1)]
    (folder / "run" / "metrics.csv").write_text("\n".join(["epoch,val_accuracy,val_loss", *rows]) + "\n")
    if status:
        write_json(folder / "outcome.json", Outcome(status=status).model_dump(mode="json"))
    return folder


def stopped(folder, objective="val_accuracy", direction="max"):
    callback = MedianStop(folder, objective, direction)
    callback.set_model(types.SimpleNamespace(stop_training=False))
    epochs = len((folder / "run" / "metrics.csv").read_text().splitlines()) - 1
    callback.on_epoch_end(epochs - 1)
    return callback.model.stop_training


@pytest.mark.parametrize(("objective", "direction"), [("val_accuracy", "max"), ("val_loss", "min")])
@pytest.mark.parametrize(
    ("curve", "ends"),
    [
        ([0.1, 0.2], True),  # below the median of 0.25, 0.5 and 0.75: the averages of two epochs
        ([0.4, 0.1], True),  # its best so far counts
        ([0.5, 0.1], False),  # as good as the median
        ([0.1, 0.9], False),
        ([0.1, 0.1, 0.1], False),  # only two others got this far
    ],
)
def test_worse_than_the_median_of_averages(curve, ends, objective, direction):
    for number, other in enumerate([[0.2, 0.3, 0.4], [0.5, 0.5, 0.5], [0.75, 0.75]]):
        trial(number, other)
    assert stopped(trial(3, curve, status=""), objective, direction) == ends


def test_only_completed_trials_count():
    for number in range(3):
        trial(number, [0.9], status="completed" if number < 2 else "failed")
    assert not stopped(trial(3, [0.1], status=""))
    trial(4, [0.9])
    assert stopped(trial(5, [0.1], status=""))
