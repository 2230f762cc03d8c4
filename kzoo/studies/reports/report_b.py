"""Studies of report b: VGG-38 with BatchNorm, its gradients, and a search for better settings (CIFAR-100)."""

from __future__ import annotations

from kzoo.studies.claims import Alike, AllOf, Best, Between, Faster, Higher, Learns, NoGain, PeakAt, WithinSpread
from kzoo.studies.study import SCORES, Study, claims, entries

SAME_RUN = "The baseline appears in four tables of the report; it is one run (rate 1e-3, batch size 100, seed 0)."
LAST_OR_BEST = (
    "The report does not say whether its validation values are those of the last or of the best epoch; we compare them "
    "with the last. For the same recipe, report a gives 0.4616 at epoch 100, and report b gives 0.5024."
)
EPOCHS = "Epochs to 40% or 45%: the first epoch that reaches this validation accuracy (our rule; the report: 'near')."


def _reported(
    train: float, val: float, test: float, losses: tuple[float, float, float], **more: float
) -> dict[str, float]:
    names = ("train_loss", "val_loss", "test_loss")
    scores = {"train_accuracy": train, "val_accuracy": val, "test_accuracy": test}
    return {**scores, **dict(zip(names, losses, strict=True)), **more}


def _baseline(**more: float) -> dict[str, float]:
    return _reported(0.5829, 0.5024, 0.4942, (1.45, 1.89, 1.90), **more)


BATCHNORM = Study(
    "batchnorm",
    report="b",
    question="Do gradients vanish in VGG-38, and does BatchNorm prevent it?",
    entries=entries(
        {"VGG-08": "rescue/vgg08", "VGG-38": "rescue/vgg38", "BN": "batchnorm/baseline"},
        {"BN": _baseline(epochs_to_40=39, epochs_to_45=50, parameters=338_500)},
    ),
    claims=claims(
        {
            "report b, section 2, figure 1": {
                "Gradients of plain VGG-38 vanish with depth "
                "(first layer's below a thousandth of the last layer's: our bound)": Between(
                    "VGG-38", metric="gradient_ratio_start", high=1e-3
                ),
                "Gradients of plain VGG-38 vanish over the epochs "
                "(below a tenth of the untrained network's: our bound)": Between(
                    "VGG-38", metric="gradient_change", high=0.1
                ),
                "Gradients of VGG-08 vanish neither with depth nor over the epochs": AllOf(
                    Between("VGG-08", metric="gradient_ratio_start", low=1e-3),
                    Between("VGG-08", metric="gradient_change", low=0.1),
                ),
            },
            "report b, section 6, figure 3": {
                "Gradients of VGG-38 with BatchNorm vanish neither with depth nor over the epochs": AllOf(
                    Between("BN", metric="gradient_ratio_start", low=1e-3),
                    Between("BN", metric="gradient_change", low=0.1),
                )
            },
            "report b, section 6, figure 2": {"VGG-38 with BatchNorm learns": Learns("BN")},
            "report b, section 6": {
                "VGG-38 with BatchNorm does not overfit "
                "(training accuracy at most 10 points above test accuracy: our bound)": Between(
                    "BN", metric="gap", high=0.1
                )
            },
        }
    ),
    columns=(*SCORES, "gradient_ratio_start", "gradient_ratio_end", "gradient_change"),
    notes=(SAME_RUN, LAST_OR_BEST),
)

RATES = {"1e-4": "0.0001", "1e-3": "0.001", "5e-3": "0.005", "1e-2": "0.01", "4.5e-2": "0.045"}
COSINE = tuple(RATES)
MIDDLE, EXTREMES = ("1e-3", "5e-3", "1e-2"), ("1e-4", "4.5e-2")

LEARNING_RATE = Study(
    "learning-rate",
    report="b",
    question="Which learning rate suits VGG-38 with BatchNorm, and does the schedule decide it?",
    entries=entries(
        {
            **{label: f"learning-rate/{rate}" for label, rate in RATES.items()},
            **{f"{label} constant": f"learning-rate/{rate}-constant" for label, rate in RATES.items()},
        },
        {
            "1e-4": _reported(0.4883, 0.4012, 0.4153, (1.85, 2.30, 2.24), epochs_to_40=45),
            "1e-3": _baseline(epochs_to_40=39),
            "5e-3": _reported(0.5455, 0.4792, 0.4839, (1.61, 1.96, 1.96), epochs_to_40=48),
            "1e-2": _reported(0.5562, 0.4748, 0.4805, (1.56, 1.96, 1.98), epochs_to_40=80),
            "4.5e-2": _reported(0.4471, 0.4092, 0.4083, (1.97, 2.18, 2.17), epochs_to_40=99),
        },
    ),
    claims=claims(
        {
            "report b, section 6, tables 1 and 2": {
                "1e-3 is the best learning rate": AllOf(
                    Best("1e-3", COSINE, metric="val_accuracy"), Best("1e-3", COSINE)
                )
            },
            "report b, section 6, table 2": {
                "Much smaller and much larger rates are worst, and equally bad (within 2 points: our bound)": AllOf(
                    *(Higher(good, bad, metric="val_accuracy") for good in MIDDLE for bad in EXTREMES),
                    Alike(EXTREMES, metric="val_accuracy", within=0.02),
                ),
                "1e-3 takes the fewest epochs to 40% validation accuracy": AllOf(
                    *(Faster("1e-3", other, percent=40) for other in COSINE if other != "1e-3")
                ),
            },
            "report b, section 6 (its conjecture)": {
                "The cosine schedule makes larger rates less accurate: larger constant rates do no harm": AllOf(
                    NoGain("1e-3 constant", "5e-3 constant"), NoGain("1e-3 constant", "1e-2 constant")
                ),
                "The cosine schedule makes larger rates slower: larger constant rates train faster": Faster(
                    "5e-3 constant", "1e-3 constant", percent=40
                ),
            },
        }
    ),
    columns=(*SCORES[:-1], "val_loss", "test_loss", "epochs_to_40"),
    notes=(
        "Section 5 of the report misprints two rates as 0.05 and 0.45: its factor and its table give 0.005 and 0.045.",
        "The constant rates are ours. They test the report's conjecture that the cosine schedule causes its ranking.",
        EPOCHS,
        SAME_RUN,
        LAST_OR_BEST,
    ),
)

BATCH_SIZE = Study(
    "batch-size",
    report="b",
    question="Which batch size suits VGG-38 with BatchNorm?",
    entries=entries(
        {size: f"batch-size/{size}" for size in ("50", "100", "200")},
        {
            "50": _reported(0.5420, 0.4808, 0.4816, (1.63, 1.94, 1.93), epochs_to_45=60),
            "100": _baseline(epochs_to_45=50),
            "200": _reported(0.5809, 0.4804, 0.4789, (1.45, 1.97, 1.96), epochs_to_45=69),
        },
    ),
    claims=claims(
        {
            "report b, section 6, table 4": {
                "Batches of 100 are best: smaller and larger ones are worse": AllOf(
                    PeakAt("100", ("50", "100", "200"), metric="val_accuracy"), PeakAt("100", ("50", "100", "200"))
                ),
                "Batches of 50 and of 200 are equally accurate (within 2 points: our bound)": Alike(
                    ("50", "200"), metric="val_accuracy", within=0.02
                ),
            },
            "report b, table 4": {
                "Batches of 100 take the fewest epochs to 45% validation accuracy": AllOf(
                    Faster("100", "50", percent=45), Faster("100", "200", percent=45)
                )
            },
        }
    ),
    columns=(*SCORES[:-1], "val_loss", "test_loss", "epochs_to_45"),
    notes=(
        EPOCHS,
        "The introduction of the report gives the test accuracies of these runs (48.16% and 47.89%) as those of its "
        "seeds.",
        SAME_RUN,
        LAST_OR_BEST,
    ),
)

SEEDS = Study(
    "seeds",
    report="b",
    question="How much does the result of VGG-38 with BatchNorm depend on the seed?",
    entries=entries(
        {f"seed {seed}": f"seeds/{seed}" for seed in (0, 10, 20)},
        {
            "seed 0": _baseline(),
            "seed 10": _reported(0.5731, 0.4760, 0.4865, (1.49, 1.94, 1.96)),
            "seed 20": _reported(0.5507, 0.4632, 0.4739, (1.60, 1.98, 1.98)),
        },
    ),
    claims=claims(
        {
            "report b, sections 1 and 6": {
                "The network learns with every seed": Learns("seed 0", "seed 10", "seed 20", metric="test_accuracy")
            },
            "report a, section 5.1, against report b, section 6": {
                "Report a's 0.4616 and report b's 0.5024 differ only by the seed "
                "(within two standard deviations: our bound)": WithinSpread(
                    ("seed 0", "seed 10", "seed 20"), (0.4616, 0.5024), metric="val_accuracy"
                )
            },
        }
    ),
    columns=("train_accuracy", "val_accuracy", "best_val_accuracy", "test_accuracy", "val_loss", "test_loss"),
    notes=(
        "Report a also trained this network and gives 0.4616. Judge both values by the spread over seeds.",
        SAME_RUN,
        LAST_OR_BEST,
    ),
)

DECAYS = ("1e-5", "1e-4", "1e-3")
BATCHNORM_DECAY = Study(
    "batchnorm-decay",
    report="b",
    question="Does VGG-38 with BatchNorm need weight decay?",
    entries=entries(
        {"none": "batchnorm/baseline", **{l2: f"batchnorm-decay/{float(l2):g}" for l2 in DECAYS}}, {"none": _baseline()}
    ),
    claims=claims(
        {
            "report b, section 6 (not searched there)": {
                "BatchNorm regularises enough: weight decay gains nothing": AllOf(
                    *(NoGain(l2, "none") for l2 in DECAYS)
                )
            },
            "report a, section 5.3 (with residual connections and erasing)": {
                "An L2 penalty of 1e-3 helps": Higher("1e-3", "none")
            },
        }
    ),
    columns=SCORES,
    notes=("The strengths are ours. The decay is an L2 penalty, as in report a.", SAME_RUN, LAST_OR_BEST),
)

STUDIES = (BATCHNORM, LEARNING_RATE, BATCH_SIZE, SEEDS, BATCHNORM_DECAY)
