"""Differences, in words, between two descriptions of what a run was made of; the descriptions are written by hand."""

import copy

import pytest

from kzoo.training.identity.comparing import differences, not_comparable, same_callbacks, same_weights

STOP = {
    "kind": "nets.Stop", "settings": {"path": "a", "patience": 2}, "attributes": {"seen": 0}, "code": "c0",
    "digests": 1, "values": {"nets.LIMIT": "v0"},
}  # fmt: skip
BEFORE = {
    "model": {
        "made_with": {"keras": "3.1", "backend": "jax"},
        "layers": [["image", "InputLayer", "d0"], ["conv", "Conv2D", "d1"], ["top", "Dense", "d2"]],
        "code": {"nets.Own": "c0", "nets.Other": "c1"}, "digests": 1, "values": {"nets.RATE": "v0"},
        "weights": [[0.5, 0.25], [1.0, 2.0]],
    },
    "data": {"fingerprint": "0123456789abcdef", "class_names": ["cat", "dog"]},
    "parts": {
        "functions": {"schedule s": {"source": "nets:s", "code": "c0", "values": {}}}, "digests": 1,
    },
    "callbacks": [STOP],
}  # fmt: skip


def changed(*path_and_value):
    """A copy of the description with one entry replaced."""
    *path, last, value = path_and_value
    now = copy.deepcopy(BEFORE)
    inner = now
    for key in path:
        inner = inner[key]
    inner[last] = value
    return now


RENAMED = [["image", "InputLayer", "d0"], ["first", "Conv2D", "d1"], ["last", "Dense", "d2"]]
OTHER_KERAS = {"keras": "3.2", "backend": "jax"}


@pytest.mark.parametrize(
    ("now", "texts"),
    [
        (BEFORE, []),
        # Models, from the coarsest difference to the finest.
        (changed("model", "layers", BEFORE["model"]["layers"][:2]), ["another model (1 layers, it had 2)"]),
        (changed("model", "layers", 1, ["conv", "Conv2D", "x"]), ["another model (layer 'conv' (Conv2D) differs)"]),
        (
            changed("model", "layers", 1, ["conv", "Conv1D", "d1"]),
            ["another model (layer 'conv' (Conv1D, it was Conv2D) differs)"],
        ),
        (changed("model", "layers", RENAMED), []),
        (
            changed("model", "code", {"nets.Own": "c1", "nets.New": "c0", "nets.Other": "c1"}),
            ["another model (the code of nets.New, nets.Own has changed)"],
        ),
        (changed("model", "weights", 1, [1.0, 2.1]), ["other initial weights of its model"]),
        (changed("model", "weights", [[0.5, 0.25]]), ["other initial weights of its model"]),
        (changed("model", "weights", 1, [1.0, 2.0005]), []),  # rounding
        # Data.
        (
            changed("data", "fingerprint", "fedcba9876543210"),
            ["other data (fingerprint fedcba9876, it was 0123456789)"],
        ),
        (changed("data", "class_names", ["cat", "cow"]), ["other class names ('cow', it was 'dog')"]),
        # Functions and callbacks.
        (changed("parts", "functions", "schedule s", "code", "c1"), ["other code of schedule s (nets:s)"]),
        (changed("parts", "functions", {"schedule t": {"source": "nets:t", "code": "c1"}}), []),
        (
            changed("callbacks", []),
            ["other callbacks (no callback; it was trained with Stop(seen=0, path='a', patience=2))"],
        ),
        (changed("callbacks", 0, "code", "c1"), ["other code of callback Stop"]),
        (
            changed("callbacks", 0, {**STOP, "code": "c1", "values": {"nets.LIMIT": "v1"}}),
            ["other code of callback Stop, because of the value of nets.LIMIT, which a new process sets again"],
        ),
    ],
)  # fmt: skip
def test_differences(now, texts):
    assert differences(BEFORE, now) == texts


def test_another_keras_may_write_other_configurations_and_another_backend_draw_other_weights():
    for made_with in (OTHER_KERAS, {"keras": "3.1", "backend": "torch"}):
        now = changed("model", "made_with", made_with)
        now["model"]["weights"] = [[9.0, 9.0], [9.0, 9.0]]
        assert differences(BEFORE, now) == []
    now = changed("model", "made_with", OTHER_KERAS)
    now["model"]["layers"][1] = ["conv", "Conv2D", "x"]
    assert differences(BEFORE, now) == []
    now["model"]["layers"][1] = ["conv", "Conv1D", "x"]
    assert len(differences(BEFORE, now)) == 1


@pytest.mark.parametrize("part", BEFORE)
def test_what_either_lacks_is_left_out(part):
    everything = {**changed("data", "fingerprint", "x" * 16), "model": changed("model", "code", {})["model"]}
    expected = {"model": 1, "data": 1, "parts": 0, "callbacks": 0}
    for none in ({part: None}, {}):
        without = {**{key: value for key, value in everything.items() if key != part}, **none}
        counts = len(differences(BEFORE, without)), len(differences(without, BEFORE))
        assert counts == (sum(expected.values()) - expected[part],) * 2
        assert not_comparable(BEFORE, without) == not_comparable(without, BEFORE) == []


@pytest.mark.parametrize(("part", "text"), [("model", "custom code of its model"), ("parts", "code of schedule s")])
def test_code_by_other_digests_is_not_compared(part, text):
    now = changed(part, "digests", 2)
    if part == "model":
        now["model"]["code"]["nets.Own"] = "x"
    else:
        now["parts"]["functions"]["schedule s"]["code"] = "x"
    assert differences(BEFORE, now) == []
    assert not_comparable(BEFORE, now) == [text]
    assert not_comparable(BEFORE, BEFORE) == []
    # Without custom code nothing is lost.
    none = changed("model", "code", {})
    assert not_comparable(none, {**none, "model": {**none["model"], "digests": 2}}) == []


def test_callbacks_are_alike_in_number_classes_and_the_settings_both_have():
    def alike(*others):
        return same_callbacks([STOP], others) and same_callbacks(others, [STOP])

    assert alike(STOP)
    assert not alike()
    assert not alike(STOP, STOP)
    assert not alike({**STOP, "kind": "other.Stop"})
    assert not alike({**STOP, "settings": {"path": "b", "patience": 2}})
    assert not alike({**STOP, "attributes": {"seen": 1}})
    assert alike({"kind": "nets.Stop", "settings": {"path": "a"}})
    # kzoo's own callbacks may have moved.
    old, new = ({**STOP, "kind": kind} for kind in ("kzoo.callbacks.Stop", "kzoo.training.stop.Stop"))
    assert same_callbacks([old], [new])


def test_weights_are_the_same_up_to_rounding_of_the_mean_size():
    def same(one, other):
        return same_weights({"weights": one}, {"weights": other})

    assert same([], [])
    assert same([[1.0, -0.5]], [[1.0009, -0.5009]])
    assert same([[1e3, 0.0]], [[1e3, 0.9]])  # the first number is the scale of both
    assert not same([[1.0, -0.5]], [[1.0, -0.502]])
    assert not same([[1.0, -0.5]], [[1.002, -0.5]])
    assert not same([[0.0, 0.0]], [[1e-9, 0.0]])
    assert same([[0.0, 0.0]], [[0.0, 0.0]])
