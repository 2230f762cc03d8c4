"""Variables that do not move any more get no gradients, and everything else is trained to the same bits."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.recipes.settings import Muon, Nesterov
from kzoo.training.optimization import fixed_variables
from kzoo.training.optimization.optimizers import build_optimizer
from kzoo.training.training_view import training_view

BASE = {
    "model": "fastnet-s",
    "model_options": {"widths": (8, 16)},
    "dataset": "digits",
    "train_size": 200,
    "epochs": 4,
    "batch_size": 100,
    "seed": 0,
    "tta": None,
    "augmentation": (),
}
ENDING = {"whitening/bias": {"last_epoch": 1}, "stage1_conv1*": {"factor": 2, "last_epoch": 2}, "logits/kernel": 0}
FIELDS = [
    {"optimizer": Muon(sgd_rate=5.0, sgd_decay=2e-4), "lookahead": {"every": 2}},
    {"optimizer": Nesterov(learning_rate=0.05, momentum=0.9), "l2": 1e-3, "ema": 0.9},
]


def compiled(fields):
    """A compiled model, and its fixed variables."""
    recipe = kzoo.Recipe("test/fixed", **{**BASE, **fields}).resolved()
    view, _ = training_view(kzoo.create_model("fastnet-s", input_shape=(8, 8, 1), classes=10, widths=(8, 16)))
    optimizer = build_optimizer(recipe, 2)
    optimizer.build(view.trainable_variables)
    view.compile(optimizer, "mse")
    return view, fixed_variables.FixedVariables(recipe, view)


def check_same_bits(fields, tmp_path, monkeypatch):
    recipe = kzoo.Recipe("test/fixed", rate_multipliers=ENDING, **BASE, **fields)
    shorter = kzoo.train(recipe, directory=tmp_path / "shorter", progress=False)
    monkeypatch.setattr(fixed_variables, "_independent", lambda recipe: False)
    full = kzoo.train(recipe, directory=tmp_path / "full", progress=False)
    assert shorter.history.keys() == full.history.keys()
    for name in shorter.history.keys() - {"seconds"}:
        assert shorter.history[name] == full.history[name], name
    for a, b in zip(shorter.model.weights, full.model.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    assert all(variable.trainable for variable in shorter.model.get_layer("logits").trainable_variables)


@pytest.mark.usefixtures("eagerly_once")
@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: fields["optimizer"].kind)
def test_the_others_are_trained_to_the_same_bits(fields, tmp_path, monkeypatch):
    check_same_bits(fields, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: fields["optimizer"].kind)
def test_the_others_are_trained_to_the_same_bits_in_graphs(fields, tmp_path, monkeypatch):
    check_same_bits(fields, tmp_path, monkeypatch)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow leaves gradients out")
def test_fixed_variables_get_no_gradients():
    view, fixed = compiled({"rate_multipliers": ENDING})
    assert {epoch: sorted(v.path for v in group) for epoch, group in fixed.from_epoch.items()} == {
        0: ["logits/kernel"],
        1: ["whitening/bias"],
        2: ["stage1_conv1/kernel", "stage1_conv1_bn/beta"],
    }
    assert [fixed.next_change(epoch, 4) for epoch in range(4)] == [1, 2, 4, 4]
    assert fixed.next_change(0, 1) == 1

    every = [variable.path for variable in view.trainable_variables]
    updated = []
    view.optimizer.apply_gradients = lambda pairs: updated.append([variable.path for _, variable in pairs])
    images, labels = np.zeros((4, 8, 8, 1), "float32"), np.zeros((4, 10), "float32")
    for epoch, without in ((0, 1), (1, 2), (3, 4)):
        with fixed.without_gradients(epoch):
            view.fit(images, labels, verbose=0)
        missing = {v.path for begin, group in fixed.from_epoch.items() if begin <= epoch for v in group}
        assert updated.pop() == [path for path in every if path not in missing]
        assert len(missing) == without
    view.fit(images, labels, verbose=0)
    assert updated.pop() == every


@pytest.mark.parametrize(
    "fields",
    [{"clip_norm": 1.0}, {"precision": "mixed_float16"}, {"optimizer": "kzoo_test_optimizers:sgd"}],
    ids=["clip_norm", "float16", "custom"],
)
def test_all_gradients_are_computed_where_one_can_change_the_others(fields, tmp_path, monkeypatch):
    (tmp_path / "kzoo_test_optimizers.py").write_text(
        "import keras\n\n\ndef sgd(learning_rate):\n    return keras.optimizers.SGD(learning_rate)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    _, fixed = compiled({"rate_multipliers": ENDING, **fields})
    assert fixed.from_epoch == {}


@pytest.mark.usefixtures("eagerly_once")
def test_a_run_whose_variables_all_stop_ends_as_it_should(tmp_path):
    recipe = kzoo.Recipe("test/stop", optimizer="momentum", **BASE, rate_multipliers={"*": {"last_epoch": 1}})
    run = kzoo.train(recipe, directory=tmp_path / "all", progress=False)
    loss = run.history["val_loss"]
    one = kzoo.train(recipe.override(epochs=1), directory=tmp_path / "one", progress=False)
    assert loss[0] == one.history["val_loss"][0]
    assert len(loss) == 4
    trained, kept = run.model.trainable_variables, one.model.trainable_variables
    for a, b in zip(trained, kept, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
