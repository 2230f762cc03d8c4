"""Records of shifted and rotated images belong to their run, and claims and tables read them."""

import json
from pathlib import Path

import pytest

from kzoo.errors import InputError
from kzoo.recipes import get_recipe
from kzoo.studies import get_study, metrics
from kzoo.studies.invariance import read_invariance
from kzoo.studies.records import read_records, study_records
from kzoo.studies.rendering import markdown
from kzoo.studies.tables import columns

RUNS, RESULTS = Path("runs"), Path("results")
REDUCTION = get_study("reduction")


def measured(digest, shift=0.98, angle=0.9, **fields):
    """Write a record of invariance and return its path."""
    content = {
        "name": "reduction/x",
        "digest": digest,
        "images": 100,
        "fill": "edge",
        "shifts": [0, 1],
        "shift_accuracy": [0.5, 0.45],
        "shift_agreement": [1.0, shift],
        "angles": [0, 15],
        "angle_accuracy": [0.5, 0.4],
        "angle_agreement": [1.0, angle],
        "versions": {},
        "backend": "tensorflow",
        "hardware": {},
        "git_commit": None,
        **fields,
    }
    path = RESULTS / "invariance" / f"x-{digest}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_a_measurement_belongs_to_the_run_of_its_digest(made, keep):
    full, short = get_recipe("reduction/lenet1-max"), get_recipe("reduction/lenet1-max").override(epochs=3)
    for recipe in (full, short, get_recipe("reduction/lenet1-average")):
        keep(made(recipe), RESULTS / "reduction")
    measured(short.digest())
    records = study_records(REDUCTION, read_records([RESULTS]))
    groups = records.budgets
    assert records.problems == ()
    assert groups["epochs=3"].values("max L=1", "agreement_at_shift_1") == [0.98]
    assert groups["epochs=3"].values("max L=1", "accuracy_at_angle_15") == [0.4]
    assert groups["epochs=3"].values("max L=1", "agreement_at_shift_2") == []  # not measured
    assert groups["full"].values("max L=1", "agreement_at_shift_1") == []
    assert "agreement_at_shift_1" in columns(groups["epochs=3"])
    assert "agreement_at_shift_1" not in columns(groups["full"])
    assert "same prediction, shift 1 px" in markdown(groups["epochs=3"])


def test_report_ds_claims_on_invariance_are_decided_by_it(made, keep):
    recipe = get_recipe("reduction/lenet1-max")
    keep(made(recipe), RESULTS / "reduction")
    measured(recipe.digest(), shift=0.9, angle=0.99)
    (group,) = study_records(REDUCTION, read_records([RESULTS])).budgets.values()
    claims = {claim.text: claim.test(group) for claim in REDUCTION.claims if "invariant to" in claim.text}
    shift, turn = claims.values()
    assert (shift.status, turn.status) == ("does not hold", "not enough runs")  # the other networks have no records
    assert "shifted by 1 pixel: max L=1 0.9000 (n=1)" in shift.evidence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "newer than 1"),
        ({"shift_accuracy": [0.5]}, "has 2 shifts but a different number of values"),
        ({"fill": "grey"}, "cannot be read"),
    ],
)
def test_a_damaged_record_is_reported(change, message):
    path = measured("0123456789", **change)
    with pytest.raises(InputError, match=message):
        read_invariance(path)
    assert message in read_records([RESULTS]).problems[0]


def test_names_of_metrics():
    assert metrics.metric("agreement_at_angle_15").change == ("agreement", "angle", 15)
    assert metrics.metric("accuracy_at_shift_2").title == "test accuracy, shifted by 2 pixels"
    assert metrics.metric("val_accuracy_at_2").title == "validation accuracy, epoch 2"
    with pytest.raises(InputError, match="unknown metric"):
        metrics.metric("agreement_at_shift_0")
