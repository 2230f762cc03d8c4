"""A finished run continues for more epochs as a new run, with the same bits as a run of all epochs at once."""

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.recipes.settings import AnySchedule, kinds
from kzoo.training import checkpoint
from kzoo.training.extending import check_extensible, find_extended
from kzoo.training.optimization.schedules import learning_rate, rates_by_step

pytestmark = pytest.mark.usefixtures("eagerly")

# Everything that keeps state: dropout, a moving average, momentum, a schedule, the best epoch, early stopping.
RECIPE = kzoo.Recipe(
    "test/extended",
    model="mlp",
    model_options={"hidden": (8,), "dropout": 0.2},
    dataset="digits",
    train_size=480,
    batch_size=240,
    epochs=2,
    ema=0.9,
    optimizer={"kind": "momentum", "learning_rate": 0.01},
    schedule={"kind": "exponential", "factor": 0.9},
    warmup_epochs=0.5,
    augmentation=[{"kind": "pad_crop", "padding": 1}],
    early_stop={"patience": 20},
)
QUIET = {"progress": False}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The directories of a finished run, of a run of all epochs at once, and of the extended run."""
    folder = tmp_path_factory.mktemp("extended")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        short = kzoo.train(RECIPE, **QUIET)
        shutil.copytree("runs", "before")
        whole = kzoo.train(RECIPE, epochs=3, directory="whole", **QUIET)
        extended = kzoo.train(RECIPE, epochs=3, extend=True, **QUIET)
    return [folder / run.directory for run in (short, whole, extended)]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_extended_has_the_bits_of_a_run_with_all_epochs_at_once(runs):
    _, whole, extended = runs
    arrays, others = (checkpoint.load_latest(directory / "checkpoint").arrays for directory in (whole, extended))
    assert arrays.keys() == others.keys()
    for kind in arrays:
        for one, other in zip(arrays[kind], others[kind], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=kind)
    records = [json.loads((directory / "result.json").read_text()) for directory in (whole, extended)]
    for record in records:
        for field in ("seconds", "segments", "peak_memory", "extends"):
            record.pop(field)
        record["history"].pop("seconds")
    assert records[0] == records[1]
    assert records[1]["epochs"] == 3
    histograms = [(directory / "weight_histograms.json").read_bytes() for directory in (whole, extended)]
    assert histograms[0] == histograms[1]


def test_the_run_that_is_extended_stays_and_is_named(runs):
    short, _, extended = runs
    assert contents(short) == contents(short.parents[1] / "before" / short.name)
    record = json.loads((extended / "result.json").read_text())
    before = json.loads((short / "result.json").read_text())
    assert record["extends"] == {"name": "test/extended", "digest": before["digest"], "epochs": 2}
    assert extended.name == f"test-extended-{record['digest']}" != short.name
    assert [segment["first_epoch"] for segment in record["segments"]] == [1, 3]
    assert before["extends"] is None


@pytest.fixture
def there(runs, monkeypatch, tmp_path):
    """A copy of the finished run, in a separate folder."""
    shutil.copytree(runs[0], Path("runs") / runs[0].name)
    return Path("runs") / runs[0].name


def refused(message, **options):
    before = contents(Path())
    with pytest.raises(kzoo.InputError, match=message):
        kzoo.train(options.pop("recipe", RECIPE), **{"extend": True, **QUIET, **options})
    assert contents(Path()) == before
    assert len(list(Path("runs").iterdir())) <= 1


def test_what_cannot_be_extended_is_refused_and_leaves_nothing(there):
    for kind in ("cosine", "linear", "polynomial", "one_cycle"):
        refused(f"schedule '{kind}' depend on the number of epochs", epochs=3, schedule=kind)
    refused(r"with lookahead\.power=3, what lookahead keeps depends on", epochs=3, lookahead={"power": 3})
    refused("epochs must be greater, not 2", epochs=2, directory="elsewhere")
    refused("epochs must be greater, not 1", epochs=1)
    refused("more than its epochs: batch_size is 240 there and 30 here", epochs=3, batch_size=30)
    refused("seed is 0 there and 1 here", epochs=3, seed=1)
    refused("no run of recipe 'test/another'", recipe=RECIPE.derive("test/another", seed=1), epochs=3)
    refused("choose one", epochs=3, fresh=True)
    refused("'nowhere' is not a run", epochs=3, extend="nowhere")


def test_a_warm_up_that_the_end_of_the_run_cut_short_is_refused():
    warm = RECIPE.derive("test/warm", warmup_epochs=1.9)  # 4 of 4 steps
    kzoo.train(warm, **QUIET)
    refused(r"the warm-up of run .* \(warmup_epochs=1\.9\) was cut short by its end", recipe=warm, epochs=3)


def test_unfinished_failed_stopped_or_without_checkpoint(there):
    record = (there / "result.json").read_text()
    (there / "result.json").unlink()
    refused("is not finished: kzoo resume", epochs=3)
    (there / "result.json").write_text(json.dumps({**json.loads(record), "status": "failed", "reason": "NaN"}))
    refused("failed: NaN", epochs=3)
    (there / "result.json").write_text(json.dumps({**json.loads(record), "digest": "0123456789"}))
    refused("the model has changed", epochs=3)
    (there / "result.json").write_text(record)
    last = checkpoint.load_latest(there / "checkpoint")
    newest = checkpoint.files(there / "checkpoint")[-1]
    shutil.move(newest, "newest")
    refused("the last checkpoint of run .* is damaged or missing", epochs=3)
    shutil.move("newest", newest)
    checkpoint.save(
        there / "checkpoint", checkpoint.Checkpoint(2, 0, last.arrays, dataclasses.replace(last.state, stopped=True))
    )
    refused("ended early, after 2 of 2 epochs", epochs=3)
    shutil.rmtree(there / "checkpoint")
    refused("no longer has a checkpoint", epochs=3)


def test_command_takes_the_run_itself_and_a_second_time_returns_the_result(there, command):
    code, out, errors = command("train", there, "--epochs", 3, "--extend")
    assert (code, errors) == (0, "")
    assert f"continues from run '{there}', which does not change, after its 2 epochs" in out
    code, out, _ = command("train", there, "--epochs", 3, "--extend")
    assert code == 0
    assert "nothing was trained" in out
    code, _, errors = command("train", there, "--epochs", 4, "--extend", "--set", "schedule=cosine")
    assert code == 2
    assert "constant, cosine_restarts, exponential, step, plateau can be extended" in errors.replace("\n", " ")


def test_a_custom_model_is_passed_again():
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)), name="own")
    short = RECIPE.derive("test/own", epochs=1, ema=None)
    first = kzoo.train(short, model=model, diagnostics=False, **QUIET)
    other = keras.models.clone_model(model)
    other.name = "own"
    with pytest.raises(kzoo.InputError, match="the model has changed"):
        kzoo.train(short, model=other, epochs=2, extend=True, **QUIET)
    with pytest.raises(kzoo.InputError, match="'keras:own' is a model of your own"):
        kzoo.train(first.directory, epochs=2, extend=True, **QUIET)
    extended = kzoo.train(first.directory, model=model, epochs=2, extend=True, **QUIET)
    assert extended.result.extends["digest"] == first.result.digest
    assert kzoo.train(short, model=model, epochs=2, **QUIET).directory == extended.directory


class Fails(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if Path("fail").exists():
            raise OSError


def test_an_extended_run_whose_first_epoch_fails_is_a_run(monkeypatch):
    kzoo.train(RECIPE, epochs=1, directory="short", callbacks=[Fails()], diagnostics=False, **QUIET)
    Path("fail").touch()
    with pytest.raises(OSError, match=r"^$"):
        kzoo.train(RECIPE, epochs=2, extend="short", directory="more", callbacks=[Fails()], **QUIET)
    Path("fail").unlink()
    run = kzoo.resume("more", callbacks=[Fails()], **QUIET)
    assert run.result.extends["epochs"] == 1


def test_schedules_that_can_be_extended_give_the_same_rates_with_more_epochs():
    for kind in kinds(AnySchedule):
        recipe = RECIPE.derive("test/schedule", schedule=kind, warmup_epochs=0.0, early_stop=None)
        if kind == "plateau":
            continue  # it does not depend on the number of epochs
        few, many = (
            rates_by_step(recipe.schedule, 0.1, epochs, 3)
            if rates_by_step(recipe.schedule, 0.1, epochs, 3) is not None
            else [learning_rate(recipe.schedule, 0.1, epoch, epochs) for epoch in range(epochs)]
            for epochs in (4, 40)
        )
        same = list(few) == list(many)[: len(few)]
        try:
            check_extensible(recipe)
            assert same, kind
        except kzoo.InputError:
            assert not same, kind


def test_nearest_run_is_the_one_with_most_epochs(there):
    longer = Path("runs/longer")
    shutil.copytree(there, longer)
    content = json.loads((longer / "recipe.json").read_text())
    (longer / "recipe.json").write_text(json.dumps({**content, "epochs": 4}))
    recipe = RECIPE.override(epochs=9).resolved()
    with pytest.raises(kzoo.InputError, match="'runs/longer' began differently"):
        find_extended(recipe, lambda other: f"{other.epochs}", Path("runs"))
