"""Report d's layers x filters x reduction: LeNets on EMNIST (balanced classes).

    kzoo search tuning/lenet_layers_filters_reduction.py --workers 2

The report compares max, average and dilated reduction at one to four layers with 32 filters, and max and average at 64:
dilated beats both, and is best at two layers. A grid tries all 32 combinations. "strided" comes from the framework that
the report used. `--trials 12` tries the first twelve combinations; `--tuner random` draws 20 at random.
"""

import kzoo

search = kzoo.Search(
    "lenet-layers-filters-reduction",
    "reduction/lenet2-max",
    {
        "model_options.reduction": kzoo.Choice("max", "average", "strided", "dilated"),
        "model_options.layers": kzoo.IntRange(1, 4),
        "model_options.filters": kzoo.Choice(32, 64),
    },
    tuner="grid",
)
