"""A study's recorded runs after the user's data, model or weights have changed."""

import hashlib
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kzoo
from kzoo import studies
from kzoo.errors import InputError
from kzoo.recipes import Recipe
from kzoo.studies import Entry, Study
from kzoo.studies.collecting import collect
from kzoo.studies.records import read_records, study_records
from kzoo.studies.run_comparison import compare
from kzoo.studies.running import plan, run_study
from kzoo.studies.unchanged import remarks
from kzoo.training.identity.named import names_all

pytestmark = pytest.mark.usefixtures("eagerly")

NET = """
import keras

def net(classes, input_shape):
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(4, activation="relu")(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes)(x))
"""
OURS = Recipe("u/ours", model="mlp", model_options={"hidden": [4]}, dataset="npz:own.npz", epochs=1, batch_size=60)
NETS = OURS.derive("u/nets", model="nets_of_a_study:net", model_options={})
BOTH = Study("both", "ours", "Which?", (Entry(OURS, "ours"), Entry(NETS, "nets")))


def write_data(seed=0):
    images = np.random.default_rng(seed).integers(0, 255, (60, 8, 8, 1)).astype("uint8")
    np.savez("own.npz", x_train=images, y_train=np.arange(60) % 3)


def write_net(text=NET):
    Path("nets_of_a_study.py").write_text(text)
    sys.modules.pop("nets_of_a_study", None)
    shutil.rmtree("__pycache__", ignore_errors=True)
    importlib.invalidate_caches()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with both runs, their data and their code; tests copy it."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        write_data()
        write_net()
        for task in plan(BOTH):  # like `run_study`, without diagnostics for the pages
            kzoo.train(task.recipe, directory=task.directory, progress=False, diagnostics=False)
        sys.modules.pop("nets_of_a_study", None)
    return folder


@pytest.fixture
def there(trained, monkeypatch):
    shutil.copytree(trained, ".", dirs_exist_ok=True)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setattr(studies.REGISTRY, "added", {"both": BOTH})
    write_net()
    yield
    sys.modules.pop("nets_of_a_study", None)


def records():
    return {path: path.read_bytes() for path in Path("runs").glob("*/result.json")}


def test_nothing_changed_is_skipped(there):
    changes = []
    ended = run_study(BOTH, tell=lambda *change: changes.append(change))
    assert [task.status for task in ended] == ["recorded", "recorded"]
    assert changes == []


def test_another_model_is_an_error_of_its_run_alone_and_no_table(there, command):
    write_net(NET.replace("relu", "tanh"))
    before = records()
    code, text, errors = command("study", "run", "both")
    assert code == 2
    assert "nets, seed 0: run 'runs/u-nets-" in errors
    assert r"another model (layer 'dense" in " ".join(errors.split())
    assert "move the directory aside" in " ".join(errors.split())
    assert "ours, seed 0: run" not in errors
    assert "at the full budget" not in text
    assert records() == before


def test_other_data_is_reported_first_and_the_rest_is_trained(there):
    nets = plan(BOTH, only="nets")[0].directory
    shutil.rmtree(nets)
    write_data(seed=1)
    changes = []
    with pytest.raises(InputError, match=r"ours, seed 0: run '.*' is not what is asked for now: other data"):
        run_study(BOTH, tell=lambda task, status, reason: changes.append((*task.labels, status)))
    assert changes == [("ours", "failed"), ("nets", "running"), ("nets", "recorded")]
    assert (nets / "result.json").exists()


def test_a_committed_record_is_compared_as_well(there):
    collect(BOTH, Path("runs"), Path("results"))
    shutil.rmtree("runs")
    assert [task.status for task in run_study(BOTH)] == ["recorded", "recorded"]
    write_data(seed=1)
    with pytest.raises(InputError, match="is not what is asked for now: other data") as caught:
        run_study(BOTH, only="ours")
    assert "leave its directory out of the records" in str(caught.value)


def test_tables_and_pages_say_what_has_changed_and_collect_leaves_it(there, command):
    code, text, errors = command("study", "table", "both")
    assert (code, errors) == (0, "")
    assert "ours" in text
    before = records()

    write_net(NET.replace("relu", "tanh"))
    for words in (["table", "both"], ["table", "both", "--json"], ["report", "both"]):
        code, text, errors = command("study", *words)
        assert code == 0
        assert errors.count("warning: ") == 1
        assert "runs/u-nets-" in errors
        assert "another model (layer 'dense" in " ".join(errors.split())

    code, text, errors = command("study", "collect", "both")
    assert code == 0
    assert "1 new records" in text
    assert errors.startswith("warning: not copied: run 'runs/u-nets-")
    assert [path.name[:6] for path in Path("results/both").glob("*.json")] == ["u-ours"]
    assert records() == before


def test_what_cannot_be_compared_is_reported_and_kept(there, command):
    Path("own.npz").unlink()
    code, text, errors = command("study", "table", "both")
    assert code == 0
    assert errors.count("not compared with what its study would train now: ") == 2
    code, text, errors = command("study", "collect", "both")
    assert "2 new records" in text
    assert errors.count("copied, and not compared with what its study would train now: ") == 2


def test_other_initial_weights_of_the_same_path(there):
    source = plan(BOTH, only="ours")[0].directory
    later = Study("later", "ours", "Which?", (Entry(OURS.derive("u/later", initial_weights=str(source)), "later"),))
    run_study(later)
    assert [task.status for task in run_study(later)] == ["recorded"]
    collect(later, Path("runs"), Path("kept"))
    kept = study_records(later, read_records([Path("kept")]))
    assert remarks(kept.every_file) == []
    (source / "best.weights.h5").write_bytes((source / "best.weights.h5").read_bytes() + b"0")
    with pytest.raises(InputError, match=r"later, seed 0: .*the file of initial_weights has changed"):
        run_study(later)
    (line,) = remarks(kept.every_file)
    assert line.startswith("record 'kept/later/")
    assert "the file of initial_weights has changed" in line


def test_a_run_from_initial_weights_is_found_under_the_digest_with_the_file(there):
    source = plan(BOTH, only="ours")[0].directory
    recipe = OURS.derive("u/later", initial_weights=str(source))
    later = Study("later", "ours", "Which?", (Entry(recipe, "later"),))
    planned = plan(later)[0].directory
    run = kzoo.train(recipe, progress=False, diagnostics=False)
    assert run.directory != planned  # its name includes the file's hash
    (task,) = plan(later)
    assert (task.status, task.directory) == ("recorded", run.directory)

    # Copied records
    (kept,), _ = collect(later, Path("runs"), Path("kept"))
    run.directory.rename("moved")
    (task,) = run_study(later, directory="new", records=[Path("kept")])
    assert (task.status, task.record) == ("recorded", kept)
    assert not Path("new").exists()

    # A run that began under the name without the hash
    shutil.copytree("moved", planned)
    assert [task.directory for task in run_study(later, records=[])] == [planned]

    # Another file: its run is another one, and the copied record is out of date
    planned.rename(run.directory)
    (source / "best.weights.h5").write_bytes((source / "best.weights.h5").read_bytes() + b"0")
    assert [(task.status, task.directory) for task in plan(later, records=[])] == [("waiting", planned)]
    with pytest.raises(InputError, match=r"record 'kept.*' is of another run: the file of initial_weights has changed"):
        run_study(later, directory="new", records=[Path("kept")])
    (source / "best.weights.h5").unlink()
    assert [task.record for task in plan(later, directory=Path("new"), records=[Path("kept")])] == [kept]


def test_of_several_records_the_one_of_the_weights_file_counts(made, keep):
    recipe = OURS.derive("u/later", dataset="digits", initial_weights="w.weights.h5").resolved()
    later = Study("later", "ours", "Which?", (Entry(recipe, "later"),))
    for content in (b"1", b"2"):
        digest = recipe.digest(hashlib.sha256(content).hexdigest())
        path = keep(made(recipe, digest=digest), Path("results/later"))
        Path("w.weights.h5").write_bytes(content)
        assert plan(later)[0].record == path
    found = study_records(later, read_records())
    assert [file.path for file in found.every_file] == [path]
    assert len(found.budgets["full"].records("later")) == 1  # not two seeds
    (line,) = found.problems
    assert "but its initial weights were others: it is left out" in line


def test_a_comparison_says_that_models_of_one_name_differ(there):
    (task,) = plan(BOTH, only="nets")
    write_net(NET.replace("relu", "tanh"))
    run = kzoo.train(task.recipe, directory="again", progress=False)
    assert "The code of model 'nets_of_a_study:net' changed between the runs" in compare(task.directory, run).notes()[0]
    assert not any("code of model" in note for note in compare(run, plan(BOTH, only="ours")[0].directory).notes())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, False),
        ({"dataset": "digits"}, True),
        ({"dataset": "digits", "model": "nets:net", "model_options": {}}, False),
        ({"dataset": "digits", "initial_weights": "runs/x"}, False),
        ({"dataset": "digits", "schedule": "functions:rate"}, False),
        ({"dataset": "digits", "model": "lenet1-max", "model_options": {}, "initial_weights": "lenet1-max:x"}, True),
    ],
)
def test_what_stands_for_itself(changes, named):
    assert names_all(OURS.override(**changes)) == named


def test_runs_of_the_zoo_load_no_backend(made, keep):
    keep(made(OURS.derive("u/zoo", dataset="digits")), Path("runs"))
    program = """
import sys
from kzoo.recipes import Recipe
from kzoo.studies import Entry, Study
from kzoo.studies.running import run_study
recipe = Recipe("u/zoo", model="mlp", model_options={"hidden": [4]}, dataset="digits", epochs=1, batch_size=60)
(task,) = run_study(Study("zoo", "ours", "Which?", (Entry(recipe, "zoo"),)))
print(task.status, [name for name in ("keras", "tensorflow", "jax", "torch") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split(maxsplit=1) == ["recorded", "[]\n"]
