"""Studies of short training: accuracy by floating point operations, and what each trick adds."""

from __future__ import annotations

from kzoo.recipes import fast, resnet
from kzoo.studies.claims import higher
from kzoo.studies.study import Claim, Entry, Study

COLUMNS = ("test_accuracy", "test_tta_accuracy", "training_flops", "seconds", "parameters")
PAPER = "Jordan 2024"
FIGURES = {
    "94": {"test_tta_accuracy": 0.9401, "training_flops": 0.29e15},
    "95": {"test_tta_accuracy": 0.9501, "training_flops": 1.4e15},
    "96": {"test_tta_accuracy": 0.9600, "training_flops": 3.1e15},
}
SECONDS = "Seconds are those of the machine that each record names: they compare where the machine is one."

FAST = Study(
    "fast",
    report="ours",
    question="How accurate is a network after how many floating point operations?",
    entries=(
        *(
            Entry(recipe, f"fast {percent}", figures)
            for recipe, (percent, figures) in zip(fast.FAST[:3], FIGURES.items(), strict=True)
        ),
        Entry(fast.CIFAR100, "fast CIFAR-100"),
        Entry(resnet.RESNET24, "ResNet24"),
    ),
    claims=(
        Claim(
            "The recipe for 94% is more accurate than report e's ResNet24, without test-time augmentation too",
            PAPER,
            higher("fast 94", "ResNet24"),
        ),
        Claim(
            "The recipe for 95% is more accurate than that for 94%",
            PAPER,
            higher("fast 95", "fast 94", metric="test_accuracy"),
        ),
    ),
    columns=COLUMNS,
    notes=(
        "Reported are the figures of Jordan (2024, and the repository KellerJordan/cifar10-airbench): means over "
        "many runs, in half precision on a GPU, with test-time augmentation.",
        SECONDS,
    ),
)

FAST_WITHOUT = Study(
    "fast-without",
    report="ours",
    question="What does each trick of short training add?",
    entries=(
        Entry(fast.CIFAR10_94, "all"),
        *(Entry(recipe, f"without {name}") for recipe, name in zip(fast.TRICKS, fast.WITHOUT, strict=True)),
    ),
    columns=("train_accuracy", *COLUMNS[:2]),
    notes=("Each run leaves one trick out. Differences below half a point need several seeds.",),
)

STUDIES = (FAST, FAST_WITHOUT)
