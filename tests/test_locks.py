"""Only one process writes to a directory, and a process that only reads leaves nothing behind."""

from pathlib import Path

import pytest

from kzoo.errors import InUse
from kzoo.locks import in_use, lock


def test_a_lock_is_seen_and_refused():
    Path("run").mkdir()
    held = lock(Path("run"), "trains")
    assert in_use(Path("run"))
    with pytest.raises(InUse, match="directory 'run' is in use: another process searches there"):
        lock(Path("run"), "searches", seconds=0)
    held.release()
    assert not in_use(Path("run"))
    lock(Path("run"), "trains", seconds=0).release()


def test_looking_makes_no_file():
    assert not in_use(Path("nowhere"))
    Path("empty").mkdir()
    assert not in_use(Path("empty"))
    Path("file").touch()
    assert not in_use(Path("file"))
    assert sorted(path.name for path in Path().rglob("*")) == ["empty", "file"]
