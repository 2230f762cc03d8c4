"""The precision that is advised, and the measurements for it."""

import io
import json

import keras
import pytest
from rich.console import Console

import kzoo
from kzoo.errors import InputError
from kzoo.training import records
from kzoo.training.callbacks import progress_bar
from kzoo.training.speed import PRECISIONS, Speed, advice_on_precision, measure

pytestmark = pytest.mark.usefixtures("eagerly")

SMALL = {"widths": (4, 4), "input_shape": (8, 8, 1), "classes": 3}


def speed(features=(), accelerators=(), **rates):
    return Speed("m", 8, {"float32": 100.0, **rates}, list(accelerators), list(features))


def test_advice_follows_the_measurements():
    assert "Stay with float32" in speed(mixed_bfloat16=105.0).advice()
    assert "neither AMX nor AVX512_BF16" in speed(mixed_bfloat16=60.0).advice()
    faster = speed(["avx512_bf16"], mixed_bfloat16=180.0).advice()
    assert "--set precision=mixed_bfloat16: 1.80 times" in faster
    assert "AVX512_BF16" in faster
    assert "on gpu:0" in speed(accelerators=["gpu:0"], mixed_bfloat16=300.0).advice()


@pytest.mark.backend
def test_both_precisions_are_measured():
    speed = measure("fastnet-s", batch_size=4, steps=1, rounds=1, **SMALL)
    assert tuple(speed.images_per_second) == PRECISIONS
    assert min(speed.images_per_second.values()) > 0
    with pytest.raises(InputError, match="rounds=0"):
        measure("fastnet-s", rounds=0)
    with pytest.raises(InputError, match=r"steps=1\.5"):
        measure("fastnet-s", steps=1.5)


@pytest.mark.parametrize(
    ("features", "changes", "advised"),
    [
        (["amx_bf16", "avx512_bf16"], {}, "AMX_BF16"),
        (["avx512_bf16"], {}, "AVX512_BF16"),
        (["avx2"], {}, None),
        (["amx_bf16"], {"precision": "mixed_bfloat16"}, None),
        (["amx_bf16"], {"model": "keras:mine-0123456789"}, None),
    ],
)
def test_slow_runs_in_float32_are_told_of_bfloat16_where_the_processor_has_it(features, changes, advised, monkeypatch):
    monkeypatch.setattr(records, "hardware", lambda: {"processor_features": features})
    monkeypatch.setattr("kzoo.training.speed.accelerators", list)
    recipe = kzoo.recipe("lenet2-max").override(**changes)
    hint = advice_on_precision(recipe)
    assert (hint is None) == (advised is None or keras.backend.backend() != "tensorflow")
    if hint:
        assert f"with {advised}, so precision=mixed_bfloat16 may be faster; kzoo speed lenet2-max" in hint


@pytest.mark.parametrize(("epochs", "long", "told"), [(3, 0.0, 1), (1, 0.0, 0), (3, 100.0, 0)])
def test_advice_is_printed_once_and_only_if_much_training_is_left(epochs, long, told, monkeypatch):
    monkeypatch.setattr(progress_bar, "LONG", long)
    out = io.StringIO()
    bar = progress_bar.ProgressBar(Console(file=out, width=200), epochs, 1, 10, 10, advice="hint: be [quick]")
    for epoch in range(epochs):
        bar.on_epoch_begin(epoch)
        bar.on_epoch_end(epoch, {"loss": 1.0, "accuracy": 0.5})
    assert out.getvalue().count("hint: be [quick]\n") == told
    assert out.getvalue().count("epoch ") == epochs


def test_command_line(command):
    words = ["speed", "mlp", "--batch-size", 4, "--steps", 1, "--rounds", 1, "--json"]
    code, text, errors = command(*words)
    assert code == 0, errors
    answer = json.loads(text)
    assert answer["model"] == "mlp"
    assert set(answer["images_per_second"]) == set(PRECISIONS)
    assert "float32" in answer["advice"]


def test_the_table_has_each_precision_relative_to_float32(command, monkeypatch):
    monkeypatch.setattr("kzoo.training.speed.measure", lambda name, **options: speed(mixed_bfloat16=250.0))
    code, text, _ = command("speed", "mlp")
    _, _, *rows = text.splitlines()
    assert (code, [row.split() for row in rows[:2]]) == (
        0,
        [["float32", "100", "1.00"], ["mixed_bfloat16", "250", "2.50"]],
    )
    assert "m, batch 8, 3 alternating rounds of 3 steps" in text
    assert "2.50 times as fast as float32" in text
