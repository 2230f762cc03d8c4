"""Studies of report e: ResNets of 10 to 48 layers with fewer than 5M parameters, and their training (CIFAR-10)."""

from __future__ import annotations

from kzoo.studies.claims import (
    Alike,
    AllOf,
    Best,
    Between,
    ConvergedBy,
    Faster,
    GroupsDiffer,
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
CONVERGED = "All have converged by about epoch 35 (they gain at most half a point after it: our bound)"

RESNET_DEPTH = Study(
    "resnet-depth",
    report="e",
    question="Is a deeper ResNet better with an equal number of parameters?",
    entries=entries(
        {network: f"resnet/{network.lower()}" for network in NETWORKS},
        {network: {"parameters": count} for network, count in PARAMETERS.items()},
    ),
    claims=claims(
        {
            "report e, section 2.1.2": {
                "With equal numbers of parameters, deeper networks are more accurate": Ranking(
                    tuple(reversed(NETWORKS)), metric="best_val_accuracy"
                ),
                CONVERGED: ConvergedBy(*NETWORKS, epoch=35),
            }
        }
    ),
    columns=(*SCORES, "parameters"),
    notes=(NO_NUMBERS, "The report continues with ResNet24 because of its accuracy and training time."),
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
                "SGD with momentum or Nesterov is about 8 points more accurate than Adagrad and Adadelta "
                "(4 to 12: our bounds)": GroupsDiffer(SGD, ADA, metric="best_val_accuracy", low=0.04, high=0.12),
                "SGD with momentum or Nesterov overfits more than Adagrad and Adadelta": GroupsDiffer(
                    SGD, ADA, metric="gap", low=0.0
                ),
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
                CONVERGED: ConvergedBy(*SGD, *ADA, epoch=35),
            }
        }
    ),
    columns=SCORES,
    notes=(
        NO_NUMBERS,
        "The report does not give the rates of Adagrad and Adadelta; we take PyTorch's defaults, 0.01 and 1.0.",
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
                "Exponential decay is the most stable": AllOf(
                    *(Lower("exponential", other, metric="unsteadiness") for other in tuple(SCHEDULES)[1:])
                ),
            }
        }
    ),
    columns=(*SCORES, "epochs_to_85", "unsteadiness"),
    notes=(NO_NUMBERS,),
)

STRENGTHS = {"L2": ("1e-4", "1e-3", "1e-2"), "L1": ("1e-6", "1e-5", "1e-4")}
PENALTIES = {"none": "resnet-penalties/none"} | {
    f"{kind} {strength}": f"resnet-penalties/{kind.lower()}-{float(strength):g}"
    for kind, strengths in STRENGTHS.items()
    for strength in strengths
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
                "(more epochs to 80% validation accuracy than with L2 1e-3)": AllOf(
                    Faster("L2 1e-3", "L1 1e-5", percent=80), Faster("L2 1e-3", "L1 1e-4", percent=80)
                ),
                "With L2, the loss falls early (after five epochs it is below that with L1: our rule)": AllOf(
                    Lower("L2 1e-3", "L1 1e-5", metric="train_loss_at_5"),
                    Lower("L2 1e-3", "L1 1e-4", metric="train_loss_at_5"),
                ),
                "With L2, the network still overfits strongly at the end (3 points or more: our bound)": Between(
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
                    "records contain no activations; kzoo.diagnostics.activations measures the share of zeros"
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
        "(2016b). The report's words 'BN always behind the convolution' fit original, ReLU before add and ReLU-only.",
    ),
)

STUDIES = (
    RESNET_DEPTH,
    RESNET_OPTIMIZERS,
    RESNET_SCHEDULES,
    RESNET_PENALTIES,
    RESNET_ACTIVATIONS,
    RESNET_BLOCKS,
)
