"""Studies of short training: accuracy by floating point operations, and what each trick adds."""

from __future__ import annotations

from kzoo.recipes import fast
from kzoo.studies.claims import Higher
from kzoo.studies.study import Study, claims, entries

COLUMNS = ("test_accuracy", "test_tta_accuracy", "training_flops", "seconds", "parameters")
PAPER = "Jordan 2024"
SECONDS = "Compare seconds only between records of the same machine; each record names its machine."

FAST = Study(
    "fast",
    report="ours",
    question="How accurate is a network after a given number of floating point operations?",
    entries=entries(
        {
            "fast 94": "fast/cifar10-94",
            "fast 94, 8 epochs": "fast/cifar10-94-8-epochs",
            "fast 95": "fast/cifar10-95",
            "fast 95, Muon": "fast/cifar10-95-muon",
            "fast 96": "fast/cifar10-96",
            "fast CIFAR-100": "fast/cifar100",
            "fast EMNIST": "fast/emnist",
            "ResNet24": "resnet/resnet24",
        },
        {
            "fast 94": {"test_tta_accuracy": 0.9401, "training_flops": 0.29e15},
            "fast 94, 8 epochs": {"test_tta_accuracy": 0.9401, "training_flops": 0.29e15},
            "fast 95": {"test_tta_accuracy": 0.9501, "training_flops": 1.4e15},
            "fast 96": {"test_tta_accuracy": 0.9600, "training_flops": 3.1e15},
        },
    ),
    claims=claims(
        {
            PAPER: {
                "The 94% recipe is more accurate than report e's ResNet24, even without test-time augmentation": Higher(
                    "fast 94", "ResNet24"
                ),
                "The 95% recipe is more accurate than the 94% recipe": Higher("fast 95", "fast 94"),
            }
        }
    ),
    columns=COLUMNS,
    notes=(
        "The reported values are those of Jordan (2024, and the repository KellerJordan/cifar10-airbench): means over "
        "many runs, in half precision on a GPU, with test-time augmentation.",
        SECONDS,
        "EMNIST: the records in results/ use 90,605 + 18,800 images, a different selection from the published 112,800 "
        "+ 18,800. The fast recipe trains on all of the former and tests on all of the latter.",
    ),
)

FAST_WITHOUT = Study(
    "fast-without",
    report="ours",
    question="What does each trick of short training add?",
    entries=entries({"all": "fast/cifar10-94", **{f"without {name}": f"fast-without/{name}" for name in fast.WITHOUT}}),
    columns=("train_accuracy", *COLUMNS[:2]),
    notes=("Each run leaves out one trick. Differences of less than half a point need several seeds.",),
)

STUDIES = (FAST, FAST_WITHOUT)
