"""The user's configuration: where it is stored, what it holds, and what overrides it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kzoo.configuration import DATA_DIR, configuration_file, configure, configured
from kzoo.data.tfds.prepared import data_folder
from kzoo.errors import InputError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory, and no variable that names another directory."""
    for variable in ("KZOO_CONFIG", "XDG_CONFIG_HOME", "APPDATA", "KZOO_DATA_DIR", "TFDS_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "home/.config/kzoo/config.json"),
        ("linux", {"XDG_CONFIG_HOME": "xdg"}, "xdg/kzoo/config.json"),
        ("darwin", {"XDG_CONFIG_HOME": "xdg"}, "home/Library/Application Support/kzoo/config.json"),
        ("win32", {"APPDATA": "roaming"}, "roaming/kzoo/config.json"),
        ("linux", {"XDG_CONFIG_HOME": "xdg", "KZOO_CONFIG": "own"}, "own/config.json"),
    ],
)
def test_it_is_where_the_platform_has_such_files(
    platform: str,
    variables: dict[str, str],
    expected: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert configuration_file() == tmp_path / expected


def test_stored_values_are_read_and_the_environment_wins(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured(DATA_DIR) is None
    assert data_folder(None) == (home / "tensorflow_datasets", False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    assert data_folder(None) == (tmp_path / "tfds", True)
    configure(DATA_DIR, str(tmp_path / "kept"))
    assert data_folder(None) == (tmp_path / "kept", True)
    monkeypatch.setenv("KZOO_DATA_DIR", str(tmp_path / "set"))
    assert data_folder(None) == (tmp_path / "set", True)
    assert data_folder(tmp_path / "given") == (tmp_path / "given", True)


def test_other_fields_stay_when_one_is_stored(home: Path) -> None:
    file = configure(DATA_DIR, "a")
    file.write_text(json.dumps({"colour": "blue", **json.loads(file.read_text())}))
    configure(DATA_DIR, "b")
    assert json.loads(file.read_text()) == {"colour": "blue", DATA_DIR: "b"}
    assert [path.name for path in file.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize("content", ["{", "[]", '{"data_dir": 3}', "\x00"])
def test_a_damaged_configuration_is_one_error_and_is_not_overwritten(content: str, home: Path) -> None:
    file = configure(DATA_DIR, "a")
    file.write_text(content)
    for use in (lambda: data_folder(None), lambda: configure(DATA_DIR, "b")):
        with pytest.raises(InputError, match="repair or delete it"):
            use()
    assert file.read_text() == content


def test_data_dir_is_stored_by_kzoo_data(home: Path, tmp_path: Path, command: Any) -> None:
    (tmp_path / "pictures").mkdir()
    code, text, errors = command("data", "--data-dir", tmp_path / "pictures", "--json")
    assert code == 0
    assert json.loads(text)
    assert f"other commands look in {tmp_path / 'pictures'} too" in " ".join(errors.split())
    code, text, errors = command("data", "--json")
    assert (code, errors) == (0, "")
    assert str(tmp_path / "pictures") in {row["name"]: row["detail"] for row in json.loads(text)}["mnist"]


def test_a_missing_directory_is_not_stored(home: Path, command: Any) -> None:
    code, _, errors = command("data", "--data-dir", "nowhere", "--json")
    assert code == 0
    assert "warning: --data-dir is not saved for other commands: 'nowhere' is not a directory" in errors
    assert configured(DATA_DIR) is None


def test_a_home_that_cannot_be_written_to_is_a_warning(home: Path, tmp_path: Path, command: Any) -> None:
    home.write_text("a file where the home directory should be")
    (tmp_path / "pictures").mkdir()
    code, text, errors = command("data", "--data-dir", tmp_path / "pictures", "--json")
    assert code == 0
    assert json.loads(text)
    assert "warning: --data-dir is not saved for other commands" in errors
