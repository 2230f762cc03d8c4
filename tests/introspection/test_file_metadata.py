"""Metadata of exported files."""

import zipfile

import pytest

from kzoo.introspection.file_metadata import as_properties, from_properties, read_metadata, write_inside


def test_labels_that_are_numbers(tmp_path):
    write_inside(tmp_path / "net.tflite", {"schema_version": 1, "class_names": [0, 1]})
    assert zipfile.ZipFile(tmp_path / "net.tflite").read("labels.txt") == b"0\n1\n"


def test_labels_have_one_line_each(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"a network")
    names = ["a\nb", "c\u2028d", "e  f", "\N{GREEK SMALL LETTER ALPHA}"]
    write_inside(path, {"schema_version": 1, "class_names": names})
    assert read_metadata(path)["class_names"] == names
    labels = zipfile.ZipFile(path).read("labels.txt").decode().splitlines()
    assert labels == ["a b", "c d", "e f", "\N{GREEK SMALL LETTER ALPHA}"]


@pytest.mark.parametrize("value", ["net", "12", "true", "NaN", "[1]", '"quoted"', "", 3, None, ["a"], {"b": 1.5}])
def test_properties_keep_values_and_types(value):
    properties = as_properties({"name": value})
    assert all(isinstance(text, str) for text in properties.values())
    assert from_properties(properties) == {"name": value}
