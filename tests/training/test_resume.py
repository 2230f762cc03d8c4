"""A run that was killed and resumed ends with the same bits as an uninterrupted one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.training import checkpoint

JOBS = Path(__file__).with_name("jobs.py")

# Small, with everything that keeps state: mixup and crops, dropout, EMA, momentum, BatchNorm.
BASE = {
    "name": "test/resume",
    "model": "vgg08-bn",
    "model_options": {"dropout": 0.3, "filters": 8},
    "dataset": "digits",
    "train_size": 190,
    "batch_size": 20,
    "epochs": 3,
    "ema": 0.9,
    "l2": 1e-3,
    "augmentation": [{"kind": "pad_crop", "padding": 1}, {"kind": "mixup", "alpha": 1.0}],
    "early_stop": {"patience": 10},
}
SMALLER = {**BASE, "model_options": {**BASE["model_options"], "blocks": [0]}}
SCHEDULES = {
    "constant": {"kind": "constant"},
    "cosine": {"kind": "cosine"},
    "restarts": {"kind": "cosine_restarts", "period": 2},
    "exponential": {"kind": "exponential"},
    "step": {"kind": "step", "every": 1},
    "plateau": {"kind": "plateau", "patience": 0},
}


def child(jobs: list[dict], backend: str | None = None, **options) -> subprocess.Popen:
    environment = dict(os.environ)
    if backend:
        environment["KERAS_BACKEND"] = backend
    command = [sys.executable, str(JOBS), json.dumps(jobs)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **options)


def run_jobs(jobs: list[dict], backend: str | None = None, killed: bool = False) -> str:
    process = child(jobs, backend)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == (-signal.SIGKILL if killed else 0), errors[-3000:]
    return errors


def final_state(directory: Path) -> tuple[dict[str, list[np.ndarray]], dict]:
    """All bits of a finished run: the content of its last checkpoint, and its record without times."""
    last = checkpoint.load(checkpoint.files(directory / "checkpoint")[-1])
    record = json.loads((directory / "result.json").read_text())
    for key in ("seconds", "segments", "peak_memory", "git_commit"):
        record.pop(key)
    record["history"].pop("seconds")
    record["callbacks"] = json.loads(json.dumps(last.state.callbacks))
    for state in record["callbacks"]:
        if "history" in state:
            state["history"].pop("seconds")
            state.pop("seconds")
    return last.arrays, record


def assert_same_bits(one: Path, other: Path) -> None:
    arrays, record = final_state(one)
    other_arrays, other_record = final_state(other)
    assert arrays.keys() == other_arrays.keys() == {"model", "optimizer", "best", "metrics"}
    for kind in arrays:
        assert len(arrays[kind]) == len(other_arrays[kind]) > 0, kind
        for i, (a, b) in enumerate(zip(arrays[kind], other_arrays[kind], strict=True)):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b, err_msg=f"{kind} {i}")
    assert record == other_record
    assert (one / "weight_histograms.json").read_bytes() == (other / "weight_histograms.json").read_bytes()


def check_kills(kills: list[dict], recipes: list[dict], folder: Path, backend: str | None = None) -> None:
    """Run each recipe whole; run each again, killed once; resume; compare."""
    whole = [{"directory": str(folder / f"whole{i}"), "recipe": r, "kill": None} for i, r in enumerate(recipes)]
    run_jobs(whole, backend)
    # The process that resumes one run continues with the next, where it is killed in turn.
    done: list[dict] = []
    for i, (recipe, kill) in enumerate(zip(recipes, kills, strict=True)):
        job = {"directory": str(folder / f"killed{i}"), "recipe": recipe}
        run_jobs([*done[-1:], {**job, "kill": kill}], backend, killed=True)
        assert not (folder / f"killed{i}" / "result.json").exists()
        done.append({**job, "kill": None})
    run_jobs(done[-1:], backend)
    for i in range(len(recipes)):
        assert_same_bits(folder / f"whole{i}", folder / f"killed{i}")
        segments = json.loads((folder / f"killed{i}" / "result.json").read_text())["segments"]
        assert len(segments) == 2


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C after the fourth step of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at = (epoch, 3)

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == self.at:
            raise KeyboardInterrupt

    def state(self):
        return {}

    def restore(self, state):
        pass


@pytest.mark.slow
@pytest.mark.backend
def test_interrupted_within_an_epoch():
    """Restores everything as after a kill, without the cost of other processes."""
    recipe = kzoo.Recipe(**{**SMALLER, "train_size": 100, "epochs": 2, "schedule": SCHEDULES["plateau"]})
    options = {"progress": False, "checkpoint_minutes": 0}
    whole = kzoo.train(recipe, directory="whole", callbacks=[keras.callbacks.Callback()], **options)
    with pytest.raises(KeyboardInterrupt):
        kzoo.train(recipe, directory="cut", callbacks=[Interrupt(1)], **options)
    resumed = kzoo.resume("cut", callbacks=[keras.callbacks.Callback()], **options)
    assert len(resumed.result.segments) == 2
    assert_same_bits(whole.directory, resumed.directory)


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.backend
def test_killed_within_an_epoch_and_within_a_write(tmp_path):
    kills = [{"epoch": 1, "step": 3}, {"write": 18}]
    check_kills(kills, [{**SMALLER, "schedule": SCHEDULES["plateau"]}, {**SMALLER, "seed": 1}], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_every_schedule_at_several_moments(tmp_path, backend):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    moments = [
        {"epoch": 0, "step": 0},
        {"epoch": 0, "step": 9},
        {"epoch": 1, "step": 5},
        {"epoch": 2, "step": 8},
        {"write": 2},
        {"write": 21},
    ]
    recipes = [{**BASE, "schedule": schedule, "seed": i} for i, schedule in enumerate(SCHEDULES.values())]
    check_kills(moments, recipes, tmp_path, backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_killed_at_random_moments_until_done(tmp_path, backend):
    """SIGKILL from outside, again and again, with checkpoints at every step."""
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    recipe = {**BASE, "epochs": 8}
    run_jobs([{"directory": str(tmp_path / "whole"), "recipe": recipe, "kill": None}], backend)
    job = {"directory": str(tmp_path / "killed"), "recipe": recipe, "kill": None}
    moments = random.Random(time.time_ns())
    folder, kills = tmp_path / "killed" / "checkpoint", 0
    for _ in range(5):
        process = child([job], backend)
        before = checkpoint.files(folder)[-1:]
        while process.poll() is None and checkpoint.files(folder)[-1:] == before:
            time.sleep(0.01)  # until this process has trained at least a step
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        process.stderr.close()
    assert kills >= 2
    run_jobs([job], backend)
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_without_frequent_checkpoints_the_epoch_is_run_again(tmp_path):
    recipe = {**BASE, "ema": None, "augmentation": []}
    run_jobs([{"directory": str(tmp_path / "whole"), "recipe": recipe, "kill": None, "minutes": 60}])
    job = {"directory": str(tmp_path / "killed"), "recipe": recipe, "minutes": 60}
    run_jobs([{**job, "kill": {"epoch": 2, "step": 4}}], killed=True)
    names = [path.name for path in checkpoint.files(tmp_path / "killed" / "checkpoint")]
    assert names == ["00001-0000000.npz", "00002-0000000.npz"]
    run_jobs([{**job, "kill": None}])
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")


FAST = {
    "name": "test/fast",
    "model": "fastnet-s",
    "model_options": {"widths": [8, 12]},
    "dataset": "digits",
    "train_size": 190,
    "split": {"validation": 0},
    "batch_size": 40,
    "epochs": 3,
    "augmentation": [{"kind": "alternating_flip"}, {"kind": "translate"}, {"kind": "cutmix"}],
    "optimizer": {"kind": "muon", "sgd_rate": 2.0, "sgd_decay": 0.001},
    "schedule": {"kind": "one_cycle"},
    "warmup_epochs": 0.5,
    "label_smoothing": 0.2,
    "rate_multipliers": {"logits/kernel": 12.6, "whitening/bias": {"last_epoch": 2}, "*beta": {"decay": 0.5}},
    "clip_norm": 5.0,
    "lookahead": {"keep": 0.7, "power": 2.0},
    "class_weights": "balanced",
    "tta": "flip-shift",
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_what_fast_training_adds_is_resumed_exactly(tmp_path, backend):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    check_kills([{"epoch": 1, "step": 3}], [FAST], tmp_path, backend)
