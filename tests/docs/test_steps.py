"""The plain Keras column of docs/steps.md runs: on small data, with few epochs and a small network."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

CODE = Path(__file__).parents[2] / "docs" / "tables" / "keras_steps.py"
STEPS = 14
# Replacements in the code that make it faster.
BUDGET = {
    "[:5000]": "[:20]",
    "[5000:]": "[20:]",
    "epochs=20": "epochs=1",
    "epochs=5": "epochs=1",
    "range(50)": "range(2)",
    "max_trials=20": "max_trials=2",
}


def small(name, map_name):
    """A function that takes the arguments of `keras.applications` and builds a small network."""

    def build(weights="imagenet", input_shape=(224, 224, 3), classes=1000, include_top=True, pooling=None):
        image = keras.Input(input_shape)
        maps = keras.layers.Conv2D(4, 3, strides=8, activation="relu", name=map_name)(image)
        outputs = keras.layers.GlobalAveragePooling2D()(maps)
        if include_top:
            outputs = keras.layers.Dense(classes, activation="softmax")(outputs)
        return keras.Model(image, outputs, name=name)

    return build


@pytest.fixture
def data(monkeypatch):
    """CIFAR-10, SVHN, pictures and curves, all small, in the working directory."""
    tfds = pytest.importorskip("tensorflow_datasets")
    rng = np.random.default_rng(0)
    parts = [(rng.integers(0, 256, (n, 32, 32, 3), "uint8"), rng.integers(0, 10, (n, 1), "uint8")) for n in (60, 70)]
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: parts)

    # Use the version that tensorflow-datasets has for this name, so that it takes the dataset as prepared.
    tfds.disable_progress_bar()
    features = {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    examples = [(i, {"id": str(i), "image": image, "label": i % 10}) for i, image in enumerate(parts[0][0])]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="svhn_cropped",
        version=str(tfds.builder_cls("svhn_cropped").VERSION),
        data_dir="data",
        split_datasets={"train": examples, "test": examples[:10], "extra": examples[:5]},
        features=tfds.features.FeaturesDict(features),
        disable_shuffling=True,
    )
    for index in range(10):
        folder = Path("pictures", ("cat", "dog")[index % 2])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(parts[0][0][index]).save(folder / f"{index}.png")
    for name in ("one", "two", "three"):
        Path(f"{name}.csv").write_text("epoch,val_accuracy\n0,0.1\n1,0.2\n")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # warnings come from other libraries
def test_plain_keras_runs(data, monkeypatch):
    for module in ("keras_tuner", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module)
    real = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=10)
    assert real.name == "resnet50"
    assert real.get_layer("conv4_block6_out").output.shape[1:3] == (2, 2)
    monkeypatch.setattr(keras.applications, "ResNet50", small("resnet50", "conv4_block6_out"))
    monkeypatch.setattr(keras.applications, "MobileNetV3Small", small("mobile", "last"))

    text = CODE.read_text(encoding="utf-8")
    for full, short in BUDGET.items():
        assert full in text
        text = text.replace(full, short)
    first, *steps = re.split(r"^# \[\d+\]$", text, flags=re.MULTILINE)
    assert len(steps) == STEPS
    namespace = {"__name__": "steps"}
    for number, step in enumerate((first, *steps)):
        exec(compile(step, f"step {number}", "exec"), namespace)

    written = {"best.keras", "compared.svg", "confusion.png", "gradients.svg", "0-map.png", "9-map.png", "model.onnx"}
    assert written <= {path.name for path in Path().iterdir()}
    assert len(namespace["scores"]) == 3
    assert len(namespace["tuner"].oracle.trials) == 2
    assert namespace["shares"].shape == (1, 10)
