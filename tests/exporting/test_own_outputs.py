"""What a file is to give is compared with the network's own raw outputs: an export that misreads them is refused."""

from pathlib import Path

import keras
import pytest

from kzoo.errors import RunFailed
from kzoo.exporting import interface
from kzoo.exporting.export import export
from kzoo.introspection.outputs import Outputs

pytestmark = pytest.mark.usefixtures("eagerly")

# How the network ends, what the export takes that for, and what is asked of it.
MISREAD = {
    "a softmax for logits": ("softmax", 5, "logits", "probabilities"),
    "logits for a softmax": ("linear", 5, "softmax", "probabilities"),
    "sigmoids for logits": ("sigmoid", 5, "logits", "probabilities"),
    "a softmax for logits, as it is": ("softmax", 5, "logits", "logits"),
    "sigmoids for a softmax": ("sigmoid", 5, "softmax", None),
}


def network(ending, units):
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 50)(image))
    return keras.Model(image, keras.layers.Dense(units, activation=ending)(flat))


@pytest.mark.backend
@pytest.mark.parametrize("case", MISREAD)
def test_misread_outputs_are_refused(case, monkeypatch):
    ending, units, kind, outputs = MISREAD[case]
    model = network(ending, units)
    right = export(model, "right.keras", outputs=None)
    assert right.parity.largest_difference < 1e-4
    misread = Outputs(kind, units, model, kind == "logits")
    monkeypatch.setattr(interface, "read_outputs", lambda model: misread)
    with pytest.raises(RunFailed, match="the kind of the model's outputs was misread; nothing was written"):
        export(model, "net.keras", outputs=outputs)
    assert not Path("net.keras").exists()
