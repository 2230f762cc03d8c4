"""Future work of the reports: studies that their conclusions propose but do not include."""

from __future__ import annotations

from kzoo.studies.claims import Alike, AllOf, Best, Higher, NoGain
from kzoo.studies.study import Study, claims, entries

COLUMNS = ("train_accuracy", "val_accuracy", "best_val_accuracy", "test_accuracy", "gap", "parameters")
BN_RESIDUAL = {"train_accuracy": 0.8410, "val_accuracy": 0.6212, "test_accuracy": 0.6112}

DENSENET = Study(
    "densenet",
    report="a",
    question="Is a DenseNet better than VGG-38 with BatchNorm and residual connections?",
    entries=entries(
        {
            "BN+residual": "rescue/bn-residual",
            "DenseNet-40-12": "densenet/densenet-40-12",
            "DenseNet-BC-40-16": "densenet/densenet-bc-40-16",
            "DenseNet-BC-100-12": "densenet/densenet-bc-100-12",
            "BN+residual, final": "regularise/erasing-l2",
            "DenseNet-BC-40-16, final": "densenet/densenet-bc-40-16-erasing-l2",
            "DenseNet-BC-100-12, final": "densenet/densenet-bc-100-12-erasing-l2",
        },
        {"BN+residual": BN_RESIDUAL, "BN+residual, final": {"val_accuracy": 0.6589, "test_accuracy": 0.6541}},
    ),
    claims=claims(
        {
            "report a, section 7 (future work)": {
                "At similar size, a DenseNet beats BatchNorm with residual connections": Higher(
                    "DenseNet-BC-40-16", "BN+residual"
                ),
                "At similar size and with the same training, a DenseNet beats the final model": Higher(
                    "DenseNet-BC-40-16, final", "BN+residual, final"
                ),
            },
            "Huang et al. 2017": {
                "A deeper DenseNet is better still": AllOf(
                    Higher("DenseNet-BC-100-12", "DenseNet-BC-40-16"),
                    Higher("DenseNet-BC-100-12, final", "DenseNet-BC-40-16, final"),
                ),
                "With bottlenecks and compression, a DenseNet needs fewer parameters for the same accuracy": AllOf(
                    NoGain("DenseNet-40-12", "DenseNet-BC-40-16"), NoGain("DenseNet-40-12", "DenseNet-BC-100-12")
                ),
            },
        }
    ),
    columns=(*COLUMNS, "peak_memory"),
    notes=(
        "All networks are trained as in report a, so only the network differs; 'final' means trained like the report's "
        "final model, with random erasing and L2 1e-3. Huang et al. trained for 300 epochs with SGD on all 50,000 "
        "images, so their 77.73% for DenseNet-BC-100-12 is not comparable.",
        "DenseNet-BC-40-16 has about the parameters, multiply-adds and depth of VGG-38 with BatchNorm.",
        "DenseNets are initialised as in the paper (He et al. 2015), and VGG-38 as in PyTorch and report a.",
        "The 82.62% that report a quotes for a DenseNet belongs to the largest one in the paper.",
    ),
)

LOSSLESS = {
    f"{reduction}, {'no' if shortcut == 'none' else shortcut} shortcut": f"lossless-reduction/{reduction}-{shortcut}"
    for reduction in ("average", "max", "strided", "space-to-depth")
    for shortcut in ("none", "pooled", "projected")
}
AS_REPORTED = "average, no shortcut"
LOSSLESS_REDUCTION = Study(
    "lossless-reduction",
    report="a",
    question="Does a reduction that loses less information improve the residual network?",
    entries=entries(LOSSLESS, {AS_REPORTED: BN_RESIDUAL}),
    claims=claims(
        {
            "report a, section 7 (future work)": {
                "A reduction that keeps every value is better than average pooling": Higher(
                    "space-to-depth, no shortcut", AS_REPORTED
                ),
                "A shortcut across the reduction is better than none": AllOf(
                    Higher("average, pooled shortcut", AS_REPORTED), Higher("average, projected shortcut", AS_REPORTED)
                ),
                "A strided convolution is better than average pooling": Higher("strided, no shortcut", AS_REPORTED),
            }
        }
    ),
    columns=COLUMNS,
    notes=(
        "The network is VGG-38 with BatchNorm and residual connections, trained as in the study rescue. 'Average, no "
        "shortcut' is that study's BN+residual.",
        "After space-to-depth, the next convolution has four times as many input channels, and so more parameters.",
    ),
)

GRID = {
    f"{kernel}x{kernel}, stride {stride}": f"kernel-stride/k{kernel}-s{stride}"
    for kernel in (3, 5, 7)
    for stride in (1, 2)
}
REFERENCE = "3x3, stride 1"
KERNEL_STRIDE = Study(
    "kernel-stride",
    report="b",
    question="Would another kernel size or stride let VGG-38 with BatchNorm generalise better?",
    entries=entries(GRID, {REFERENCE: {"train_accuracy": 0.5829, "val_accuracy": 0.5024, "test_accuracy": 0.4942}}),
    claims=claims(
        {
            "report b, section 7 (future work)": {
                "3x3 kernels with stride 1 are best": Best(REFERENCE, tuple(GRID)),
                "Larger kernels gain nothing": AllOf(
                    NoGain("5x5, stride 1", REFERENCE), NoGain("7x7, stride 1", REFERENCE)
                ),
            }
        }
    ),
    columns=COLUMNS,
    notes=("The stride is that of the entry convolution: with stride 2, all later maps have a quarter of the area.",),
)

FULLY_CONNECTED = Study(
    "fully-connected",
    report="a",
    question="Are deep convolutional networks necessary for digits?",
    entries=entries(
        {
            "MLP": "fully-connected/mlp",
            "LeNet": "fully-connected/lenet2-max",
            "VGG-08": "fully-connected/vgg08",
            "VGG-38": "fully-connected/vgg38",
            "VGG-38 BN+residual": "fully-connected/vgg38-bn-res",
        }
    ),
    claims=claims(
        {
            "report a, section 7 (future work)": {
                "Convolution is needed: small convolutional networks beat the fully connected one": AllOf(
                    Higher("LeNet", "MLP"), Higher("VGG-08", "MLP")
                ),
                "Depth is not needed: a deep network gains nothing over VGG-08": NoGain("VGG-38 BN+residual", "VGG-08"),
                "All except the plain VGG-38 are equally accurate (within 1 point: our bound)": Alike(
                    ("MLP", "LeNet", "VGG-08", "VGG-38 BN+residual"), within=0.01
                ),
            }
        }
    ),
    columns=COLUMNS,
    notes=(
        "The networks train for 20 epochs on the ten digit classes of EMNIST balanced, resized to 32x32 pixels; the "
        "report names MNIST.",
        "Our EMNIST is a different selection of images from the published one; each record contains the sizes.",
    ),
)

STUDIES = (DENSENET, LOSSLESS_REDUCTION, KERNEL_STRIDE, FULLY_CONNECTED)
