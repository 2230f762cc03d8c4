"""Values that callbacks gather survive a kill, in attributes of any kind; attributes that cannot be saved are named."""

import collections
import enum
import threading
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.errors import InputError
from kzoo.training import checkpoint
from kzoo.training.callbacks.lists import StatefulCallbacks, continue_logs
from kzoo.training.callbacks.states import digests, restore_state, state_of
from kzoo.training.checkpoint import Checkpoint, RunState

pytestmark = pytest.mark.usefixtures("eagerly")


def handed_over(before, after, folder="checkpoint"):
    """Load the state of one callback into another, through a file."""
    parts = StatefulCallbacks([], [before])
    before.gather()
    states, arrays = parts.states()
    path = checkpoint.save(
        Path(folder), Checkpoint(1, 0, {"callbacks": arrays}, RunState("d", "f", parts=[], callbacks=states))
    )
    loaded = checkpoint.load(path)
    StatefulCallbacks([], [after]).restore(loaded.state, loaded.arrays.get("callbacks", []), Path(folder))
    return after


class Gathers(keras.callbacks.Callback):
    """Has attributes like those of users' callbacks."""

    of_the_class: list = []  # noqa: RUF012

    def __init__(self, images, given):
        super().__init__()
        self.given = given
        self._images = images
        self.losses, self.recent = [], collections.deque(maxlen=2)
        self.by_epoch, self.counts = {}, collections.defaultdict(list)
        self.seen, self.matrix, self.weights, self.best = set(), np.zeros((2, 2), int), None, None

    def gather(self):
        self.given.append("x")
        self.losses += [0.5, float("inf"), np.float32(0.25)]
        self.recent.extend([1, 2, 3])
        self.by_epoch[3] = {"a": (1, 2), "$array": None}
        self.counts["b"].append(7)
        self.seen |= {"u", 2}
        self.matrix[1, 0] += 4
        self.weights = [np.arange(3.0), np.ones((2, 1), np.float32)]
        self.best = 0.75
        self.of_the_class.append(8)


def test_containers_and_arrays_are_restored():
    images = np.zeros((4, 3))
    before, after = Gathers(images, []), Gathers(images, [])
    shared, counts = after.losses, after.counts
    Gathers.of_the_class = []
    handed_over(before, after)
    assert after.losses is shared  # a script can refer to it, too
    assert shared == [0.5, float("inf"), 0.25]
    assert after.recent == collections.deque([2, 3])
    assert after.recent.maxlen == 2
    assert after.by_epoch == {3: {"a": (1, 2), "$array": None}}
    assert after.counts is counts
    assert counts == {"b": [7]}
    assert after.seen == {"u", 2}
    assert after.matrix.tolist() == [[0, 0], [4, 0]]
    assert [part.tolist() for part in after.weights] == [[0, 1, 2], [[1], [1]]]
    assert after.weights[1].dtype == np.float32
    assert (after.best, after.given) == (0.75, ["x"])
    assert after._images is images


def test_a_list_of_the_class_is_restored_in_another_process():
    Gathers.of_the_class = []
    state = state_of(before := Gathers(None, []))
    assert state["of_the_class"] == []
    before.gather()
    kept = {name: list(value) for name, value in state_of(before).items() if name == "of_the_class"}
    Gathers.of_the_class = []  # as in a new process
    restore_state(Gathers(None, []), kept)
    assert Gathers.of_the_class == [8]


def test_arrays_that_training_did_not_change_are_not_saved_again_and_again():
    callback = Gathers(np.ones((5, 2)), [])
    start = digests(callback)
    assert {"_images", "matrix", "given"}.isdisjoint(state_of(callback, start))
    callback.gather()
    changed = state_of(callback, start)
    assert "_images" not in changed
    assert {"matrix", "given", "weights"} <= set(changed)
    callback._images[2] = 3
    assert changed["given"] == ["x"]
    assert "_images" in state_of(callback, start)


Point = collections.namedtuple("Point", "x y")


class HasObjects(keras.callbacks.Callback):
    """Has attributes that no checkpoint can contain."""

    def __init__(self):
        super().__init__()
        self.lock, self.nested, self.place, self.function = threading.Lock(), [], Path("x"), len
        self.circle, self.point, self.by_name = {}, Point(0, 0), {}

    def gather(self):
        self.point = Point(1, 2)
        self.by_name["a"] = collections.defaultdict(int)  # would come back as a dict
        self.nested.append(object())
        self.circle["itself"] = self.circle


def test_what_cannot_be_saved_is_named():
    with pytest.warns(UserWarning, match="starts again with lock, nested, circle, point, by_name, which check"):
        after = handed_over(HasObjects(), HasObjects())
    assert (after.point.x, after.by_name) == (0, {})


class Phase(enum.Enum):
    COLD, WARM = 1, 2


class Level(enum.IntEnum):
    LOW, HIGH = 1, 2


class HasConstants(keras.callbacks.Callback):
    """Has attributes of types whose values a checkpoint holds only in part."""

    def __init__(self):
        super().__init__()
        self.fixed = self.phase = self.last = Phase.COLD
        self.level, self.path, self.masked = Level.LOW, None, None
        self.recent = {}

    def gather(self):
        self.phase, self.level, self.path = Phase.WARM, Level.HIGH, Path("x")
        self.masked = np.ma.masked_array([1.0, 2.0], [0, 1])
        self.recent["last"] = collections.deque([1, 2, 3], maxlen=2)


def test_constants_that_training_changed_are_named_and_deques_keep_their_length():
    with pytest.warns(UserWarning, match="starts again with phase, path, masked, which check"):
        after = handed_over(HasConstants(), HasConstants())
    assert (after.phase, after.path, after.masked) == (Phase.COLD, None, None)
    assert after.level is Level.HIGH
    assert (after.recent["last"].maxlen, list(after.recent["last"])) == (2, [2, 3])


def test_keras_callbacks_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in (
            lambda: keras.callbacks.ReduceLROnPlateau(),
            lambda: keras.callbacks.CSVLogger("log.csv"),
            lambda: keras.callbacks.ModelCheckpoint("a.keras"),
            lambda: keras.callbacks.LambdaCallback(on_epoch_end=print),
            lambda: keras.callbacks.TerminateOnNaN(),
        ):
            before = make()
            before.gather = lambda: None
            handed_over(before, make())


class Returns(keras.callbacks.Callback):
    """Defines its own state."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def gather(self):
        pass

    def state(self):
        return {"value": self.value}

    def restore(self, state):
        self.value = state["value"]


def test_custom_states_may_hold_arrays_and_are_refused_by_name_otherwise():
    assert handed_over(Returns(np.arange(4)), Returns(None)).value.tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match=r"state\(\) of callback Returns holds a value of type object: a checkpoint"):
        handed_over(Returns(object()), Returns(None))


class Interrupts(keras.callbacks.Callback):
    """Ctrl-C in the third epoch, once."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2 and not Path("interrupted").exists():
            Path("interrupted").touch()
            raise KeyboardInterrupt


def test_early_stopping_of_keras_restores_the_best_weights_of_earlier_processes():
    """The first epoch, which another process trained, has the largest loss."""

    def train(function, what, **changes):
        stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True)
        return function(what, callbacks=[stop, Interrupts()], progress=False, **changes)

    budget = {"dataset": "digits", "train_size": 480, "batch_size": 120, "epochs": 4, "model_options.hidden": [4]}
    Path("interrupted").touch()
    whole = train(kzoo.train, "mlp", directory="whole", diagnostics=False, **budget)
    Path("interrupted").unlink()
    with pytest.raises(KeyboardInterrupt):
        train(kzoo.train, "mlp", directory="cut", diagnostics=False, **budget)
    resumed = train(kzoo.resume, "cut")
    assert np.argmax(whole.history["loss"]) == 0
    assert len(resumed.result.segments) == 2
    for name in ("final.weights.h5", "best.weights.h5"):
        for a, b in zip(*([*map(np.asarray, weights(run, name))] for run in (whole, resumed)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.parametrize("append", [False, True])
def test_csv_logger_of_keras_continues_its_file(append):
    budget = {"dataset": "digits", "train_size": 480, "batch_size": 240, "epochs": 4, "model_options.hidden": [4]}

    def train(function, what, log, **changes):
        Path(log).write_text("of before\r\n")
        logger = keras.callbacks.CSVLogger(log, append=append)
        return function(what, callbacks=[logger, Interrupts()], progress=False, **changes)

    Path("interrupted").touch()
    train(kzoo.train, "mlp", "whole.csv", directory="whole", diagnostics=False, **budget)
    Path("interrupted").unlink()
    with pytest.raises(KeyboardInterrupt):
        train(kzoo.train, "mlp", "cut.csv", directory="cut", diagnostics=False, **budget)
    with open("cut.csv", "a", newline="") as stream:
        stream.write("2,this row was written after the checkpoint\r\n")
    for _ in range(2):  # resumed, then found finished
        again = [keras.callbacks.CSVLogger("cut.csv", append=append), Interrupts()]
        kzoo.resume("cut", callbacks=again, progress=False)
    assert Path("cut.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert Path("cut.csv").read_text().count("epoch") == (not append)


@pytest.mark.parametrize("append", [False, True])
def test_csv_logger_keeps_a_row_of_the_first_epoch_only_if_another_run_may_have_written_it(append):
    Path("log.csv").write_text("epoch,loss\n0,1.5\n")
    logger = keras.callbacks.CSVLogger("log.csv", append=append)
    continue_logs([logger], 0)
    assert logger.append
    assert Path("log.csv").read_text() == ("epoch,loss\n0,1.5\n" if append else "epoch,loss\n")


def weights(run, name):
    """The weights in a run's file."""
    model = keras.models.clone_model(run.model)
    model.load_weights(run.directory / name)
    return model.get_weights()
