"""Studies of report d: max, average, strided and dilated reduction in LeNets (EMNIST balanced, and CIFAR-10)."""

from __future__ import annotations

from collections.abc import Mapping

from kzoo.diagnostics.receptive_field.report_d import report_d_side
from kzoo.studies.claims import (
    Alike,
    AllOf,
    Best,
    Between,
    Computed,
    Faster,
    Higher,
    Lower,
    OverfitsMore,
    OverfitsSooner,
    Ratio,
)
from kzoo.studies.study import Study, claims, entries

DEPTHS = (1, 2, 3, 4)
EMNIST_NOTE = (
    "EMNIST: the records in results/ use 90,605 + 18,800 images, a different selection of the dataset from the "
    "report's 131,600. The shares for training, validation and testing are the report's, 76, 12 and 12%; each record "
    "contains the sizes."
)
REPORTED = {
    "max": (0.7716, 0.8625, 0.8749, 0.8736),
    "average": (0.7523, 0.8640, 0.8801, 0.8769),
    "dilated": (0.8671, 0.8854, 0.8816, 0.8770),
}
# Seconds per epoch, from the report's tables 4 and 6, which disagree on average pooling.
TABLE_4 = {"max": (12.88, 19.34, 21.6, 23.4), "average": (13.2, 19.81, 22.26, 23.85)}
TABLE_6 = {"average": (11.2, 12.8, 13.3, 15.9), "dilated": (15.5, 24.6, 30.5, 34.6)}
TWO_TABLES = (
    "Seconds per epoch, ours and the report's, are relative to the first run of this study. The report's tables 4 and "
    "6 disagree on average pooling: 13.2 to 23.85 seconds in table 4, and 11.2 to 15.9 seconds in table 6."
)
COLUMNS = (
    "train_accuracy",
    "val_accuracy",
    "best_val_accuracy",
    "test_accuracy",
    "gap",
    "parameters",
    "seconds_per_epoch_ratio",
)


def _reported(seconds: Mapping[str, tuple[float, ...]], first: float) -> dict[str, dict[str, float]]:
    """The report's values by label: test accuracies, and seconds per epoch of one table divided by `first`."""
    reported: dict[str, dict[str, float]] = {}
    for metric, table, unit in (("test_accuracy", REPORTED, 1.0), ("seconds_per_epoch_ratio", seconds, first)):
        for kind, values in table.items():
            for layers, value in enumerate(values, start=1):
                scaled = value if unit == 1.0 else round(value / unit, 2)
                reported.setdefault(_label(kind, layers), {})[metric] = scaled
    return reported


def _label(kind: str, layers: int, rest: str = "") -> str:
    return f"{kind} L={layers}{rest}"


KINDS = ("max", "average", "strided", "dilated")
COLOUR = " CIFAR-10"
POOLINGS = ("max", "average")
POOLED = tuple(_label(kind, layers) for layers in DEPTHS for kind in POOLINGS)

REDUCTION = Study(
    "reduction",
    report="d",
    question="Which reduction suits a LeNet: max or average pooling, a strided or a dilated convolution?",
    entries=entries(
        {
            _label(kind, layers, rest): f"reduction/lenet{layers}-{kind}{suffix}"
            for rest, suffix in (("", ""), (" F=64", "-64"), (COLOUR, "-cifar10"))
            for layers in DEPTHS
            for kind in KINDS
        },
        _reported(TABLE_4, TABLE_4["max"][0]),
    ),
    claims=claims(
        {
            "report d, section 4.3, table 3": {
                "With one layer, where the network underfits, max pooling is more accurate": Higher(
                    "max L=1", "average L=1"
                )
            },
            "report d, sections 4.3 and 5, table 3": {
                "With more layers, average pooling is more accurate": AllOf(
                    *(Higher(_label("average", i), _label("max", i)) for i in DEPTHS[1:])
                )
            },
            "report d, section 4.3": {
                "Max pooling fits faster (higher training accuracy after two epochs: our rule)": AllOf(
                    *(Higher(_label("max", i), _label("average", i), metric="train_accuracy_at_2") for i in DEPTHS)
                ),
                "Max pooling overfits sooner (its validation loss reaches its minimum earlier: our rule)": AllOf(
                    *(OverfitsSooner(_label("max", i), _label("average", i)) for i in DEPTHS[1:])
                ),
            },
            "report d, section 4.3, figure 7": {
                "With 64 filters and two layers, both poolings are equally accurate (within 1 point: our bound)": Alike(
                    ("max L=2 F=64", "average L=2 F=64"), within=0.01
                ),
                "With 64 filters and three layers, max pooling overfits and average pooling is more accurate": AllOf(
                    OverfitsMore("max L=3 F=64", "average L=3 F=64"), Higher("average L=3 F=64", "max L=3 F=64")
                ),
                "With 64 filters and four layers, both overfit (more than with two layers)": AllOf(
                    OverfitsMore("max L=4 F=64", "max L=2 F=64"), OverfitsMore("average L=4 F=64", "average L=2 F=64")
                ),
            },
            "report d, section 4.3, table 4": {
                "Average pooling takes slightly more time than max pooling (up to 10%: our bound)": AllOf(
                    *(
                        Ratio(_label("average", i), _label("max", i), metric="seconds_per_epoch_ratio", low=1, high=1.1)
                        for i in DEPTHS
                    )
                )
            },
            "report d, section 5 (its conjecture)": {
                "Max pooling favours coloured texture, so it is better on colour photographs": AllOf(
                    *(Higher(_label("max", i, COLOUR), _label("average", i, COLOUR)) for i in DEPTHS)
                )
            },
            "report d, section 3.1": {
                "Pooling makes a network invariant to small translations "
                "(1 pixel changes at most 5% of the predictions: our bound)": AllOf(
                    *(Between(label, metric="agreement_at_shift_1", low=0.95) for label in POOLED)
                ),
                "Pooling makes a network invariant to small rotations "
                "(15 degrees change at most 5% of the predictions: our bound)": AllOf(
                    *(Between(label, metric="agreement_at_angle_15", low=0.95) for label in POOLED)
                ),
                "Pooling makes a network more invariant than dilation does "
                "(our comparison, after 1 pixel and 15 degrees)": AllOf(
                    *(
                        Higher(_label(kind, i), _label("dilated", i), metric=metric)
                        for metric in ("agreement_at_shift_1", "agreement_at_angle_15")
                        for i in DEPTHS
                        for kind in POOLINGS
                    )
                ),
            },
        }
    ),
    columns=(*COLUMNS, "agreement_at_shift_1", "agreement_at_angle_15"),
    notes=(
        EMNIST_NOTE,
        "'Same prediction' is the share of the test images whose predicted class stays the same when they are shifted "
        "by one pixel (mean over four directions) or rotated by 15 degrees (mean over both directions); border pixels "
        "fill the empty area.",
        "Strided convolutions come from the course framework, not from the report; CIFAR-10 is ours.",
        "The report shows F=64 as curves without numbers.",
        TWO_TABLES,
    ),
)


def _pooled_side(layers: int) -> int:
    """Side of the receptive field in pixels of `layers` pairs of a 3x3 convolution and 2x2 pooling (stride 2)."""
    side, step = 1, 1
    for _ in range(layers):
        side, step = side + 2 * step + step, 2 * step
    return side


def _dilated_side(layers: int) -> int:
    """Side of the receptive field in pixels of `layers` pairs of 3x3 convolutions, the second dilated by 2, 3, ..."""
    return 1 + sum(2 + 2 * (i + 2) for i in range(layers))


def _pooling_keeps_the_field() -> tuple[bool, str]:
    bare = {layers: 1 + 2 * layers for layers in DEPTHS}
    pooled = {layers: _pooled_side(layers) for layers in DEPTHS}
    sides = "; ".join(f"L={i}: {bare[i]}x{bare[i]} without, {pooled[i]}x{pooled[i]} with" for i in DEPTHS)
    return pooled == bare, f"exact receptive fields, without and with pooling: {sides}"


def _formula_fits() -> tuple[bool, str]:
    formula = {layers: report_d_side(layers + 1) for layers in DEPTHS}
    exact = {layers: _dilated_side(layers) for layers in DEPTHS}
    sides = "; ".join(
        f"L={i}, dilation {i + 1}: {formula[i] ** 2:.0f} by the formula, {exact[i] ** 2} exactly" for i in DEPTHS
    )
    return all(abs(formula[i] - exact[i]) < 0.5 for i in DEPTHS), f"pixels in the receptive field: {sides}"


DILATION = Study(
    "dilation",
    report="d",
    question="Is a dilated convolution a better reduction than pooling?",
    entries=entries(
        {
            _label(kind, layers): f"reduction/lenet{layers}-{kind}"
            for kind in ("average", "max", "dilated")
            for layers in DEPTHS
        },
        _reported(TABLE_6, TABLE_6["average"][0]),
    ),
    claims=claims(
        {
            "report d, section 4.4, tables 3 and 5": {
                "Dilated reduction is more accurate than both poolings at every depth": AllOf(
                    *(Higher(_label("dilated", i), _label(kind, i)) for i in DEPTHS for kind in ("average", "max"))
                )
            },
            "report d, section 4.4": {
                "The best dilated network is more accurate than the best of either pooling": AllOf(
                    *(Higher("dilated L=2", _label(kind, i)) for i in DEPTHS for kind in ("average", "max"))
                ),
                "Dilated reduction fits faster (epochs to 75% validation accuracy)": AllOf(
                    *(Faster(_label("dilated", i), _label("average", i), percent=75) for i in DEPTHS)
                ),
                "Dilated reduction overfits sooner with three and four layers": AllOf(
                    *(OverfitsSooner(_label("dilated", i), _label("average", i)) for i in DEPTHS[2:])
                ),
            },
            "report d, section 4.4, table 5": {
                "Dilated reduction is best with two layers": Best(
                    "dilated L=2", [_label("dilated", i) for i in DEPTHS]
                ),
                "Average pooling is best with three layers": Best(
                    "average L=3", [_label("average", i) for i in DEPTHS]
                ),
            },
            "report d, section 4.4, table 6": {
                "Dilated reduction takes more time than average pooling at every depth": AllOf(
                    *(
                        Lower(_label("average", i), _label("dilated", i), metric="seconds_per_epoch_ratio")
                        for i in DEPTHS
                    )
                ),
                "Dilated reduction with four layers takes about twice the time (1.5 to 2.5 times: our bounds)": Ratio(
                    "dilated L=4", "average L=4", metric="seconds_per_epoch_ratio", low=1.5, high=2.5
                ),
            },
            "report d, section 5": {
                "Average pooling does not change the receptive field": Computed(_pooling_keeps_the_field)
            },
            "report d, section 3.2, equation 1": {
                "With dilation, the receptive field grows as (2^(rate/2 + 2) - 1)^2": Computed(_formula_fits)
            },
        }
    ),
    columns=COLUMNS,
    notes=(EMNIST_NOTE, TWO_TABLES, "kzoo.layer_table prints the exact receptive fields."),
)

STUDIES = (REDUCTION, DILATION)
