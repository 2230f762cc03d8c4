"""Only one process writes to a run's directory, and a refused one leaves nothing there."""

import threading
import time
from pathlib import Path

import pytest

from kzoo.errors import InputError, InUse
from kzoo.training.directory import claimed


def test_never_two_at_once_though_each_takes_the_directory_away():
    directory, inside, wrong, held = Path("runs/x"), [], [], []
    end = time.monotonic() + 0.25

    def refused_again_and_again():
        while time.monotonic() < end:
            try:
                with claimed(directory):
                    inside.append(1)
                    wrong.extend(["two at once"] * (len(inside) > 1))
                    time.sleep(0.001)
                    inside.pop()
                    held.append(1)
                    raise KeyError
            except (KeyError, InUse):
                pass
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=refused_again_and_again) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert held
    # A process that removes a directory while another creates it may leave it, but no files in it.
    assert not [path for path in Path("runs").rglob("*") if path.is_file()]


def test_a_moment_is_waited_for_and_no_more():
    directory = Path("runs/x")
    inside = threading.Event()

    def hold(seconds):
        with claimed(directory):
            inside.set()
            time.sleep(seconds)

    for seconds in (0.05, 0.6):
        inside.clear()
        other = threading.Thread(target=hold, args=(seconds,))
        other.start()
        inside.wait()
        if seconds < 0.3:
            with claimed(directory):
                pass
        else:
            with pytest.raises(InUse, match="is in use: another process trains there"), claimed(directory):
                pass
        other.join()
    assert [path.name for path in directory.iterdir()] == [".lock"]


def test_what_another_process_left_meanwhile_stays(monkeypatch):
    # The directory was empty when it was checked, but another process trained there before the lock was free.
    directory = Path("runs/x")
    looked = claimed._make

    def look_and_lose(self):
        looked(self)
        if not (directory / "recipe.json").exists():
            (directory / "recipe.json").write_text("another's")

    monkeypatch.setattr(claimed, "_make", look_and_lose)
    with pytest.raises(KeyError), claimed(directory):
        raise KeyError
    assert (directory / "recipe.json").read_text() == "another's"


def test_paths_that_cannot_be_directories(tmp_path):
    Path("file").write_text("")
    with pytest.raises(InputError, match="'file' is a file"), claimed(Path("file/inside")):
        pass
    Path("nowhere").symlink_to("gone")
    with pytest.raises(InputError, match="nowhere"), claimed(Path("nowhere")):
        pass
    Path("strange").mkdir()
    Path("strange/notes.txt").write_text("")
    with pytest.raises(InputError, match=r"'notes\.txt' and no recipe\.json"), claimed(Path("strange")):
        pass
    assert [path.name for path in Path("strange").iterdir()] == ["notes.txt"]
