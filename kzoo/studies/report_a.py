"""Studies of report a: what lets a 38-layer VGG train, and what regularises it then (CIFAR-100)."""

from __future__ import annotations

from kzoo.recipes.vgg38 import RESCUE as RECIPES
from kzoo.studies.claims import all_of, at_chance, best, higher, learns, lower
from kzoo.studies.study import Claim, Entry, Study

VGG08, VGG38, BN, RESIDUAL, BN_RESIDUAL = RECIPES

RESCUE = Study(
    "rescue",
    report="a",
    question="What lets a 38-layer VGG train?",
    entries=(
        Entry(VGG08, "VGG-08", {"val_accuracy": 0.4848, "train_accuracy": 0.5524, "test_accuracy": 0.4995}),
        Entry(VGG38, "VGG-38", {"val_accuracy": 0.0096, "train_accuracy": 0.0098, "test_accuracy": 0.0100}),
        Entry(BN, "BN", {"val_accuracy": 0.4616}),
        Entry(RESIDUAL, "residual", {"val_accuracy": 0.5728}),
        Entry(BN_RESIDUAL, "BN+residual", {"val_accuracy": 0.6212, "train_accuracy": 0.8410, "test_accuracy": 0.6112}),
    ),
    claims=(
        Claim(
            "VGG-38 as it is stays at chance, VGG-08 learns",
            "report a, section 2",
            all_of(at_chance("VGG-38"), learns("VGG-08")),
        ),
        Claim(
            "Residual connections train better than BatchNorm",
            "report a, section 4",
            higher("residual", "BN", metric="val_accuracy"),
        ),
        Claim(
            "Residual connections cost less time and storage than BatchNorm",
            "report a, section 4",
            all_of(
                lower("residual", "BN", metric="seconds_per_epoch_ratio"),
                lower("residual", "BN", metric="peak_memory"),
                lower("residual", "BN", metric="parameters"),
            ),
        ),
        Claim(
            "BatchNorm and residual connections together are best",
            "report a, section 4",
            best("BN+residual", ("VGG-08", "VGG-38", "BN", "residual"), metric="val_accuracy"),
        ),
    ),
    columns=("train_accuracy", "val_accuracy", "best_val_accuracy", "test_accuracy", "gap", "peak_memory"),
    notes=("VGG-08 and VGG-38: train and test accuracy are those published with the course framework.",),
)

STUDIES = (RESCUE,)
