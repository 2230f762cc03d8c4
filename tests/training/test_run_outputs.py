"""Networks that do not end in a softmax train and return the right classes, or are refused before training."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import kzoo
from kzoo.diagnostics.doctor.subject import Subject
from kzoo.diagnostics.grad_cam import grad_cam, predicted
from kzoo.diagnostics.invariance import _answers
from kzoo.errors import InputError
from kzoo.exporting.predicting import Classifier
from kzoo.introspection.gradients import parameter_gradients
from kzoo.training.prediction import predict_part

pytestmark = pytest.mark.usefixtures("eagerly")


def network(outputs, end):
    x = keras.Input((8, 8, 1), name="image")
    y = layers.Conv2D(4, 3, activation="relu", name="conv")(layers.Rescaling(1 / 255)(x))
    return keras.Model(x, end(layers.Dense(outputs, name="dense")(layers.Flatten()(y))), name="own")


SIGMOID = {"layer": layers.Activation, "operation": lambda name: ops.sigmoid}
CHANGES = {"dataset": "digits", "class_names": [0, 1], "epochs": 3, "optimizer.learning_rate": 0.03, "batch_size": 90}


@pytest.fixture(scope="module", params=["layer", pytest.param("operation", marks=pytest.mark.slow)])
def run(request, tmp_path_factory):
    """A run that distinguishes zeros and ones by one sigmoid."""
    keras.utils.set_random_seed(1)
    model = network(1, SIGMOID[request.param]("sigmoid"))
    directory = tmp_path_factory.mktemp("runs") / "sigmoid"
    return kzoo.train("vgg08-bn", model=model, directory=directory, progress=False, diagnostics=False, **CHANGES)


def test_one_sigmoid_is_two_classes_everywhere(run, tmp_path, command):
    assert run.result.test.accuracy > 0.95
    part = predict_part(run)
    raw = np.asarray(run.model.predict(part.images, verbose=0))
    assert raw.shape == (len(part.labels), 1)
    assert part.probabilities == pytest.approx(np.concatenate([1 - raw, raw], -1), abs=1e-5)
    assert (part.probabilities.argmax(-1) == part.labels).mean() == run.result.test.accuracy
    assert run.evaluate().accuracy == run.result.test.accuracy
    assert Classifier(run.directory).probabilities(part.images) == pytest.approx(part.probabilities, abs=1e-5)
    assert (predicted(run.model, part.images) == part.probabilities.argmax(-1)).all()
    assert (_answers(run.model, "sigmoid", part.images) == part.probabilities.argmax(-1)).all()

    # Its calibration covers both classes, and the doctor counts two classes.
    code, text, errors = command("calibration", run.directory, "--json")
    assert code == 0, errors
    trained = next(iter(json.loads(text)["results"].values()))
    assert trained["accuracy"] == run.result.test.accuracy
    assert trained["negative_log_likelihood"] == pytest.approx(run.result.test.loss, rel=1e-3)
    assert Subject("net", run.model, images=part.images).classes == 2

    # The loss of its gradients is the binary cross entropy.
    loss = parameter_gradients(run.model, part.images[:8], part.labels[:8], training=False).loss
    of_label = part.probabilities[np.arange(8), part.labels[:8]]
    assert loss == pytest.approx(-np.log(of_label).mean(), rel=1e-3)

    # Evidence for one class is evidence against the other.
    for_one, for_zero = (grad_cam(run.model, part.images[:8], "conv", label, upsample=False) for label in (1, 0))
    assert ((for_one > 0) & (for_zero > 0)).sum() == 0
    assert for_one.max() > 0


def test_exported_with_two_columns(run, tmp_path):
    done = kzoo.export(run, tmp_path / "net.keras")
    part = predict_part(run)
    opened = Classifier(done.path)
    assert opened.probabilities(part.images) == pytest.approx(part.probabilities, abs=1e-4)
    assert list(opened.names(2)) == ["0", "1"]


@pytest.mark.parametrize(
    ("outputs", "end", "message"),
    [
        (10, ops.sigmoid, "ends in 10 sigmoids, that is several labels for one image"),
        (1, ops.sigmoid, "gives one sigmoid, so two classes, the data has 10 classes"),
        (1, layers.Identity(), "one output without a sigmoid"),
        (10, lambda y: layers.Rescaling(100.0)(ops.softmax(y)), "neither logits nor probabilities"),
        (10, lambda y: layers.Reshape((1, 1, 10))(y), r"outputs of shape \(1, 1, 10\)"),
        (10, lambda y: {"digit": y}, r"a dictionary or several outputs \(digit\)"),
        (10, layers.Lambda(lambda y: ops.softmax(y)), "would not load again after training"),
    ],
)
def test_refused_before_it_trains(outputs, end, message, tmp_path):
    directory = tmp_path / "run"
    with pytest.raises(InputError, match=message):
        kzoo.train(
            "vgg08-bn", model=network(outputs, end), dataset="digits", epochs=1, directory=directory, progress=False
        )
    assert not (directory / "recipe.json").exists()
    assert not (directory / "initial.keras").exists()


def test_a_layer_that_loses_its_arguments_is_refused(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Times(layers.Layer):
        def __init__(self, factor=1.0, **options):
            super().__init__(**options)
            self.factor = factor

        def call(self, x):
            return x * self.factor

        def get_config(self):
            return super().get_config()

    model = network(10, lambda y: ops.softmax(Times(7.0)(y)))
    with pytest.raises(InputError, match="gives other outputs when it is copied"):
        kzoo.train("vgg08-bn", model=model, dataset="digits", epochs=1, directory=tmp_path / "run", progress=False)


def softmax_in_float32():
    """A softmax with float32 outputs, as Keras advises for mixed precision."""
    return lambda y: layers.Activation("linear", dtype="float32")(layers.Softmax()(y))


@pytest.mark.parametrize("end", [softmax_in_float32, lambda: ops.softmax, lambda: layers.Activation("linear")])
def test_the_loss_before_training_is_the_networks_own(end, tmp_path):
    """With a tiny learning rate, the record's loss is the cross entropy of the network's probabilities."""
    keras.utils.set_random_seed(0)
    model = network(10, end())
    changes = {"dataset": "digits", "train_size": 60, "epochs": 1, "optimizer.learning_rate": 1e-12, "augmentation": []}
    changes["batch_size"] = 400
    run = kzoo.train("vgg08-bn", model=model, directory=tmp_path / "run", progress=False, diagnostics=False, **changes)
    part = predict_part(run)
    outputs = np.asarray(run.model.predict(part.images, verbose=0), np.float64)
    probabilities = (
        outputs if np.allclose(outputs.sum(-1), 1, atol=1e-4) else np.exp(outputs) / np.exp(outputs).sum(-1)[:, None]
    )
    expected = -np.log(probabilities[np.arange(len(probabilities)), part.labels]).mean()
    assert run.result.test.loss == pytest.approx(expected, rel=1e-4)
    assert Path(run.directory, "result.json").exists()
