"""Recipes of report c: pruned VGG A, D and E on CIFAR-10.

Where the report gives no rate, we assume Chainer's defaults. Its text sets 20% of the training images aside for
validation, its code none: we follow the text. Inputs lie in [0, 1] (inferred from its contrast stretch). The report
states 400 epochs and batch 500 for its final network only, so all recipes use these.
"""

from __future__ import annotations

from kzoo.data.splits import Split
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import Adam, ChannelStatistics, Momentum, RMSprop

UNIT_RANGE = ChannelStatistics(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

VGGA = Recipe(
    "depth/vgg-a",
    model="vgg-a",
    dataset="cifar10",
    split=Split(validation=0.2),
    augmentation=(),
    normalization=UNIT_RANGE,
    optimizer=Adam(learning_rate=1e-3),
    epochs=400,
    batch_size=500,
    ties="first",
)
VGGE_BN = VGGA.derive("batchnorm-cost/vgg-e-bn", model="vgg-e-bn")

DEPTH = (VGGA, VGGA.derive("depth/vgg-d", model="vgg-d"), VGGA.derive("depth/vgg-e", model="vgg-e"))
BATCHNORM_COST = tuple(
    VGGA.derive(f"batchnorm-cost/{model}", model=model)
    for model in ("vgg-a", "vgg-a-bn", "vgg-d", "vgg-d-bn", "vgg-e", "vgg-e-bn")
)
# A builder's default is left out here and below, so that equal networks are one run.
DROPOUT_RATES = (
    VGGE_BN.derive("dropout/0"),
    *(VGGE_BN.derive(f"dropout/{rate:g}", model_options={"dropout": rate}) for rate in (0.2, 0.3, 0.4, 0.5)),
)
DROPOUT_PLACEMENTS = tuple(
    VGGE_BN.derive(f"dropout/0.4-{placement}", model_options={"dropout": 0.4, "dropout_placement": placement})
    for placement in ("pools", "hidden")
)
# Can BatchNorm replace dropout, as the report says? Networks without BatchNorm, with and without dropout.
DROPOUT_WITHOUT_BN = (
    DEPTH[2].derive("dropout/0-without-bn"),
    DEPTH[2].derive("dropout/0.4-without-bn", model_options={"dropout": 0.4}),
)
DROPOUT = (*DROPOUT_RATES, *DROPOUT_PLACEMENTS, *DROPOUT_WITHOUT_BN)
OPTIMIZERS = {"adam": Adam(), "momentum": Momentum(), "rmsprop": RMSprop()}
POOLING_OPTIMIZER = tuple(
    VGGE_BN.derive(f"pooling-optimizer/{pooling}-{name}", model_options=options, optimizer=optimizer)
    for pooling, options in (("max", {}), ("average", {"pooling_type": "average"}))
    for name, optimizer in OPTIMIZERS.items()
)
FILTER_SIZE = (
    VGGE_BN.derive("filter-size/3"),
    *(VGGE_BN.derive(f"filter-size/{size}", model_options={"kernel_size": size}) for size in (5, 7)),
)
FOUR_TIMES = ("mirror", "contrast", "median")
AUGMENTATION = (
    VGGE_BN.derive("augmentation/none"),
    VGGE_BN.derive("augmentation/4x", expansions=FOUR_TIMES),
    VGGE_BN.derive("augmentation/rotations", expansions=("rotations",)),
)
# The text names average pooling as best, but the printed code uses max.
PRUNED_BEST = tuple(
    VGGE_BN.derive(f"pruned-best/{pooling}", model_options={"dropout": 0.4, **options}, expansions=FOUR_TIMES)
    for pooling, options in (("average", {"pooling_type": "average"}), ("max", {}))
)

RECIPES = (*DEPTH, *BATCHNORM_COST, *DROPOUT, *POOLING_OPTIMIZER, *FILTER_SIZE, *AUGMENTATION, *PRUNED_BEST)
