"""A checkpoint's content is read back, and files of earlier versions can still be read."""

import dataclasses
import json
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from kzoo.errors import InputError, RunFailed
from kzoo.training import checkpoint
from kzoo.training.checkpoint import Checkpoint, RunState

# Exactly as the first version wrote it.
FIRST = """{"epoch": 1, "step": 3, "meta": {"digest": "4be21c0a97", "fingerprint": "ab12", "data_dir": null,
"paths": ["dense/kernel"], "callbacks": [{}, {"rate": 0.1}], "stopped": false,
"segments": [{"started": "2026-01-01T00:00:00+00:00", "seconds": 1.5}]}}"""


def write(path, meta, **arrays):
    np.savez(path, **arrays, meta=np.frombuffer(meta.encode(), np.uint8))


def test_the_first_versions_file_is_read(tmp_path):
    path = tmp_path / "00001-0000003.npz"
    write(path, FIRST, **{"model:0": np.ones(2), "model:1": np.zeros(3), "best:0": np.ones(2)})
    loaded = checkpoint.load_latest(tmp_path)
    assert (loaded.epoch, loaded.step) == (1, 3)
    assert [len(array) for array in loaded.arrays["model"]] == [2, 3]
    assert loaded.state == RunState(
        "4be21c0a97",
        "ab12",
        paths=["dense/kernel"],
        callbacks=[{}, {"rate": 0.1}],
        segments=[{"started": "2026-01-01T00:00:00+00:00", "seconds": 1.5}],
    )
    assert (loaded.state.origin, loaded.state.parts, loaded.state.extends) == (None, None, None)
    assert loaded.state.diagnostics is False


def test_what_is_written_is_read_back(tmp_path):
    state = RunState(
        "d", "f", "here", True, {"model": None, "callbacks": []}, {"name": "n"}, ["p"], ["Log"], [{"a": 1}], True, [{}]
    )
    path = checkpoint.save(tmp_path / "checkpoint", Checkpoint(2, 0, {"model": [np.arange(3)]}, state))
    loaded = checkpoint.load(path)
    assert loaded.state == state
    assert loaded.arrays["model"][0].tolist() == [0, 1, 2]
    with np.load(path) as archive:
        written = json.loads(archive["meta"].tobytes())
    assert written == {"epoch": 2, "step": 0, "meta": dataclasses.asdict(state)}


def test_the_last_two_of_very_many_epochs_are_kept(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / ".00001-0000003.npz.tmp").write_text("left by a killed process")
    for epoch in range(99_998, 100_001):
        checkpoint.save(folder, Checkpoint(epoch, 0, {}, RunState("d", "f")))
    assert checkpoint.load_latest(folder).epoch == 100_000
    assert len(checkpoint.files(folder)) == checkpoint.KEPT == len([*folder.iterdir()])


def test_bfloat16_is_read_back(tmp_path):
    values = np.arange(3).astype(ml_dtypes.bfloat16)
    loaded = checkpoint.load(checkpoint.save(tmp_path, Checkpoint(0, 0, {"model": [values]}, RunState("d", "f"))))
    assert loaded.arrays["model"][0].dtype == ml_dtypes.bfloat16
    assert loaded.arrays["model"][0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("at", "value"), [(8, 1), (10, 99), (4, 200)])
def test_a_damaged_archive_is_left_for_the_one_before_it(tmp_path, at, value):
    """Damaged flags (encrypted), compression or version of an entry, which zipfile refuses with different errors."""
    for step in (1, 2):
        last = checkpoint.save(tmp_path, Checkpoint(0, step, {"model": [np.arange(3)]}, RunState("d", "f")))
    content = bytearray(last.read_bytes())
    content[content.index(b"PK\x01\x02") + at + 2 * (at == 4)] = value
    last.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged .*; going back to the checkpoint before it"):
        assert checkpoint.load_latest(tmp_path).step == 1


@pytest.mark.parametrize(
    ("error", "reason"), [(PermissionError(13, "Permission denied"), "Permission denied"), (MemoryError(), "memory")]
)
def test_no_earlier_checkpoint_replaces_one_that_cannot_be_read_now(tmp_path, monkeypatch, error, reason):
    for step in (1, 2):
        last = checkpoint.save(tmp_path, Checkpoint(0, step, {"model": [np.arange(3)]}, RunState("d", "f")))

    def refuse(path, **options):
        raise error if path == last else AssertionError(path)

    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(RunFailed, match=rf"{last.name}' cannot be read: .*{reason}"):
        checkpoint.load_latest(tmp_path)


def test_what_a_later_version_adds_is_left_out_and_what_is_missing_is_damage(tmp_path):
    path = tmp_path / "00000-0000000.npz"
    write(path, json.dumps({"epoch": 0, "step": 0, "meta": {"digest": "d", "fingerprint": "f", "new": 1}}))
    assert checkpoint.load(path).state == RunState("d", "f")
    write(path, json.dumps({"epoch": 0, "step": 0, "meta": {"digest": "d"}}))
    with pytest.raises(InputError, match="is damaged"):
        checkpoint.load(path)


@pytest.mark.filterwarnings("ignore:run .* resumes with")  # under other versions
def test_a_run_killed_under_an_earlier_version_is_resumed(tmp_path):
    """The run stopped within its second epoch, in a kzoo whose trainer and checkpointer were one class."""
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("it was begun on TensorFlow")
    import kzoo

    shutil.copytree(Path(__file__).parent / "killed_run", tmp_path / "run")
    # Leave out the callback that stopped the run.
    run = kzoo.resume(tmp_path / "run", callbacks=[keras.callbacks.Callback()], progress=False)
    # The values of the same run when it was not stopped.
    history = run.result.history
    assert history["loss"] == pytest.approx([2.3904433, 2.2962782, 2.2805984], rel=1e-4)
    assert history["val_loss"] == pytest.approx([2.2915623, 2.2774010, 2.2699847], rel=1e-4)
    assert run.result.test.loss == pytest.approx(2.2780251, rel=1e-4)
    assert len(run.result.segments) == 2
    assert len(run.result.gradient_flow["epochs"]) == 4
