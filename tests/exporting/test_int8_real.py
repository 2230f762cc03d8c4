"""int8 on real images: a quarter of the size, and less than a point of accuracy lost."""

import numpy as np
import pytest

import kzoo
from kzoo.exporting.formats import FORMATS, Conversion, write
from kzoo.exporting.interface import with_interface
from tests.exporting.conftest import on_tensorflow

pytestmark = on_tensorflow


@pytest.mark.data
def test_cifar10_images_are_classified_as_well_in_int8(data_dir):
    options = {"train_size": 5000, "epochs": 2, "augmentation": (), "data_dir": data_dir, "directory": "run"}
    run = kzoo.train("vgg08-bn", dataset="cifar10", progress=False, diagnostics=False, **options)
    done = kzoo.export(run, "net.tflite", quantize="int8", data_dir=data_dir)
    assert done.parity.scored == (2000, "test")
    assert done.parity.accuracy_before > 0.2
    assert done.parity.accuracy_after > done.parity.accuracy_before - 0.01
    whole = kzoo.export(run, "whole.tflite", data_dir=data_dir)
    assert whole.parity.images == {"random": 16, "test": 16}
    assert whole.bytes > 3 * done.bytes


@pytest.mark.slow
def test_a_large_network_is_a_quarter_in_int8(tmp_path):
    model = with_interface(kzoo.create_model("resnet10"), outputs=None)[0]
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")
    sizes = []
    for name, calibration in (("whole", None), ("small", images)):
        path = tmp_path / f"{name}.tflite"
        write(model, path, FORMATS["litert"], {}, Conversion(calibration))
        sizes.append(path.stat().st_size)
    assert 3.8 < sizes[0] / sizes[1] < 4.1
