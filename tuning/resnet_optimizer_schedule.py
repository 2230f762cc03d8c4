"""Report e's optimizer x schedule x activation x penalty: ResNets under five million parameters, CIFAR-10.

    kzoo search tuning/resnet_optimizer_schedule.py --workers 2

The report varies one of these at a time: SGD and Nesterov are about eight points better than Adagrad and Adadelta,
exponential decay is most stable, no activation clearly beats ReLU, and the loss falls early with L2 while L1 converges
slowly. The search tries an L1 penalty only without L2. Widths vary within the report's limit of five million
parameters; larger networks are rejected, not trained. The rates of Adagrad and Adadelta and all penalties except L2
1e-3 are ours.
"""

import kzoo
from kzoo.recipes.resnet import OPTIMIZERS, SCHEDULES

WIDTHS = {
    "64-128-128-256": (64, 128, 128, 256),
    "64-128-256-256": (64, 128, 256, 256),
    "32-64-128-256": (32, 64, 128, 256),
}

search = kzoo.Search(
    "resnet-optimizer-schedule",
    "resnet/resnet24",
    {
        "optimizer": kzoo.Choice(*OPTIMIZERS.values(), labels=tuple(OPTIMIZERS)),
        "optimizer.learning_rate": kzoo.Range(0.01, 0.3, log=True, when={"optimizer": ("nesterov", "momentum")}),
        "schedule": kzoo.Choice(*SCHEDULES.values(), labels=tuple(SCHEDULES)),
        "model_options.activation": kzoo.Choice("relu", "relu6", "leaky_relu", "elu", "swish"),
        "model_options.channels": kzoo.Choice(*WIDTHS.values(), labels=tuple(WIDTHS)),
        "l2": kzoo.Choice(0.0, 1e-4, 1e-3, 1e-2),
        "l1": kzoo.Choice(0.0, 1e-6, 1e-5, 1e-4, when={"l2": 0.0}),
    },
    tuner="random",
    trials=40,
    stop_poor="median",
    max_parameters=5_000_000,
)
