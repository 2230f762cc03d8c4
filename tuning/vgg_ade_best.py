"""A search for report c's 'best model': depth, kernels, pooling, dropout and augmentation together, on CIFAR-10.

    kzoo search tuning/vgg_ade_best.py --minutes 600

The report chose one setting at a time: depth E, BatchNorm, kernels of 3, dropout 0.4, average pooling (in the text) or
max pooling (in the code), four times the images. Hyperband instead spends most epochs on promising trials; a promoted
trial resumes from its checkpoint.
"""

import kzoo

search = kzoo.Search(
    "vgg-ade-best",
    "pruned-best/average",
    {
        "model": kzoo.Choice("vgg-a-bn", "vgg-d-bn", "vgg-e-bn"),
        "model_options.kernel_size": kzoo.Choice(3, 5),
        "model_options.pooling_type": kzoo.Choice("average", "max"),
        "model_options.dropout": kzoo.Range(0.0, 0.6, step=0.1),
        "optimizer.learning_rate": kzoo.Range(1e-4, 1e-2, log=True),
        "expansions": kzoo.Choice((), ("mirror",), ("mirror", "contrast", "median"), labels=("none", "mirror", "4x")),
    },
    tuner="hyperband",
    max_parameters=12_000_000,
)
