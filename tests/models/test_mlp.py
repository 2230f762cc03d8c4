"""The fully connected network."""

import keras
import pytest

from kzoo.models import MLP
from tests.harness import check_call


def test_layers():
    model = MLP(hidden=(7, 5), activation="elu", dropout=0.2, input_shape=(4, 3, 2), classes=6)
    assert [layer.name for layer in model.layers] == [
        "image", "flatten", "hidden1", "hidden1_act", "hidden1_dropout",
        "hidden2", "hidden2_act", "hidden2_dropout", "logits", "predictions",
    ]  # fmt: skip
    assert model.count_params() == 25 * 7 + 8 * 5 + 6 * 6
    check_call(model)


def test_no_dropout_by_default():
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in MLP(hidden=(3,)).layers)


@pytest.mark.parametrize("shape", [(28, 28, 1), (1, 1, 1)])
def test_any_fixed_shape(shape):
    assert MLP(input_shape=shape).input_shape == (None, *shape)
