"""The description of a search, and files that contain one."""

from pathlib import Path

import pytest

import kzoo
from kzoo import Choice, InputError, Range, Search

SPACE = {"optimizer.learning_rate": Range(1e-4, 1e-1, log=True)}
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "a b"}, "without spaces"),
        ({"name": 5}, "without spaces"),
        ({"recipe": "lenett1-max"}, "lenet1-max"),
        ({"tuner": "randm"}, "random"),
        ({"objective": "val_acc"}, "val_accuracy"),
        ({"stop_poor": "mean"}, "median"),
        ({"trials": 0}, "trials of a search"),
        ({"minutes": -1}, "minutes of a search"),
        ({"seed": 1.5}, "seed of a search"),
        ({"memory": 2.0}, "own_process"),
        ({"model": "no-colon"}, "module:function"),
        ({"tuner": "hyperband", "stop_poor": "median"}, "stops poor trials itself"),
        ({"tuner": "hyperband", "space": {"epochs": Choice(1, 2)}}, "chooses epochs itself"),
    ],
)
def test_bad_searches_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        Search(**{"name": "own", "recipe": "lenet1-max", "space": SPACE, **options})


def test_an_objective_on_validation_needs_validation_images():
    recipe = kzoo.recipe("lenet1-max").override(**{"split.validation": 0})
    with pytest.raises(InputError, match=r"split\.validation is 0"):
        Search("own", recipe, SPACE)
    for space in ({"split.validation": Choice(0, 0.2)}, {"split": Choice({"validation": 0}, {"validation": 0.2})}):
        with pytest.raises(InputError, match=r"split\.validation is 0"):
            Search("own", "lenet1-max", space)


def test_identity_is_what_is_searched_not_for_how_long():
    search = Search("own", "lenet1-max", SPACE)
    assert search.replace(name="other", trials=3, minutes=1.0, failures_in_a_row=2).digest == search.digest
    others = [search.replace(seed=1), search.override(epochs=3), search.replace(tuner="grid")]
    others.append(search.replace(space={"optimizer.learning_rate": Range(1e-4, 1e-2, log=True)}))
    assert len({search.digest, *(other.digest for other in others)}) == 5
    with pytest.raises(InputError, match="unknown option of a search"):
        search.replace(trial=3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "does not exist"),
        ("x = 1\n", "has no `search`"),
        ("search = 1\n", "that is int"),
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("def broken(:\n", "SyntaxError"),
        ("import kzoo\nsearch = kzoo.Search('a', 'lenet1-max', {'batchsize': kzoo.Choice(1)})\n", "batch_size"),
    ],
)
def test_a_bad_file_is_one_clear_error(command, text, says):
    if text is not None:
        Path("own.py").write_text(text)
    code, out, err = command("search", "own.py")
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tuner", "randm"], "random"),
        (["--set", "epoch=3"], "epochs"),
        (["--trials", "0"], "trials of a search"),
        (["--memory", "2"], "own_process"),
        (["--workers", "0"], "workers must be a positive integer, not 0"),
        (["--on", "nowhere"], "--on takes auto, local, HOST:PORT"),
        (["--role", "chief"], "no such option --role"),
    ],
)
def test_bad_options_are_one_clear_error(command, words, says):
    code, _, err = command("search", ROOT / "tuning" / "lenet_layers_filters_reduction.py", *words)
    assert code == 2
    assert says in err
    assert len(err.splitlines()) == 1


def test_what_is_not_a_search_is_not_shown(command):
    code, _, err = command("trials", ".")
    assert code == 2
    assert "is not a search" in err
