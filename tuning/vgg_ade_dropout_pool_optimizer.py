"""Report c's dropout x pool x optimizer: VGG E with BatchNorm on CIFAR-10.

    kzoo search tuning/vgg_ade_dropout_pool_optimizer.py --workers 2

The report says that Adam beats momentum and RMSprop, that average pooling is better for Adam and max pooling for the
other two, and that a dropout of 0.4 is best. If dropout is on, its placement varies too: the report tried "separately
and simultaneously". The report gives no rates for momentum and RMSprop; we assume Chainer's defaults.
"""

import kzoo
from kzoo.recipes.settings import Adam, Momentum, RMSprop

RATES = (0.2, 0.3, 0.4, 0.5)

search = kzoo.Search(
    "vgg-ade-dropout-pool-optimizer",
    "batchnorm-cost/vgg-e-bn",
    {
        "model_options.dropout": kzoo.Choice(0.0, *RATES),
        "model_options.dropout_placement": kzoo.Choice(
            "both", "pools", "hidden", when={"model_options.dropout": RATES}
        ),
        "model_options.pooling_type": kzoo.Choice("max", "average"),
        "optimizer": kzoo.Choice(Adam(), Momentum(), RMSprop()),
    },
    tuner="random",
    trials=30,
    stop_poor="median",
)
