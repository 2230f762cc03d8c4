"""The precision that is advised, and the measurements for it."""

import json

import pytest

from kzoo.errors import InputError
from kzoo.training.speed import PRECISIONS, Speed, measure

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
