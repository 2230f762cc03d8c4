"""Records made up for pages, and one real run."""

import pytest

from kzoo.recipes import get_recipe
from kzoo.training.records import RunRecord
from tests.conftest import graphs
from tests.studies.conftest import make

CLASSES = ["cat", "dog", "<b>bird</b>"]


def full(recipe=None, **fields):
    """A consistent record with everything that a page shows: six epochs, three classes."""
    recipe = (recipe or get_recipe("rescue/vgg38")).override(epochs=6)
    history = {
        "loss": [1.5, 1.25, 1.125, 1.0, 0.9375, 0.875],
        "accuracy": [0.25, 0.375, 0.4375, 0.5, 0.5625, 0.625],
        "val_loss": [1.375, 1.25, 1.1875, 1.15625, 1.171875, 1.25],
        "val_accuracy": [0.28125, 0.34375, 0.40625, 0.46875, 0.453125, 0.4375],
        "learning_rate": [1e-3, 9e-4, 7e-4, 4e-4, 1e-4, 2e-5],
        "seconds": [12.5, 10.25, 10.0, 10.0, 10.0, 10.0],
    }
    segment = {
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 62.75,
        "first_epoch": 1,
        "backend": "tensorflow",
        "versions": {"kzoo": "0.1.0", "keras": "3.15.1"},
        "python": "3.11.7",
        "platform": "Linux",
        "processor": "A processor",
        "processor_features": ["avx2"],
        "cores": 2,
        "devices": ["cpu:0"],
    }
    base = make(recipe, epochs=6).model_dump()
    content = {
        "history": history,
        "best_epoch": 4,
        "best": {"loss": 1.15625, "accuracy": 0.46875},
        "last": {"loss": 1.25, "accuracy": 0.4375},
        "train": {"loss": 0.875, "accuracy": 0.625},
        "test": {"loss": 1.2109375, "accuracy": 14 / 30},
        "confusion": [[8, 2, 0], [5, 5, 0], [7, 2, 1]],
        "gradient_flow": {
            "layers": ["conv1", "conv2", "logits"],
            "epochs": [0, 1, 2],
            "gradients": [[1e-6, 1e-4, 1e-2], [2e-6, 2e-4, 2e-2], [0.0, 1e-4, 1e-2]],
            "update_ratio": [[None] * 3, [1e-3, 2e-3, 3e-3], [1e-4, 1e-3, 2e-3]],
        },
        "parameters": 336196,
        "sizes": {"drawn": 1000, "train": 1000, "validation": 64, "test": 30},
        "data": {
            "fingerprint": "0123456789abcdef",
            "class_names": CLASSES,
            "image_shape": [32, 32, 3],
            "normalization": None,
            "data_dir": None,
        },
        "seconds": 62.75,
        "segments": [segment],
    }
    return RunRecord(**{**base, **content, **fields})


def undrawn(recipe=None, **fields):
    """The same without Matplotlib's figures, which take most of a page's time, for tests of the rest of a page."""
    return full(recipe, **{"gradient_flow": None, "confusion": None, **fields})


@pytest.fixture(scope="session")
def record():
    return full()


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A short run on digits with augmentation."""
    import kzoo

    directory = tmp_path_factory.mktemp("pages") / "run"
    augmentation = [{"kind": "pad_crop", "padding": 1}, {"kind": "mixup"}]
    options = {"dataset": "digits", "epochs": 2, "train_size": 100, "augmentation": augmentation}
    with graphs(made=False):
        return kzoo.train("lenet2-max", directory=directory, progress=False, expansions=["rotations"], **options)
