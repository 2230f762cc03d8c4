"""The pool in this process, and what all pools share."""

import importlib.util

import pytest

from kzoo.errors import InputError
from kzoo.locks import lock
from kzoo.pool import Children, Here, OnRay, make_pool
from tests.pool.conftest import kinds


def test_jobs_run_in_turn_and_say_how_they_end(job, finish):
    jobs = [
        job("good", "finish"),
        job("bad", "fail", error="RunFailed"),
        job("refused", "fail", error="InputError"),
        job("broken", "fail", error="other"),
        job("full", "fail", error="NotWritten"),
    ]
    events = finish(Here(), jobs)
    assert {key: kinds(ends) for key, ends in events.items()} == {
        "good": ["started", "done"],
        "bad": ["started", "failed"],
        "refused": ["started", "refused"],
        "broken": ["started", "failed"],
        "full": ["started", "unwritten"],
    }
    assert [events[key][-1].reason for key in ("bad", "refused", "broken")] == [
        "no luck today", "no luck today", "OSError: no luck today",
    ]  # fmt: skip


def test_a_job_with_a_record_is_over_without_a_start(job, finish):
    done = job("done", "finish")
    done.directory.mkdir()
    done.record.write_text("as it was")
    assert kinds(finish(Here(), [done])["done"]) == ["done"]
    assert done.record.read_text() == "as it was"


def test_a_directory_has_one_writer_and_is_waited_for(job, monkeypatch):
    monkeypatch.setattr("kzoo.pool.jobs.WAIT", 0.05)
    first, second = job("first", "finish"), job("second", "finish")
    first.directory.mkdir()
    held = lock(first.directory, "trains")
    events = []
    with Here() as pool:
        pool.submit(first)
        pool.submit(second)
        assert (pool.free, pool.running) == (-1, ("first", "second"))
        while second.key in pool.running:
            events += pool.wait()
        for _ in range(10):
            events += pool.wait()
        held.release()
        while pool.running:
            events += pool.wait()
    assert [(event.job.key, event.kind) for event in events] == [
        ("first", "elsewhere"), ("second", "started"), ("second", "done"), ("first", "started"), ("first", "done"),
    ]  # fmt: skip


def test_options_choose_the_pool():
    assert isinstance(make_pool(), Here)
    pool = make_pool(2)
    assert (type(pool), pool.slots, pool.reuse) == (Children, 2, False)
    assert make_pool(1, reuse=True).reuse
    if importlib.util.find_spec("ray") is not None:
        assert isinstance(make_pool(2, "local"), OnRay)


def test_bad_input(job):
    for workers in (0, -1, True, 1.5, "2"):
        with pytest.raises(InputError, match=f"workers must be a positive integer, not {workers!r}"):
            make_pool(workers)
    with Here() as pool:
        pool.submit(job("a", "finish"))
        with pytest.raises(InputError, match="job 'a' is in the pool already"):
            pool.submit(job("a", "finish"))
