"""One rule for the names of models, datasets, recipes and studies."""

import dataclasses

import pytest

import kzoo
from kzoo.data import datasets
from kzoo.errors import InputError
from kzoo.registry import Registry


@dataclasses.dataclass(frozen=True)
class Thing:
    name: str
    value: object = 0


def build():
    return None


def test_built_in_things_keep_their_order_and_added_ones_are_sorted():
    things = Registry("thing", lambda: [Thing("b"), Thing("a")])
    for name in ("d1", "c"):
        things.add(Thing(name))
    assert things.names() == ["b", "a", "c", "d1"]
    assert things.names("?1") == ["d1"]
    assert things.get("c") is things.find("c") is things.added["c"]
    assert things.find("e") is None
    with pytest.raises(InputError, match="unknown thing 'aa': allowed are a, b, c, d1"):
        things.get("aa")


def test_a_name_stands_for_one_thing():
    things = Registry("thing", lambda: [Thing("a")])
    assert things.add(Thing("b", 1)) == things.add(Thing("b", 1))
    assert things.add(Thing("a")).name == "a"
    assert list(things.added) == ["b"]
    for thing in (Thing("b", 2), Thing("a", 1)):
        with pytest.raises(InputError, match=f"thing name {thing.name!r} is taken by another thing"):
            things.add(thing)


def test_a_function_that_is_defined_again_is_the_same():
    things = Registry("thing", list)
    namespaces = [{"__name__": "notebook"}, {"__name__": "notebook"}]
    for namespace in namespaces:
        exec("def make(): ...", namespace)
        things.add(Thing("b", namespace["make"]))
    assert things.get("b").value is namespaces[1]["make"]
    with pytest.raises(InputError, match="taken"):
        things.add(Thing("b", build))


def test_datasets_keep_to_the_rule(monkeypatch):
    monkeypatch.setattr(datasets.REGISTRY, "added", {})
    datasets.register_dataset("mine", "module:load", classes=2)
    datasets.register_dataset("mine", "module:load", classes=2)
    with pytest.raises(InputError, match="dataset name 'mine' is taken by another dataset"):
        datasets.register_dataset("mine", "module:load", classes=3)


@pytest.mark.parametrize(
    ("look_up", "name", "message"),
    [
        (kzoo.get_recipe, "rescue", "'rescue' is a study, not a recipe: kzoo study run rescue trains its recipes"),
        (
            kzoo.get_recipe,
            "digits",
            "'digits' is a dataset, not a recipe: choose a model or a recipe, and add dataset='digits' "
            "(--dataset digits)",
        ),
        (kzoo.get_study, "vgg08", "'vgg08' is a model, not a study (kzoo study list shows all studies)"),
        (kzoo.get_dataset, "rescue/bn", "'rescue/bn' is a recipe, not a dataset; its dataset is 'cifar100'"),
        (kzoo.create_model, "digits", "'digits' is a dataset, not a model (kzoo list shows all models)"),
    ],
)
def test_an_unknown_name_that_something_else_has(look_up, name, message):
    with pytest.raises(InputError) as caught:
        look_up(name)
    assert str(caught.value) == message
