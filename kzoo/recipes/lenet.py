"""Recipes of report d: LeNets with max, average, strided or dilated reduction, EMNIST balanced.

Adam 1e-3, coupled L2 1e-5, batch 100, 100 epochs, no augmentation; train and test are pooled and split again into
76 / 12 / 12% (report d section 4). "Strided" is in the course framework, not in the report.
"""

from __future__ import annotations

from kzoo.data.splits import Split
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import Adam

LENET = Recipe(
    "reduction/lenet1-max",
    model="lenet1-max",
    dataset="emnist",
    split=Split(validation=0.12, test=0.12),
    augmentation=(),
    optimizer=Adam(learning_rate=1e-3),
    l2=1e-5,
    epochs=100,
    batch_size=100,
    ties="first",
)
REDUCTIONS = ("max", "average", "strided", "dilated")
REDUCTION = tuple(
    LENET.derive(f"reduction/lenet{layers}-{kind}", model=f"lenet{layers}-{kind}")
    for layers in (1, 2, 3, 4)
    for kind in REDUCTIONS
)
REDUCTION_64 = tuple(recipe.derive(f"{recipe.name}-64", model_options={"filters": 64}) for recipe in REDUCTION)
# Does max pooling favour coloured texture, as report d supposes? On CIFAR-10's published split.
REDUCTION_CIFAR10 = tuple(
    recipe.derive(f"{recipe.name}-cifar10", dataset="cifar10", split=Split()) for recipe in REDUCTION
)

RECIPES = (*REDUCTION, *REDUCTION_64, *REDUCTION_CIFAR10)
