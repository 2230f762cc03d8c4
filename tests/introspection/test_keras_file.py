"""Models in .keras files, and files that are none."""

import shutil
from pathlib import Path

import keras
import pytest

from kzoo.diagnostics.doctor import doctor
from kzoo.errors import InputError
from kzoo.exporting.export import export
from kzoo.exporting.predicting import Classifier
from kzoo.introspection.keras_file import load_keras_file


@pytest.mark.parametrize(
    "opened",
    [load_keras_file, doctor, Classifier, lambda path: export(path, "copy.onnx")],
    ids=["load_keras_file", "doctor", "Classifier", "export"],
)
def test_capital_suffix_is_refused_with_the_remedy_by_all_that_open_files(opened):
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    model.save("net.keras")
    shutil.copy("net.keras", "NET.KERAS")

    with pytest.raises(InputError, match=r"'NET\.KERAS': Keras loads .* ends in '\.keras': rename it"):
        opened("NET.KERAS")
    assert load_keras_file("net.keras").count_params() == model.count_params()
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["NET.KERAS", "net.keras"]
