"""Report b's wish: a search over kernel size and stride, VGG-38 with BatchNorm on CIFAR-100.

    kzoo search tuning/vgg38_kernel_stride.py

All twelve combinations. A kernel of 7 does five times the work of one of 3 and a stride of 2 at the entry saves three
quarters, so the limit on multiply-adds turns away what could not be compared with the report's network at equal cost:
three times its work at the most.
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
