"""Studies of report e: ResNets of 10 to 48 layers under 5M parameters (CIFAR-10)."""

from __future__ import annotations

from kzoo.studies.claims import (
    Alike,
    AllOf,
    Best,
    Between,
    ConvergedBy,
    Faster,
    GroupsDiffer,
    HardestClasses,
    Higher,
    Lower,
    NoGain,
    NotRecorded,
    OverfitsMore,
    Ranking,
)
from kzoo.studies.study import SCORES, Study, claims, entries

NO_NUMBERS = "The report shows these results as curves and prints no accuracies."
PARAMETERS = {"ResNet10": 4_903_242, "ResNet16": 4_909_642, "ResNet24": 4_935_242, "ResNet48": 4_994_378}
NETWORKS = tuple(PARAMETERS)


RESNET_DEPTH = Study(
    "resnet-depth",
    report="e",
    question="Is a deeper ResNet better at equal parameters?",
    entries=entries(
        {network: f"resnet/{network.lower()}" for network in NETWORKS},
        {network: {"parameters": count} for network, count in PARAMETERS.items()},
    ),
    claims=claims(
        {
            "report e, section 2.1.2": {
                "With equal parameters, deeper networks are more accurate": Ranking(
                    tuple(reversed(NETWORKS)), metric="best_val_accuracy"
                ),
                "All have converged at about epoch 35 (they gain at most half a point later: our bound)": ConvergedBy(
                    *NETWORKS, epoch=35
                ),
            }
        }
    ),
    columns=(*SCORES, "parameters"),
    notes=(NO_NUMBERS, "The report continues with ResNet24 because of its accuracy and its time."),
)

MOMENTUM, ADAPTIVE = ("Nesterov", "momentum"), ("Adagrad", "Adadelta")
SGD, ADA = (tuple(f"{network} {name}" for network in NETWORKS for name in names) for names in (MOMENTUM, ADAPTIVE))
RESNET_OPTIMIZERS = Study(
    "resnet-optimizers",
    report="e",
    question="Which optimizer suits ResNets of 10 to 48 layers?",
    entries=entries(
        {
            f"{network} {name}": f"resnet-optimizers/{network}-{name}".lower()
            for network in NETWORKS
            for name in MOMENTUM + ADAPTIVE
        }
    ),
    claims=claims(
        {
            "report e, section 2.1.2": {
                "SGD with momentum or Nesterov is about 8 points above Adagrad and Adadelta "
                "(4 to 12: our bounds)": GroupsDiffer(SGD, ADA, metric="best_val_accuracy", low=0.04, high=0.12),
                "SGD with momentum or Nesterov overfits more": GroupsDiffer(SGD, ADA, metric="gap", low=0.0),
                "Momentum and Nesterov are equally accurate, and so are Adagrad and Adadelta "
                "(within 2 points: our bound)": AllOf(
                    *(
                        Alike((f"{network} {a}", f"{network} {b}"), metric="best_val_accuracy", within=0.02)
                        for network in NETWORKS
                        for a, b in (("momentum", "Nesterov"), ("Adagrad", "Adadelta"))
                    )
                ),
                "With every optimizer, deeper networks are more accurate": AllOf(
                    *(
                        Ranking([f"{network} {name}" for network in reversed(NETWORKS)], metric="best_val_accuracy")
                        for name in MOMENTUM + ADAPTIVE
                    )
                ),
                "All have converged at about epoch 35 (they gain at most half a point later: our bound)": ConvergedBy(
                    *SGD, *ADA, epoch=35
                ),
            }
        }
    ),
    columns=SCORES,
    notes=(
        NO_NUMBERS,
        "The report does not give the rates of Adagrad (0.01) and Adadelta (1.0); we take PyTorch's defaults.",
    ),
)

SCHEDULES = {
    "exponential": "resnet-schedules/exponential",
    "step": "resnet-schedules/step",
    "cosine with restarts": "resnet-schedules/cosine-restarts",
    "plateau": "resnet-schedules/plateau",
}
RESNET_SCHEDULES = Study(
    "resnet-schedules",
    report="e",
    question="Which learning rate schedule suits ResNet24?",
    entries=entries(SCHEDULES),
    claims=claims(
        {
            "report e, section 2.1.3": {
                "Exponential decay converges fastest (epochs to 85% validation accuracy)": AllOf(
                    *(Faster("exponential", other, percent=85) for other in tuple(SCHEDULES)[1:])
                ),
                "Exponential decay is most stable": AllOf(
                    *(Lower("exponential", other, metric="unsteadiness") for other in tuple(SCHEDULES)[1:])
                ),
            }
        }
    ),
    columns=(*SCORES, "epochs_to_85", "unsteadiness"),
    notes=(NO_NUMBERS,),
)

PENALTIES = {
    "none": "resnet-penalties/none",
    "L2 1e-4": "resnet-penalties/l2-0.0001",
    "L2 1e-3": "resnet-penalties/l2-0.001",
    "L2 1e-2": "resnet-penalties/l2-0.01",
    "L1 1e-6": "resnet-penalties/l1-1e-06",
    "L1 1e-5": "resnet-penalties/l1-1e-05",
    "L1 1e-4": "resnet-penalties/l1-0.0001",
}
RESNET_PENALTIES = Study(
    "resnet-penalties",
    report="e",
    question="Which penalty keeps ResNet24 from overfitting: L1 or L2, and how strong?",
    entries=entries(PENALTIES),
    claims=claims(
        {
            "report e, section 2.1.4": {
                "A penalty reduces overfitting": AllOf(
                    OverfitsMore("none", "L2 1e-3"), OverfitsMore("none", "L1 1e-5")
                ),
                "With L1, the accuracy converges slowly "
                "(epochs to 80% validation accuracy, compared with L2 1e-3)": AllOf(
                    Faster("L2 1e-3", "L1 1e-5", percent=80), Faster("L2 1e-3", "L1 1e-4", percent=80)
                ),
                "With L2, the loss falls early (below that with L1 after five epochs: our rule)": AllOf(
                    Lower("L2 1e-3", "L1 1e-5", metric="train_loss_at_5"),
                    Lower("L2 1e-3", "L1 1e-4", metric="train_loss_at_5"),
                ),
                "With L2, the network still overfits seriously at the end (3 points or more: our bound)": Between(
                    "L2 1e-3", metric="gap", low=0.03
                ),
            }
        }
    ),
    columns=(*SCORES, "train_loss", "val_loss"),
    notes=(
        NO_NUMBERS,
        "Strengths other than L2 1e-3 are ours. The losses are the cross entropy alone, without the penalty.",
    ),
)

ACTIVATIONS = {
    "ReLU": "resnet-activations/relu",
    "ReLU6": "resnet-activations/relu6",
    "leaky ReLU": "resnet-activations/leaky_relu",
    "ELU": "resnet-activations/elu",
    "Swish": "resnet-activations/swish",
}
RESNET_ACTIVATIONS = Study(
    "resnet-activations",
    report="e",
    question="Is any activation better than ReLU in ResNet24?",
    entries=entries(ACTIVATIONS),
    claims=claims(
        {
            "report e, section 2.1.5": {
                "No activation is clearly better than ReLU": AllOf(
                    *(NoGain(other, "ReLU", metric="best_val_accuracy") for other in tuple(ACTIVATIONS)[1:])
                ),
                "The other activations need more computation": AllOf(
                    *(Lower("ReLU", other, metric="seconds_per_epoch_ratio") for other in tuple(ACTIVATIONS)[1:])
                ),
                "ReLU makes the network sparser": NotRecorded(
                    "records hold no activations: kzoo.diagnostics.activations measures the share of zeros"
                ),
            }
        }
    ),
    columns=(*SCORES, "seconds_per_epoch_ratio"),
    notes=(NO_NUMBERS, "Leaky ReLU's slope of 0.01 is ours."),
)

BLOCKS = {
    "original": "resnet-blocks/original",
    "BN after add": "resnet-blocks/bn-after-add",
    "ReLU before add": "resnet-blocks/relu-before-add",
    "ReLU-only pre-activation": "resnet-blocks/relu-only-preactivation",
    "full pre-activation": "resnet-blocks/full-preactivation",
}
RESNET_BLOCKS = Study(
    "resnet-blocks",
    report="e",
    question="Which order of the layers in a residual block is best?",
    entries=entries(BLOCKS),
    claims=claims(
        {
            "report e, section 2.1.6": {
                "The original block is best": Best("original", tuple(BLOCKS), metric="best_val_accuracy"),
                "The blocks differ little (within 2 points: our bound)": Alike(
                    tuple(BLOCKS), metric="best_val_accuracy", within=0.02
                ),
            }
        }
    ),
    columns=SCORES,
    notes=(
        NO_NUMBERS,
        "The report's figure of the blocks is missing: the five orders are our interpretation, after He et al. "
        "(2016b). Its words 'BN always behind the convolution' fit original, ReLU before add and ReLU-only.",
    ),
)

AUGMENTATIONS = {
    label: f"resnet-augmentation/{label.replace('+', '-')}"
    for label in ("none", "crop+flip", "crop+flip+vertical", "crop+flip+noise")
}
WHICH = (
    "The report has 93.71% 'without data augmentation' and 94.43% with mixup, and lists crop, flips and noise "
    "among its augmentations. It is unclear whether the 93.71% used them, so every set is run with and without mixup."
)
NOISE = (
    "Noise has mean 0 and variance 1. The report does not say whether it is added to pixels or to normalised images; "
    "we choose normalised images. Flips 'horizontally and vertically' are run as horizontal only and as both."
)
RESNET_AUGMENTATION = Study(
    "resnet-augmentation",
    report="e",
    question="Which augmentation helps ResNet24?",
    entries=entries(AUGMENTATIONS, {"none": {"test_accuracy": 0.9371}}),
    claims=claims(
        {
            "report e, section 2.1.7": {
                "Augmentation makes the network generalise better": Higher("crop+flip", "none"),
                "Augmentation reduces overfitting": OverfitsMore("none", "crop+flip"),
            }
        }
    ),
    columns=SCORES,
    notes=(WHICH, NOISE, "Training accuracy is measured on the augmented images."),
)


def _near(accuracy: float, label: str) -> Between:
    """Within half a point of an accuracy."""
    return Between(label, metric="test_accuracy", low=round(accuracy - 0.005, 4), high=round(accuracy + 0.005, 4))


MIXED = {label: "mixup alone" if label == "none" else f"{label}+mixup" for label in AUGMENTATIONS}
RESNET_MIXUP = Study(
    "resnet-mixup",
    report="e",
    question="What does mixup gain, and what did the report mean by 'without data augmentation'?",
    entries=entries(
        AUGMENTATIONS | {MIXED[label]: name.replace("augmentation", "mixup") for label, name in AUGMENTATIONS.items()},
        {"none": {"test_accuracy": 0.9371}, "crop+flip+mixup": {"test_accuracy": 0.9443}},
    ),
    claims=claims(
        {
            "report e, sections 2.1.7 and 2.2": {
                "Mixup raises test accuracy": AllOf(*(Higher(mixed, label) for label, mixed in MIXED.items()))
            },
            "report e, section 2.2, by its words": {
                "ResNet24 reaches 93.71% without any augmentation (within half a point: our bound)": _near(
                    0.9371, "none"
                ),
                "ResNet24 reaches 94.43% with mixup alone (within half a point: our bound)": _near(
                    0.9443, "mixup alone"
                ),
            },
            "report e, section 2.2, another reading": {
                "ResNet24 reaches 93.71% with crops and flips (within half a point: our bound)": _near(
                    0.9371, "crop+flip"
                ),
                "ResNet24 reaches 93.71% with crops, flips and noise (within half a point: our bound)": _near(
                    0.9371, "crop+flip+noise"
                ),
                "ResNet24 reaches 94.43% with crops, flips and mixup (within half a point: our bound)": _near(
                    0.9443, "crop+flip+mixup"
                ),
            },
            "report e, section 2.3, figure 15": {
                "Cat and dog are recognised least often": HardestClasses("crop+flip+mixup", ("cat", "dog"), 2)
            },
            "report e, figure 15": {"Bird comes next": HardestClasses("crop+flip+mixup", ("cat", "dog", "bird"), 3)},
        }
    ),
    columns=SCORES,
    notes=(
        WHICH,
        NOISE,
        "The report does not give mixup's alpha; 1.0 is ours.",
        "The report's confusion matrix has 9,459 of 10,000 on its diagonal, not 9,443: cat 0.865, dog 0.921, "
        "bird 0.926, automobile 0.980.",
    ),
)

STUDIES = (
    RESNET_DEPTH,
    RESNET_OPTIMIZERS,
    RESNET_SCHEDULES,
    RESNET_PENALTIES,
    RESNET_ACTIVATIONS,
    RESNET_BLOCKS,
    RESNET_AUGMENTATION,
    RESNET_MIXUP,
)
