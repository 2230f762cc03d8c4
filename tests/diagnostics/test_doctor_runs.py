"""The doctor on runs and files, and its command."""

import json

import keras
import numpy as np
import pytest

import kzoo
from kzoo.diagnostics.doctor.input_check import admit
from kzoo.diagnostics.doctor.report import KINDS, Diagnosis, Finding, Note, percent, shortened
from kzoo.diagnostics.doctor.subject import Subject
from kzoo.diagnostics.doctor.training import GAP, MOVING, check_history, trial_optimizer
from kzoo.diagnostics.doctor.weights import check_batch_norm
from kzoo.errors import InputError, RunFailed
from kzoo.recipes.settings import RateMultiplier

pytestmark = pytest.mark.usefixtures("eagerly")


LITTLE = {"train_size": 60, "split": {"validation": 40, "test": 40}}


def train(directory, **changes):
    options = {"dataset": "digits", "epochs": 2, "progress": False, "diagnostics": False, **changes}
    return kzoo.train("lenet1-max", directory=directory, **options)


@pytest.fixture
def run(digits_run):
    return digits_run


def test_healthy_run(run, command):
    diagnosis = kzoo.doctor(run)
    assert diagnosis.healthy, str(diagnosis)
    assert "5 epochs" in diagnosis.subject
    fine = {note.check: note.text for note in diagnosis.fine}
    assert {"loss not moving", "train/validation gap", "learning rate"} <= set(fine)
    code, out, _ = command("doctor", run.directory)
    assert (code, "healthy" in out) == (0, True)
    for words in (("--set", "epochs=3"), ("--recipe", "vgg08")):
        code, _, err = command("doctor", run.directory, *words)
        assert (code, err) == (2, "error: a run has its own recipe: leave --recipe and --set out\n")


def test_runs_and_sets_have_their_own_dataset(run):
    with pytest.raises(InputError, match=r"run '.*' has its own recipe and dataset: leave dataset out"):
        kzoo.doctor(run, dataset="digits")
    with pytest.raises(
        InputError, match="weight set 'lenet1-max:emnist' has its own recipe and dataset: leave recipe out"
    ):
        kzoo.doctor("lenet1-max:emnist", recipe="vgg08")


def test_file_with_a_dataset(run, command):
    run.model.save("trained.keras")
    diagnosis = kzoo.doctor("trained.keras", dataset="digits")
    assert diagnosis.healthy, str(diagnosis)
    assert kzoo.doctor("trained.keras", images=run.part("test").images).healthy
    code, out, _ = command("doctor", "trained.keras", "--dataset", "digits", "--json")
    assert (code, json.loads(out)["healthy"]) == (0, True)


def test_command_prints_findings_and_exits_with_3(command):
    words = ("doctor", "lenet1-max", "--dataset", "digits", "--set", "optimizer.learning_rate=3")
    code, out, _ = command(*words)
    assert code == 3
    for word in ("1 finding", "Learning rate too high", "Seen:", "Try:", "Fine:", "Not checked:"):
        assert word in out
    code, out, _ = command(*words, "--json")
    assert code == 3
    assert [finding["kind"] for finding in json.loads(out)["findings"]] == ["learning rate too high"]


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({"schedule": "cosine"}, 0.8),
        ({"schedule": "plateau"}, 0.8),
        ({"schedule": "linear"}, 0.8),
        ({"schedule": {"kind": "one_cycle", "start": 0.25}}, 0.2),
        ({"schedule": "cosine", "warmup_epochs": 1}, 0.08),
        ({"rate_multipliers": {"logits/*": {"factor": 2, "last_epoch": 1}}}, 0.8),
    ],
)
def test_the_rate_of_the_trial_is_that_of_the_first_step(changes, rate):
    recipe = kzoo.Recipe("a/b", model="lenet1-max", batch_size=100, optimizer={"kind": "sgd", "learning_rate": 0.8})
    optimizer = trial_optimizer(recipe.override(**changes), 900)
    assert keras.ops.convert_to_numpy(optimizer.learning_rate) == pytest.approx(rate)
    for step in range(3):
        optimizer.iterations.assign(step)
        assert keras.ops.convert_to_numpy(optimizer.learning_rate) == pytest.approx(rate)


def test_the_trial_keeps_factors_of_decay_and_leaves_out_lookahead():
    changes = {"l2": 0.1, "lookahead": {}, "rate_multipliers": {"*bias": {"factor": 4, "last_epoch": 2, "decay": 0.25}}}
    optimizer = trial_optimizer(kzoo.Recipe("a/b", model="lenet1-max", **changes), 900)
    assert optimizer.multipliers.patterns == {"*bias": RateMultiplier(factor=4, decay=0.25)}
    assert optimizer.lookahead is None


@pytest.mark.slow
def test_muons_steps_are_not_too_large_where_the_loss_falls(command):
    _, out, _ = command("doctor", "fastnet-s", "--dataset", "digits", "--json", "--set", "optimizer=muon")
    assert "learning rate too high" not in [finding["kind"] for finding in json.loads(out)["findings"]]


def test_a_rate_that_will_rise_is_not_too_low(command):
    words = ("doctor", "lenet1-max", "--dataset", "digits", "--json", "--set", "optimizer=sgd")
    low = (*words, "--set", "optimizer.learning_rate=1e-8")
    _, out, _ = command(*low)
    assert [finding["kind"] for finding in json.loads(out)["findings"]] == ["learning rate too low"]
    code, out, err = command(*low, "--set", "schedule=one_cycle")
    assert (code, json.loads(out)["findings"]) == (0, []), err


@pytest.mark.slow
def test_command_on_a_deep_network(command):
    code, out, _ = command("doctor", "vgg38", "--json", "--seed", 2)
    assert code == 3
    assert [finding["kind"] for finding in json.loads(out)["findings"]] == ["vanishing gradients"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "is not a run's directory, a .keras file, or the name of a model or recipe"),
        (["vgg39"], "did you mean 'vgg38'"),
        (["missing.keras"], "does not exist"),
        (["lenet1-max", "--dataset", "digit"], "did you mean 'digits'"),
        (["lenet1-max", "--set", "epoch=3"], "did you mean 'epochs'"),
        (["lenet1-max", "--dataset", "cifar10", "--data-dir", "nowhere"], "cifar10"),
    ],
)
def test_bad_input_exits_with_2(command, words, message):
    code, out, err = command("doctor", *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_file_that_is_not_a_model(command, tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    code, _, err = command("doctor", tmp_path / "text.keras")
    assert (code, "not a Keras model" in err) == (2, True)


@pytest.mark.slow
def test_run_whose_loss_does_not_move():
    run = train("still", epochs=9, optimizer={"kind": "sgd", "learning_rate": 1e-9})
    diagnosis = kzoo.doctor("still")
    assert diagnosis.kinds == ("learning rate too low", "loss not moving")  # the cause first
    assert diagnosis.findings[1].values["epochs"] == 9
    assert diagnosis.to_dict() == kzoo.doctor(run).to_dict()


def test_json_has_no_infinity():
    finding = Finding("loss not finite", ("a",), "", {"losses": [2.0, np.inf], "change": np.float64("nan")}, "")
    written = json.loads(json.dumps(Diagnosis("net", [finding]).to_dict(), allow_nan=False))["findings"][0]
    assert (written["layers"], written["values"]) == (["a"], {"losses": [2.0, None], "change": None})


def test_run_that_failed(command):
    with pytest.raises(RunFailed):
        train("failed", optimizer={"kind": "sgd", "learning_rate": 1e30}, **LITTLE)
    diagnosis = kzoo.doctor("failed")
    assert diagnosis.kinds == ("learning rate too high", "loss not finite")
    assert "finding" in command("doctor", "failed")[1]


@pytest.mark.slow
def test_gap_between_training_and_validation():
    train("gap", epochs=20, train_size=20, optimizer={"kind": "adam", "learning_rate": 0.02})
    diagnosis = kzoo.doctor("gap")
    assert "train/validation gap" in diagnosis.kinds, str(diagnosis)


def test_unfinished_run():
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("cut", **LITTLE, callbacks=[Stop()])
    diagnosis = kzoo.doctor("cut")
    assert "not finished, 1 epoch;" in diagnosis.subject
    assert any(note.check == "loss not moving" for note in diagnosis.unchecked)


def test_run_of_a_custom_model():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    for _ in range(7):
        x = keras.layers.Dense(16, "sigmoid")(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(x), name="mine")
    kzoo.train(
        kzoo.recipe("lenet1-max").override(dataset="digits", epochs=1, **LITTLE),
        model=model,
        directory="own",
        progress=False,
        diagnostics=False,
    )
    assert "vanishing gradients" in kzoo.doctor("own").kinds


def test_what_the_recipe_freezes_stays_frozen_with_other_images(run):
    recipe = kzoo.recipe("lenet2-max").override(freeze=("block*",), dataset="digits")
    kzoo.train(recipe, epochs=1, **LITTLE, directory="frozen", progress=False, diagnostics=False)
    images = run.part("test").images[:4]
    for target, options in (("frozen", {}), ("lenet2-max", {"recipe": recipe})):
        trained = admit(target, images=images, **options).model.trainable_variables
        assert [variable.path for variable in trained] == ["logits/kernel"]


def test_a_run_has_its_own_recipe(run):
    with pytest.raises(InputError, match="its own recipe"):
        kzoo.doctor(run, dataset="digits")


@pytest.mark.data
@pytest.mark.parametrize("recipe", ["rescue/bn", "reduction/lenet2-max", "resnet/resnet10", "depth/vgg-d"])
def test_real_data_is_healthy(recipe, data_dir):
    diagnosis = kzoo.doctor(recipe, dataset=kzoo.recipe(recipe).dataset, data_dir=data_dir)
    assert diagnosis.healthy, str(diagnosis)


def test_words():
    assert percent(0.9999) == "over 99.9%"
    assert percent(0.0001) == "under 0.1%"
    assert (percent(1), percent(0), percent(0.034)) == ("100%", "0.0%", "3.4%")
    assert shortened(("a", "b")) == "a, b"
    assert shortened(tuple("abcdefg")) == "a, b, c ... g (7 in all)"
    notes = [Note("one", "no data"), Note("other", "no data")]
    assert "- one, other: no data" in str(Diagnosis("x", unchecked=notes))
    with pytest.raises(AssertionError):
        Finding("bad mood", (), "", {}, "")
    assert all(text.endswith(".") for text in KINDS.values())


@pytest.mark.parametrize(
    ("losses", "steps", "verdict"),
    [
        ([4.62, 4.55], 100, "short"),  # it has just begun to fall
        ([4.64, 4.61, 4.60, 4.58], 400, "short"),
        ([4.62, 4.61, 4.62, 4.61], 400, "still"),
        ([4.6052, 4.6051, 4.6051], 300, "still"),
        ([4.62, 4.58], 20_000, "still"),
        ([4.62, 4.20], 100, "fine"),
    ],
)
def test_training_that_was_too_short_is_not_a_fault(losses, steps, verdict):
    subject = Subject("net", kzoo.create_model("mlp", classes=100, input_shape=(4, 4, 1)), steps=steps)
    subject.history = {"loss": losses}
    diagnosis = Diagnosis("net")
    assert check_history(subject, diagnosis)
    unchecked = [note.text for note in diagnosis.unchecked if note.check != GAP]
    assert bool(diagnosis.findings) == (verdict == "still")
    assert bool(diagnosis.fine) == (verdict == "fine")
    assert bool(unchecked) == (verdict == "short")
    if verdict == "short":
        assert f"trained too short to judge: {steps} steps, and the loss still falls" in unchecked[0]


@pytest.mark.parametrize(("validation", "is_a_gap"), [(0.7, True), (0.85, False)])
def test_gap_is_reported_with_its_values(validation, is_a_gap):
    history = {"loss": [0.1], "accuracy": [1.0], "val_loss": [0.9, 1.2], "val_accuracy": [0.7, validation]}
    subject = Subject("net", kzoo.create_model("mlp", classes=10, input_shape=(4, 4, 1)), steps=500, history=history)
    diagnosis = Diagnosis("net")
    check_history(subject, diagnosis)
    assert (GAP in diagnosis.kinds) == is_a_gap
    assert GAP in (diagnosis.kinds if is_a_gap else [note.check for note in diagnosis.fine])
    if is_a_gap:
        values = diagnosis.findings[0].values
        assert (values["train"], values["validation"], values["epoch"]) == (1.0, 0.7, 1)
        assert "up from its lowest value, 0.9, in epoch 1" in diagnosis.findings[0].evidence


@pytest.mark.parametrize(
    ("fields", "losses", "fine"),
    [
        ({"class_weights": {"a": 50.0, "b": 50.0}}, [60.0, 9.6], True),  # guessing gives 50 * 0.33
        ({"class_weights": {"a": 50.0, "b": 50.0}}, [60.0, 16.3], False),
        ({"class_weights": {"a": 0.01, "b": 0.01}}, [0.00325, 0.00325], False),
        ({"class_weights": "balanced"}, [0.69, 0.6], True),  # guessing gives log 2
        ({"class_weights": "balanced"}, [0.69, 0.69], False),
        ({"label_smoothing": 0.9}, [0.695, 0.6886], True),  # from 0.6881, perfect, to 0.6911, guessing
        ({"label_smoothing": 0.9}, [0.695, 0.691], False),
    ],
)
def test_guessing_has_the_weights_and_smoothing_of_the_training_loss(fields, losses, fine):
    subject = Subject("net", kzoo.create_model("mlp", classes=2, input_shape=(4, 4, 1)), steps=2000)
    subject.class_names, subject.labels = ("a", "b"), np.repeat([0, 1], [90, 10])
    subject.history, subject.recipe = {"loss": losses}, kzoo.Recipe("a/b", model="mlp", **fields)
    diagnosis = Diagnosis("net")
    check_history(subject, diagnosis)
    assert (diagnosis.kinds, [note.check for note in diagnosis.fine]) == (((), [MOVING]) if fine else ((MOVING,), []))


@pytest.mark.parametrize(("scale", "fine"), [(9.0, True), (0.0, False)])
def test_penalties_do_not_hide_that_the_network_learned(scale, fine):
    """The network finds the bright one of four pixels, but the penalty keeps the loss above that of guessing."""
    inputs = keras.Input((2, 2, 1))
    dense = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.05))
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.kernel.assign(scale * np.eye(4))
    subject = Subject("net", model, steps=2000, history={"loss": [20.0, 17.0]})
    unknown = Diagnosis("net")
    check_history(subject, unknown)
    assert "includes penalties" in next(note.text for note in unknown.unchecked if note.check == MOVING)
    subject.labels = np.arange(64) % 4
    subject.images = np.eye(4)[subject.labels].reshape(64, 2, 2, 1)
    diagnosis = Diagnosis("net")
    check_history(subject, diagnosis)
    assert diagnosis.kinds == (() if fine else (MOVING,))
    if fine:
        assert "without penalties, the loss on some training images is 0.000" in diagnosis.fine[0].text


@pytest.mark.parametrize(("steps", "is_a_gap"), [(75, False), (3000, True)])
def test_a_moving_average_that_lags_is_no_gap(steps, is_a_gap):
    history = {"loss": [0.1], "accuracy": [1.0], "val_loss": [2.0], "val_accuracy": [0.3]}
    subject = Subject("net", kzoo.create_model("mlp", classes=10, input_shape=(4, 4, 1)), steps=steps, history=history)
    subject.recipe = kzoo.Recipe("a/b", model="mlp", ema=0.999)
    diagnosis = Diagnosis("net")
    check_history(subject, diagnosis)
    assert (GAP in diagnosis.kinds) == is_a_gap
    if not is_a_gap:
        assert "to 93% after 75 steps: train longer, or lower ema" in diagnosis.unchecked[0].text


@pytest.mark.parametrize(("ema", "kinds"), [(None, ("BatchNorm statistics",)), (0.999, ())])
def test_batch_norm_does_not_have_to_fit_a_moving_average_that_lags(ema, kinds):
    """The layer's moving averages fit other weights: with them, class 0 is predicted for every image."""
    inputs = keras.Input((1, 1, 2))
    norm = keras.layers.BatchNormalization()
    model = keras.Model(inputs, keras.layers.Activation("linear")(norm(keras.layers.Flatten()(inputs))))
    norm.set_weights([np.ones(2), np.zeros(2), np.array([-50.0, 0.0]), np.ones(2)])
    subject = Subject("net", model, steps=75, recipe=kzoo.Recipe("a/b", model="mlp", ema=ema))
    subject.labels = np.arange(128) % 2
    subject.images = np.eye(2)[subject.labels].reshape(128, 1, 1, 2)
    diagnosis = Diagnosis("net")
    check_batch_norm(subject, diagnosis)
    assert diagnosis.kinds == kinds
    assert len(diagnosis.unchecked) == (ema is not None)
