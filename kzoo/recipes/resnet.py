"""Recipes of report e: ResNets of 10 to 48 layers under 5M parameters, CIFAR-10.

45,000 / 5,000 / 10,000 images, batch 128, 50 epochs, SGD with Nesterov momentum 0.9, rate 0.1 times 0.9 per epoch,
coupled L2 1e-3, pad-crop and flips (report e section 2). Our choices: the rates of Adagrad and Adadelta, penalty
strengths other than 1e-3, and mixup's alpha.
"""

from __future__ import annotations

from kzoo.data.augmentation.spec import Flip, GaussianNoise, Mixup, PadCrop
from kzoo.data.splits import Split
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import (
    Adadelta,
    Adagrad,
    ChannelStatistics,
    CosineRestarts,
    Exponential,
    Momentum,
    Nesterov,
    Plateau,
    Step,
)

CROP_FLIP = (PadCrop(padding=4), Flip(horizontal=0.5))

RESNET24 = Recipe(
    "resnet/resnet24",
    model="resnet24",
    dataset="cifar10",
    split=Split(validation=5000),
    augmentation=CROP_FLIP,
    normalization=ChannelStatistics(mean=(0.491, 0.482, 0.447), std=(0.247, 0.243, 0.261)),
    optimizer=Nesterov(learning_rate=0.1, momentum=0.9),
    schedule=Exponential(factor=0.9),
    l2=1e-3,
    epochs=50,
    batch_size=128,
    ties="first",
)
RESNETS = tuple(RESNET24.derive(f"resnet/resnet{depth}", model=f"resnet{depth}") for depth in (10, 16, 24, 48))

OPTIMIZERS = {
    "nesterov": Nesterov(learning_rate=0.1),
    "momentum": Momentum(learning_rate=0.1),
    "adagrad": Adagrad(),
    "adadelta": Adadelta(),
}
RESNET_OPTIMIZERS = tuple(
    RESNET24.derive(f"resnet-optimizers/resnet{depth}-{name}", model=f"resnet{depth}", optimizer=optimizer)
    for depth in (10, 16, 24, 48)
    for name, optimizer in OPTIMIZERS.items()
)
SCHEDULES = {
    "exponential": Exponential(factor=0.9),
    "step": Step(every=20, factor=0.1),
    "cosine-restarts": CosineRestarts(period=20),
    "plateau": Plateau(patience=3, factor=0.5),
}
RESNET_SCHEDULES = tuple(
    RESNET24.derive(f"resnet-schedules/{name}", schedule=schedule) for name, schedule in SCHEDULES.items()
)
RESNET_PENALTIES = (
    RESNET24.derive("resnet-penalties/none", l2=0.0),
    *(RESNET24.derive(f"resnet-penalties/l2-{strength:g}", l2=strength) for strength in (1e-4, 1e-3, 1e-2)),
    *(RESNET24.derive(f"resnet-penalties/l1-{strength:g}", l1=strength, l2=0.0) for strength in (1e-6, 1e-5, 1e-4)),
)
# The builder's defaults (ReLU, the original order) are left out, so that equal networks are one run.
RESNET_ACTIVATIONS = (
    RESNET24.derive("resnet-activations/relu"),
    *(
        RESNET24.derive(f"resnet-activations/{name}", model_options={"activation": name})
        for name in ("relu6", "leaky_relu", "elu", "swish")
    ),
)
RESNET_BLOCKS = (
    RESNET24.derive("resnet-blocks/original"),
    *(
        RESNET24.derive(f"resnet-blocks/{order}", model_options={"block_order": order})
        for order in ("bn-after-add", "relu-before-add", "relu-only-preactivation", "full-preactivation")
    ),
)
# The report does not say whether its noise of variance 1 is added to pixels or normalised images: we do the latter.
AUGMENTATIONS = {
    "none": (),
    "crop-flip": CROP_FLIP,
    "crop-flip-vertical": (PadCrop(padding=4), Flip(horizontal=0.5, vertical=0.5)),
    "crop-flip-noise": (*CROP_FLIP, GaussianNoise(std=1.0, space="normalized")),
}
RESNET_AUGMENTATION = tuple(
    RESNET24.derive(f"resnet-augmentation/{name}", augmentation=changes) for name, changes in AUGMENTATIONS.items()
)
RESNET_MIXUP = tuple(
    RESNET24.derive(f"resnet-mixup/{name}", augmentation=(*changes, Mixup(alpha=1.0)))
    for name, changes in AUGMENTATIONS.items()
)

RECIPES = (
    *RESNETS,
    *RESNET_OPTIMIZERS,
    *RESNET_SCHEDULES,
    *RESNET_PENALTIES,
    *RESNET_ACTIVATIONS,
    *RESNET_BLOCKS,
    *RESNET_AUGMENTATION,
    *RESNET_MIXUP,
)
