"""Report b's learning rate and batch size: VGG-38 with BatchNorm on CIFAR-100.

    kzoo search tuning/vgg38_learning_rate.py --trials 20

The report tried the rates 1e-4, 1e-3, 5e-3, 1e-2 and 4.5e-2 at batch 100, and the batches 50 and 200 at rate 1e-3
(section 5), one change at a time, and found that its baseline is best. Here the rate and the batch size vary together
with the schedule, which the report considers the cause of its result. Poor trials stop early.
"""

import kzoo
from kzoo.recipes.settings import Constant, Cosine

search = kzoo.Search(
    "vgg38-learning-rate",
    "batchnorm/baseline",
    {
        "optimizer.learning_rate": kzoo.Range(1e-4, 4.5e-2, log=True),
        "batch_size": kzoo.Choice(50, 100, 200),
        "schedule": kzoo.Choice(Cosine(minimum=2e-5), Constant(), labels=("cosine", "constant")),
    },
    tuner="bayesian",
    trials=20,
    stop_poor="median",
)
