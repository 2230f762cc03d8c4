"""Future work of report b: kernel size and stride of VGG-38 with BatchNorm on CIFAR-100.

    kzoo search tuning/vgg38_kernel_stride.py

The search tries all twelve combinations. A kernel of 7 needs five times as many multiply-adds as one of 3, and a stride
of 2 at the entry saves three quarters. The limit rejects networks that need more than three times as many multiply-adds
as the report's network, because they could not be compared at similar cost.
"""

import kzoo

search = kzoo.Search(
    "vgg38-kernel-stride",
    "batchnorm/baseline",
    {
        "model_options.kernel_size": kzoo.Choice(3, 5, 7),
        "model_options.entry_stride": kzoo.Choice(1, 2),
        "model_options.reduction": kzoo.Choice("average", "strided"),
    },
    tuner="grid",
    max_multiply_adds=450_000_000,
)
