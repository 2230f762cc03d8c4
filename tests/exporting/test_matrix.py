"""Every variant in every format, folded and not. CI tests one of each kind; KZOO_EXPORT_MATRIX=all tests all."""

import os

import keras
import pytest

from kzoo.exporting.export import export
from kzoo.models import create_model, list_models
from tests.exporting.conftest import on_tensorflow
from tests.harness import randomize

pytestmark = [pytest.mark.slow, on_tensorflow]
SAMPLE = ["vgg38-bn-res", "vgg-e-bn", "resnet48", "densenet-bc-100-12", "lenet4-strided", "mlp", "fastnet-l"]
WHOLE = os.environ.get("KZOO_EXPORT_MATRIX") == "all"


@pytest.mark.parametrize("name", list_models() if WHOLE else SAMPLE)
def test_variant(name):
    keras.utils.set_random_seed(6)
    model = create_model(name, mean=0.5, std=0.25)
    randomize(model)
    for format, path in (("savedmodel", "net"), ("onnx", "net.onnx"), ("litert", "net.tflite")):
        for fold in (True, False) if WHOLE else (True,):
            done = export(model, path, format, fold=fold, overwrite=True)
            assert done.output == "probabilities"
            assert done.parity.largest_difference < 1e-4
