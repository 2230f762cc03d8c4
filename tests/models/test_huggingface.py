"""A weight set as a folder for Hugging Face."""

import json
from pathlib import Path

from kzoo.models.huggingface import publish
from kzoo.models.weight_sets import open_set


def test_a_new_or_empty_folder_becomes_a_set_with_a_description():
    weight_set, _ = open_set("lenet1-max:emnist")
    Path("empty").mkdir()
    for path in ("empty", Path("new", "inside")):
        folder = publish("lenet1-max:emnist", path)
        assert open_set(str(folder.resolve()))[0] == weight_set
        described = json.loads((folder / "config.json").read_text())
        assert (described["image_size"], described["num_channels"], described["num_labels"]) == ([28, 28], 1, 47)
        assert described["id2label"]["10"] == weight_set.class_names[10] == "A"
        assert described["label2id"]["A"] == 10
        assert (described["image_mean"], described["image_std"]) == (list(weight_set.mean), list(weight_set.std))
        assert described["weights"]["sha256"] == weight_set.sha256


def test_a_folder_below_the_home_directory_and_a_url_are_published_too(monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    first = publish("lenet1-max:emnist", "first")
    for source, folder in (("~/first", "second"), ((first / "set.json").resolve().as_uri(), "third")):
        card = publish(source, folder) / "README.md"
        assert card.read_bytes() == (first / "README.md").read_bytes()
