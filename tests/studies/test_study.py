import pytest

from kzoo import studies
from kzoo.errors import InputError
from kzoo.recipes import Recipe
from kzoo.studies import Claim, Entry, Study, get_study, list_studies, register_study
from kzoo.studies.claims import Higher

A = Entry(Recipe("t/a", model="mlp"), "a", {"test_accuracy": 0.5})
B = Entry(Recipe("t/b", model="vgg08"), "b")


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(studies.REGISTRY, "added", {})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"entries": ()}, "study 't' has no entries"),
        ({"entries": (A, A)}, "two entries labelled 'a'"),
        ({"claims": (Claim("x", "ours", Higher("a", "c")),)}, "claim 'x' is about 'c', which is not an entry"),
        ({"columns": ("test_acuracy",)}, "unknown metric 'test_acuracy': did you mean 'test_accuracy'?"),
        ({"entries": (Entry(A.recipe, "a", {"accuracy": 1.0}), B)}, "unknown metric 'accuracy'"),
    ],
)
def test_what_cannot_be_a_study_is_refused(fields, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        Study(**{"name": "t", "report": "ours", "question": "?", "entries": (A, B), **fields})


def test_studies_by_name(registry):
    study = Study("mine", "ours", "Which?", (A, B))
    assert register_study(study) is study
    assert get_study("mine") is study
    assert list_studies("m*") == ["mine"]
    assert list_studies()[0] == "rescue"
    assert register_study(Study("mine", "ours", "Which?", (A, B))) == study
    with pytest.raises(InputError, match="study name 'rescue' is taken"):
        register_study(Study("rescue", "ours", "Which?", (A, B)))
    with pytest.raises(InputError, match="unknown study 'rescu': did you mean 'rescue'"):
        get_study("rescu")
    with pytest.raises(InputError, match="no entry 'c'"):
        study.entry("c")


def test_a_study_as_data():
    study = Study("mine", "ours", "Which?", (A, B), (Claim("x", "ours", Higher("a", "b")),))
    assert study.to_dict()["entries"][0] == {
        "label": "a",
        "recipe": "t/a",
        "reported": {"test_accuracy": 0.5},
        "note": "",
    }
    assert study.claims[0].labels == ("a", "b")
