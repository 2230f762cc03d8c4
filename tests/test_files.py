"""Files are written whole or not at all, and a file that cannot be read is one error."""

import stat
from pathlib import Path

import pytest

from kzoo.errors import InputError, NotWritten
from kzoo.files import make_directory, read_json, write_atomically, write_json, write_text


def test_what_cannot_be_written_leaves_what_was_there():
    path = Path("kept.txt")
    write_text(path, "before")

    def fails(stream):
        stream.write(b"half of")
        raise OSError(28, "No space left on device")

    with pytest.raises(NotWritten, match=r"cannot write 'kept\.txt': No space left on device; what was there before"):
        write_atomically(path, fails)
    assert path.read_text() == "before"
    assert [file.name for file in Path().iterdir()] == ["kept.txt"]
    with pytest.raises(NotWritten, match="No such file or directory"):
        write_text(Path("nowhere", "x"), "")
    with pytest.raises(NotWritten, match="Not a directory"):
        write_text(path / "x", "")


def test_two_processes_can_write_a_file_at_once():
    path = Path("shared.txt")

    def write(stream):
        stream.write(b"first")
        write_text(path, "of another process")  # which begins later and ends earlier
        assert path.read_text() == "of another process"

    write_atomically(path, write)
    assert path.read_text() == "first"
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, lambda stream: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert list(Path().iterdir()) == [path]


def test_links_stay_links_and_files_keep_their_permissions():
    real, link = Path("real.json"), Path("link.json")
    real.write_text("before")
    real.chmod(0o600)
    link.symlink_to(real)
    write_text(link, "after")
    assert link.is_symlink()
    assert real.read_text() == "after"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_json_with_and_without_line_breaks():
    content = {"a": [1, "\u00e9"]}
    write_json(Path("a.json"), content)
    assert Path("a.json").read_text() == '{\n "a": [\n  1,\n  "\\u00e9"\n ]\n}\n'
    write_json(Path("a.json"), content, indent=None)
    assert Path("a.json").read_text() == '{"a":[1,"\\u00e9"]}\n'
    assert read_json(Path("a.json")) == content
    Path("a.json").write_text("{")
    for path in (Path("a.json"), Path("b.json")):
        with pytest.raises(InputError, match=rf"record '{path}' cannot be read \(.*\): get it again"):
            read_json(path, "record", ": get it again")


def test_what_a_killed_process_left_is_written_over():
    Path(".a.json.tmp").write_text("left")
    write_json(Path("a.json"), [1], locked=True)
    assert sorted(path.name for path in Path().iterdir()) == ["a.json"]


def test_directories_may_exist():
    for _ in range(2):
        assert make_directory(Path("a", "b")).is_dir()
    Path("file").touch()
    with pytest.raises(InputError, match="directory 'file' cannot be made: File exists"):
        make_directory(Path("file"))
