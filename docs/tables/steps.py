"""Everyday steps in kzoo and in other libraries: their code, and a table of its length.

The code of plain Keras is in keras_steps.py, which a test runs.

A statement counts as one line, even if it is split over several, and so does a command. Blank lines, comments and
imports do not count. A step can use results of earlier steps (a model, data). "-" means that the library does not
support the step.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tables.text import markdown

TOOLS = ("kzoo", "Keras 3.15", "timm 1.0", "KerasHub 0.32")
WIDEST = 88
SAME = "as Keras"


def _keras() -> dict[int, str]:
    """Return the listings of plain Keras by step."""
    text = Path(__file__).with_name("keras_steps.py").read_text(encoding="utf-8")
    _, *parts = re.split(r"^# \[(\d+)\]$", text, flags=re.MULTILINE)
    return {int(number): code.strip() for number, code in zip(parts[::2], parts[1::2], strict=True)}


KERAS = _keras()

STEPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Train a known network on CIFAR-10: augmented, selected on images held back, tested once",
        (
            "$ kzoo train vgg08-bn --dataset cifar10 --epochs 20",
            KERAS[1],
            "$ python train.py --data-dir data --dataset torch/cifar10 --dataset-download \\\n"
            "    --model resnet18 --num-classes 10 --input-size 3 32 32 --epochs 20",
            """\
(x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_val, y_val, x, y = x[:5000], y[:5000], x[5000:], y[5000:]
backbone = keras_hub.models.ResNetBackbone.from_preset(
    "resnet_18_imagenet", load_weights=False
)
model = keras_hub.models.ImageClassifier(backbone=backbone, num_classes=10)
flip = layers.RandomFlip("horizontal")
data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(45000).batch(128)
data = data.map(lambda x, y: (flip(x, training=True), y))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
best = keras.callbacks.ModelCheckpoint(
    "best.keras", "val_accuracy", save_best_only=True
)
model.fit(data, epochs=20, validation_data=(x_val, y_val), callbacks=[best])
model = keras.saving.load_model("best.keras")
model.evaluate(x_test, y_test)""",
        ),
        "timm's commands are scripts in its repository. For this dataset, its validation split is the test set.",
    ),
    (
        "Resume after a kill",
        (
            "$ kzoo resume RUN",
            KERAS[2],
            "$ python train.py ... --resume output/train/RUN/last.pth.tar",
            SAME,
        ),
        "A resumed run of kzoo ends with the same bits as an uninterrupted one. The others resume from the last "
        "checkpoint (timm: the end of the last complete epoch), with the images in another order.",
    ),
    (
        "Compare three finished runs: what differs in their settings, curves on one axis",
        (
            "$ kzoo compare RUN RUN RUN --output compared.html",
            KERAS[3],
            """\
histories = {name: pandas.read_csv(f"output/{name}/summary.csv") for name in names}
for name, history in histories.items():
    pyplot.plot(history["eval_top1"], label=name)
pyplot.legend()
pyplot.savefig("compared.svg")
$ diff output/ONE/args.yaml output/OTHER/args.yaml""",
            SAME,
        ),
        "Plain Keras does not store settings to compare.",
    ),
    (
        "Mean and standard deviation over three seeds",
        (
            "$ kzoo train vgg08-bn --dataset cifar10 --epochs 20 --seeds 0,1,2",
            KERAS[4],
            """\
$ for s in 0 1 2; do python train.py ... --seed $s --experiment seed$s; done
tables = [pandas.read_csv(f"output/seed{s}/summary.csv") for s in (0, 1, 2)]
best = [table["eval_top1"].max() for table in tables]
print(numpy.mean(best), numpy.std(best, ddof=1))""",
            SAME,
        ),
        "",
    ),
    (
        "A custom augmentation (its function exists already)",
        (
            '$ kzoo train vgg08-bn --set \'augmentation=["flip", "mine:darker"]\'',
            KERAS[5],
            """\
def create_transform(**options):
    usual = timm.data.create_transform(**options)
    return torchvision.transforms.Compose([darker, usual])
timm.data.transforms_factory.create_transform = create_transform
timm.data.loader.create_transform = create_transform
runpy.run_path("train.py", run_name="__main__")""",
            "data = data.map(lambda x, y: (darker(x), y))",
        ),
        "kzoo seeds it by epoch and batch and stores a fingerprint in the record. Keras's Lambda stays in the exported "
        "model unless you remove it. timm's script has no option for it.",
    ),
    (
        "Prepare a dataset of tensorflow-datasets by its name, and train on it",
        (
            "$ kzoo data get tfds:svhn_cropped --data-dir data\n"
            "$ kzoo train vgg08-bn --dataset tfds:svhn_cropped --data-dir data",
            KERAS[6],
            "$ python train.py --data-dir data --dataset tfds/svhn_cropped --dataset-download \\\n"
            "    --model resnet18 --num-classes 10 --input-size 3 32 32 --val-split test",
            SAME,
        ),
        "kzoo reads sizes and class names from the description of the dataset.",
    ),
    (
        "Fine-tune trained weights on a directory of pictures",
        (
            "$ kzoo train vgg08 --dataset folder:pictures --image-size 32 \\\n"
            "    --weights vgg08:cifar100 --freeze 'stage1_*'",
            KERAS[7],
            "$ python train.py --data-dir pictures --model mobilenetv3_small_100 --pretrained \\\n"
            "    --num-classes 2 --epochs 5",
            """\
size = {"image_size": (224, 224), "batch_size": 32}
train, validation = keras.utils.image_dataset_from_directory(
    "pictures", validation_split=0.2, subset="both", seed=0, **size
)
model = keras_hub.models.ImageClassifier.from_preset(
    "resnet_18_imagenet", num_classes=2
)
model.fit(train, validation_data=validation, epochs=5)""",
        ),
        "timm needs directories for training and validation. The others have far more trained networks than kzoo, for "
        "larger images.",
    ),
    (
        "Classify the pictures in a directory",
        (
            "$ kzoo predict RUN pictures/",
            KERAS[8],
            "$ python inference.py --data-dir pictures --model resnet18 --checkpoint best.pth.tar \\\n"
            "    --num-classes 10 --topk 3 --label-type none",
            SAME,
        ),
        "A Keras file has no class names; timm's script prints those of ImageNet, or those of the model.",
    ),
    (
        "Confusion matrix of the test images, as a picture",
        (
            "$ kzoo confusion RUN --output confusion.png",
            KERAS[9],
            "-",
            SAME,
        ),
        "timm's `inference.py` writes a table of predictions.",
    ),
    (
        "Search a learning rate, 20 trials, two at a time, resumable",
        (
            """\
search = kzoo.Search(
    "rate", "vgg08-bn", {"optimizer.learning_rate": kzoo.Range(1e-4, 1e-1, log=True)}
)
$ kzoo search rate.py --trials 20 --workers 2""",
            KERAS[10]
            + """
$ KERASTUNER_TUNER_ID=chief KERASTUNER_ORACLE_IP=... python search.py &
$ KERASTUNER_TUNER_ID=tuner0 KERASTUNER_ORACLE_IP=... python search.py &
$ KERASTUNER_TUNER_ID=tuner1 KERASTUNER_ORACLE_IP=... python search.py""",
            "-",
            SAME,
        ),
        "Both use keras-tuner 1.4.8.",
    ),
    (
        "Why does it not learn? Gradients by layer, in words and as a picture",
        (
            "$ kzoo doctor vgg38 --dataset cifar100\n$ kzoo gradients RUN --output gradients.svg",
            KERAS[11],
            """\
images, labels = next(iter(loader))
torch.nn.functional.cross_entropy(model(images), labels).backward()
pyplot.semilogy([float(p.grad.abs().mean()) for p in model.parameters()])
pyplot.savefig("gradients.svg")""",
            SAME,
        ),
        "These work before or after training. Only kzoo explains the result and records the gradients of every epoch.",
    ),
    (
        "Grad-CAM pictures of a directory",
        (
            "$ kzoo explain RUN pictures/",
            KERAS[12],
            "-",
            SAME,
        ),
        "timm has no Grad-CAM: you need another author's package.",
    ),
    (
        "An ONNX file, checked against the network",
        (
            "$ kzoo export RUN --to onnx",
            KERAS[13],
            "$ python onnx_export.py model.onnx --model resnet18 --checkpoint best.pth.tar \\\n    --num-classes 10",
            SAME,
        ),
        "timm's script has an option that checks a forward pass.",
    ),
    (
        "Latency and throughput, one image and 64 at a time",
        (
            "$ kzoo benchmark RUN",
            KERAS[14],
            "$ python benchmark.py --model resnet18 --bench infer --batch-size 1 --device cpu\n"
            "$ python benchmark.py --model resnet18 --bench infer --batch-size 64 --device cpu",
            SAME,
        ),
        "kzoo also measures the installed runtimes of exported files.",
    ),
    (
        "A local page to try the network",
        ("$ kzoo demo RUN", "-", "-", "-"),
        "With the others, you write a few lines for a package such as Gradio.",
    ),
)


def count(code: str) -> int | None:
    """Return the number of statements and commands of a step, None if there is no code for it."""
    if code == "-":
        return None
    lines = re.sub(r"\\\n\s*", " ", code).splitlines()
    commands = [line for line in lines if line.startswith("$ ")]
    tree = ast.parse("\n".join(line for line in lines if line not in commands))
    return len(commands) + sum(isinstance(node, ast.stmt) for node in ast.walk(tree))


def table() -> str:
    """Return a table with one row per step and one column per library."""
    rows = []
    for number, (title, codes, _) in enumerate(STEPS, 1):
        cells = [count(codes[1] if code == SAME else code) for code in codes]
        rows.append((number, title, *("-" if cell is None else cell for cell in cells)))
    known = [[row[column] for row in rows] for column in range(2, 2 + len(TOOLS))]
    totals = [f"{sum(c for c in cells if c != '-')} ({sum(c != '-' for c in cells)} of {len(rows)})" for cells in known]
    return markdown(
        " | ".join(("", "step", *TOOLS)), [*rows, ("", "lines in total (number of steps)", *totals)], "llrrrr"
    )


def listings() -> str:
    """Return the counted code, step by step."""
    parts = []
    for number, (title, codes, note) in enumerate(STEPS, 1):
        parts.append(f"## {number}. {title}")
        for tool, code in zip(TOOLS, codes, strict=True):
            if code in ("-", SAME):
                continue
            kind = "sh" if all(line.startswith(("$", " ")) for line in code.splitlines()) else "text"
            parts.append(f"{tool}:\n\n```{kind}\n{code.replace('$ ', '') if kind == 'sh' else code}\n```")
        alike = [tool for tool, code in zip(TOOLS, codes, strict=True) if code == SAME]
        sentences = [f"{' and '.join(alike)}: {SAME}." if alike else "", note]
        parts.append(" ".join(text for text in sentences if text))
    return "\n" + "\n\n".join(part for part in parts if part) + "\n\n"
