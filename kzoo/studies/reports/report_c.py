"""Studies of report c: depth, BatchNorm, dropout, pooling, filters and augmentation of pruned VGGs (CIFAR-10).

The report gives its results as figures without numbers, and its text lacks the figures, so no values are reported.
"""

from __future__ import annotations

from kzoo.studies.claims import Alike, AllOf, Best, Faster, Higher, Lower, NoGain, OverfitsMore, PeakAt, Ranking, Ratio
from kzoo.studies.study import SCORES, Study, claims, entries

NO_NUMBERS = "The report shows curves and prints no accuracies."
SPLIT = (
    "According to the report's text, 20% of the training images are for validation; its code trains on all 50,000 "
    "images and prints the test accuracy every epoch. We follow the text and read the test part once."
)
LETTERS = ("A", "D", "E")

DEPTH = Study(
    "depth",
    report="c",
    question="Does a deeper VGG reach a lower training error?",
    entries=entries({letter: f"depth/vgg-{letter.lower()}" for letter in LETTERS}),
    claims=claims(
        {
            "report c, section 1": {
                "More convolutions give a lower training error": AllOf(
                    Ranking(("E", "D", "A"), metric="train_loss", by=Lower),
                    Ranking(("E", "D", "A"), metric="train_accuracy"),
                )
            }
        }
    ),
    columns=("train_accuracy", "train_loss", "val_accuracy", "best_val_accuracy", "test_accuracy", "gap", "parameters"),
    notes=(NO_NUMBERS, SPLIT),
)

BATCHNORM_COST = Study(
    "batchnorm-cost",
    report="c",
    question="What does BatchNorm between the layers of pruned VGGs gain, and what does it cost?",
    entries=entries(
        {
            f"{letter}{bn}": f"batchnorm-cost/vgg-{letter}{bn}".lower().replace(" ", "-")
            for letter in LETTERS
            for bn in ("", " BN")
        }
    ),
    claims=claims(
        {
            "report c, section 2": {
                "BatchNorm makes training faster (epochs to 60% validation accuracy)": AllOf(
                    *(Faster(f"{letter} BN", letter, percent=60) for letter in LETTERS)
                ),
                "BatchNorm takes about 30% more time (15 to 45%: our bounds)": AllOf(
                    *(
                        Ratio(f"{letter} BN", letter, metric="seconds_per_epoch_ratio", low=1.15, high=1.45)
                        for letter in LETTERS
                    )
                ),
                "BatchNorm regularises: the gap between training and test accuracy is smaller": AllOf(
                    *(OverfitsMore(letter, f"{letter} BN") for letter in LETTERS)
                ),
                "BatchNorm improves the result": AllOf(*(Higher(f"{letter} BN", letter) for letter in LETTERS)),
            }
        }
    ),
    columns=(*SCORES, "epochs_to_60", "seconds_per_epoch_ratio", "peak_memory"),
    notes=(NO_NUMBERS, SPLIT, "Seconds per epoch are relative to A without BatchNorm."),
)

RATES = ("0", "0.2", "0.3", "0.4", "0.5")
DROPOUT = Study(
    "dropout",
    report="c",
    question="Which dropout rate is best, at which layers, and can BatchNorm replace dropout?",
    entries=entries(
        {
            **{rate: f"dropout/{rate}" for rate in RATES},
            "0.4 pools only": "dropout/0.4-pools",
            "0.4 hidden only": "dropout/0.4-hidden",
            "0 without BN": "dropout/0-without-bn",
            "0.4 without BN": "dropout/0.4-without-bn",
        }
    ),
    claims=claims(
        {
            "report c, section 3": {
                "Dropout raises the training error": AllOf(
                    *(Higher("0", rate, metric="train_accuracy") for rate in RATES[1:])
                ),
                "Without dropout, the network converges faster (epochs to 60% validation accuracy)": AllOf(
                    *(Faster("0", rate, percent=60) for rate in RATES[1:])
                ),
                "A rate of 0.4 is better than no dropout on test images": Higher("0.4", "0"),
            },
            "report c, sections 3 and 7": {"A rate of 0.4 is best on test images": PeakAt("0.4", RATES)},
            "report c, section 2": {
                "BatchNorm can replace dropout: dropout without BatchNorm gains nothing over BatchNorm "
                "without dropout": NoGain("0.4 without BN", "0")
            },
        }
    ),
    columns=("train_accuracy", "train_loss", *SCORES[1:], "epochs_to_60"),
    notes=(
        NO_NUMBERS,
        SPLIT,
        "The network is E with BatchNorm unless stated otherwise; dropout follows the pooling layers and both hidden "
        "dense layers.",
        "The report calls p the probability of keeping a unit, but its code passes 0.4 to Chainer, which drops that "
        "share. We follow the code.",
        "Training accuracy is measured with dropout active.",
    ),
)

POOLINGS = ("max", "average")
POOLED = {
    f"{pooling}, {name}": f"pooling-optimizer/{pooling}-{name.lower()}"
    for pooling in POOLINGS
    for name in ("Adam", "momentum", "RMSprop")
}
POOLING_OPTIMIZER = Study(
    "pooling-optimizer",
    report="c",
    question="Is max or average pooling better, and with which optimizer?",
    entries=entries(POOLED),
    claims=claims(
        {
            "report c, section 4": {
                "Adam beats momentum and RMSprop, with either pooling": AllOf(
                    *(
                        Higher(f"{pooling}, Adam", f"{pooling}, {other}")
                        for pooling in POOLINGS
                        for other in ("momentum", "RMSprop")
                    )
                ),
                "Average pooling is better than max pooling with Adam": Higher("average, Adam", "max, Adam"),
                "Max pooling is better than average pooling with momentum and with RMSprop": AllOf(
                    Higher("max, momentum", "average, momentum"), Higher("max, RMSprop", "average, RMSprop")
                ),
                "Adam with average pooling is better than momentum with max pooling": Higher(
                    "average, Adam", "max, momentum"
                ),
                "Adam with average pooling is the best combination": Best("average, Adam", tuple(POOLED)),
            }
        }
    ),
    columns=SCORES,
    notes=(
        NO_NUMBERS,
        SPLIT,
        "The report states no rates. We take Chainer's defaults: for momentum a rate of 0.01 and momentum 0.9; for "
        "RMSprop a rate of 0.01, smoothing 0.99 and epsilon 1e-8.",
    ),
)

FILTER_SIZE = Study(
    "filter-size",
    report="c",
    question="Which filters are best: 3x3, 5x5 or 7x7?",
    entries=entries({f"{size}x{size}": f"filter-size/{size}" for size in (3, 5, 7)}),
    claims=claims(
        {
            "report c, section 5": {
                "All filter sizes fit equally well (training accuracy within 2 points: our bound)": Alike(
                    ("3x3", "5x5", "7x7"), metric="train_accuracy", within=0.02
                ),
                "Larger filters overfit": AllOf(OverfitsMore("5x5", "3x3"), OverfitsMore("7x7", "3x3")),
                "Smaller filters have fewer parameters": Ranking(("3x3", "5x5", "7x7"), metric="parameters", by=Lower),
            }
        }
    ),
    columns=(*SCORES, "parameters"),
    notes=(NO_NUMBERS, SPLIT),
)

AUGMENTATION = Study(
    "augmentation",
    report="c",
    question="What do transformed copies of the training images gain?",
    entries=entries({name: f"augmentation/{name}" for name in ("none", "4x", "rotations")}),
    claims=claims(
        {
            "report c, section 6": {
                "Four times as many images raise training accuracy": Higher("4x", "none", metric="train_accuracy"),
                "Four times as many images take more time": Lower("none", "4x", metric="seconds_per_epoch_ratio"),
            },
            "report c, sections 6 and 7": {
                "Four times as many images reduce variance: the network overfits less": OverfitsMore("none", "4x")
            },
        }
    ),
    columns=(*SCORES, "seconds_per_epoch_ratio"),
    notes=(
        NO_NUMBERS,
        SPLIT,
        "4x contains each image, its mirror image, a copy with stretched contrast, and a copy after a median filter of "
        "size 2, which mixes the channels in the report's code. Rotations adds twelve copies of each image, in steps "
        "of 15 degrees up to 180.",
        "An epoch of 4x has four times as many steps, which also raises its training accuracy.",
    ),
)

PRUNED_BEST = Study(
    "pruned-best",
    report="c",
    question="How good is the best pruned VGG, with average pooling (the text) and with max pooling (the code)?",
    entries=entries(
        {"E untuned": "depth/vgg-e", "tuned, average": "pruned-best/average", "tuned, max": "pruned-best/max"}
    ),
    claims=claims(
        {
            "report c, section 7": {
                "Tuning improves the network": AllOf(
                    Higher("tuned, average", "E untuned"), Higher("tuned, max", "E untuned")
                ),
                "BatchNorm and dropout regularise the network": AllOf(
                    OverfitsMore("E untuned", "tuned, average"), OverfitsMore("E untuned", "tuned, max")
                ),
                "Average pooling is the better choice": Higher("tuned, average", "tuned, max"),
            }
        }
    ),
    columns=SCORES,
    notes=(
        NO_NUMBERS,
        SPLIT,
        "The text says that average pooling is best; the printed code of the final network uses max pooling. We run "
        "both.",
    ),
)

STUDIES = (DEPTH, BATCHNORM_COST, DROPOUT, POOLING_OPTIMIZER, FILTER_SIZE, AUGMENTATION, PRUNED_BEST)
