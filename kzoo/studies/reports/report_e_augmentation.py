"""Studies of report e: augmentation and mixup, and what it meant by "without data augmentation" (CIFAR-10)."""

from __future__ import annotations

from collections.abc import Mapping

from kzoo.studies.claims import AllOf, Between, HardestClasses, Higher, OverfitsMore
from kzoo.studies.study import SCORES, Study, claims, entries

AUGMENTATIONS = {
    label: f"resnet-augmentation/{label.replace('+', '-')}"
    for label in ("none", "crop+flip", "crop+flip+vertical", "crop+flip+noise")
}
WHICH = (
    "The report gives 93.71% 'without data augmentation' and 94.43% with mixup, and lists crops, flips and noise "
    "among its augmentations. It is unclear whether the 93.71% used them, so we run every set with and without mixup."
)
NOISE = (
    "Noise has mean 0 and variance 1. The report does not say whether it is added to pixels or to normalised images; "
    "we choose normalised images. For flips 'horizontally and vertically', we run horizontal flips alone and both."
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


def _reaches(runs: Mapping[str, tuple[float, str]]) -> dict[str, Between]:
    """Claims, by text, that a run reaches a test accuracy; `runs` gives the accuracy and the training by label."""
    return {
        f"ResNet24 reaches {accuracy:.2%} {training} (within half a point: our bound)": Between(
            label, metric="test_accuracy", low=round(accuracy - 0.005, 4), high=round(accuracy + 0.005, 4)
        )
        for label, (accuracy, training) in runs.items()
    }


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
            "report e, section 2.2, read literally": _reaches(
                {"none": (0.9371, "without any augmentation"), "mixup alone": (0.9443, "with mixup alone")}
            ),
            "report e, section 2.2, another reading": _reaches(
                {
                    "crop+flip": (0.9371, "with crops and flips"),
                    "crop+flip+noise": (0.9371, "with crops, flips and noise"),
                    "crop+flip+mixup": (0.9443, "with crops, flips and mixup"),
                }
            ),
            "report e, section 2.3, figure 15": {
                "Cat and dog are recognised least often": HardestClasses("crop+flip+mixup", ("cat", "dog"), 2)
            },
            "report e, figure 15": {
                "After cat and dog, bird is recognised least often": HardestClasses(
                    "crop+flip+mixup", ("cat", "dog", "bird"), 3
                )
            },
        }
    ),
    columns=SCORES,
    notes=(
        WHICH,
        NOISE,
        "The report does not give mixup's alpha; 1.0 is ours.",
        "The diagonal of the report's confusion matrix sums to 9,459 of 10,000, not 9,443; by class, cat has 0.865, "
        "dog 0.921, bird 0.926, automobile 0.980.",
    ),
)

STUDIES = (RESNET_AUGMENTATION, RESNET_MIXUP)
