"""The two parts of a search that runs in several processes, also on several machines: its chief and its workers."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kzoo.backend import quiet_import
from kzoo.errors import InputError, InUse, RunFailed
from kzoo.files import write_atomically
from kzoo.interrupts import interruptible
from kzoo.search.addresses import Address, address, check_free
from kzoo.search.cluster import CHIEF, FOLDER
from kzoo.search.results import SearchResult
from kzoo.search.search import Search

TIMEOUT = 30.0
"""Seconds after which a worker that is not heard from is gone."""
PATIENCE = 600.0
"""Seconds that a chief waits for workers, and a worker for a chief that it has lost."""
WAIT = 10.0
"""Seconds within which a worker must find its chief."""
HANDOVER = 15.0
"""Seconds that a chief waits for the one before it to end."""


VARIABLES = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")


def run_chief(
    search: Search,
    directory: str | Path | None = None,
    *,
    bind: str = "127.0.0.1:7300",
    timeout: float = TIMEOUT,
    patience: float = PATIENCE,
    **options: Any,
) -> SearchResult:
    """Give out a search's trials to workers, until it is over.

    The service has no authentication: whoever reaches the port can take part, and can say what trials give.

    Args:
        search: the search; all its workers have the same.
        directory: of the search, which all its workers see; ``searches/<name>-<digest>`` if not given.
        bind: HOST:PORT to listen at.
        timeout: seconds after which the trial of a worker that is not heard from is given to another.
        patience: seconds after which the chief ends if there is no worker at all.
        **options: for `kzoo.search.running.make_tuner`.

    Raises:
        InputError: the port is taken, or the directory holds another search or is in use.
        RunFailed: the search was given up, or no worker came.
        KeyboardInterrupt: after SIGINT or SIGTERM; all that is needed to go on is saved.
    """
    _check_seconds(timeout=timeout, patience=patience)
    place = address(bind, "--bind")
    check_free(place)
    with _role(place, CHIEF), interruptible() as interrupted:
        return _serve(search, directory, place, timeout, patience, interrupted, options)


def _serve(
    search: Search,
    directory: str | Path | None,
    place: Address,
    timeout: float,
    patience: float,
    interrupted: Callable[[], bool],
    options: dict[str, Any],
) -> SearchResult:
    with quiet_import():
        from kzoo.search import running
        from kzoo.search.chief import serve
        from kzoo.search.steady import steady

    if interrupted():  # while Keras was loaded
        raise KeyboardInterrupt("interrupted; the same command goes on where it stopped")
    where = running.open_directory(search, directory)
    with _claimed(where):
        tuner = running.make_tuner(search, where, **options)
        steady(tuner.oracle, keep=True)
        token = uuid.uuid4().hex
        note = json.dumps({"address": str(place), "token": token})
        (where / FOLDER).mkdir(exist_ok=True)
        write_atomically(where / FOLDER / "chief.json", lambda stream: stream.write(note.encode()))
        serve(tuner.oracle, place, token, timeout=timeout, patience=patience, interrupted=interrupted)
        return running.finish(tuner.oracle, search, where)


def run_worker(
    search: Search,
    directory: str | Path | None = None,
    *,
    chief: str,
    name: str,
    wait: float = WAIT,
    patience: float = PATIENCE,
    **options: Any,
) -> None:
    """Train trials of a chief's search, until there are no more.

    Args:
        search: the chief's.
        directory: the chief's.
        chief: HOST:PORT at which it listens.
        name: unlike other workers'; one that is started again under its name goes on with its trial.
        wait: seconds within which the chief must be found.
        patience: seconds that a chief which was found may be away.
        **options: for `kzoo.search.running.make_tuner`.

    Raises:
        InputError: there is no chief, the name is in use or not allowed, or the directory is not the chief's.
        RunFailed: the chief is gone, or took this worker for dead.
        KeyboardInterrupt: after SIGINT or SIGTERM; a checkpoint was written.
    """
    deadline = time.monotonic() + wait if wait else 0.0
    _check_seconds(wait=wait, patience=patience)
    place = address(chief, "--chief")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) or "chief" in name:
        # keras-tuner takes a worker with "chief" in its name for one.
        raise InputError(f"name of a worker is of letters, digits, '_', '-' and '.', without 'chief', not {name!r}")
    from kzoo.search.link import Heart

    heart = Heart(place, name, _stop_training)
    with quiet_import():  # Keras, which takes seconds; the chief is called meanwhile
        from kzoo.search import running
        from kzoo.search.worker import Client

    token = heart.begin(max(deadline - time.monotonic(), 1.0))
    try:
        with _terminable(), _role(place, name):
            where = running.open_directory(search, directory)
            _check_shared(where, token, place)
            tuner = running.make_tuner(search, where, **options)
            if not search.own_process and "dataset" not in search.space:
                tuner.hypermodel.data_of(search.base)  # what is wrong with the data is wrong in all trials
            tuner.oracle = Client(tuner.oracle._oracle, heart, patience)
            tuner.search()
    except KeyboardInterrupt:
        if heart.lost:
            raise RunFailed("the chief had not heard from this worker, and gave its trial to another") from None
        raise
    finally:
        heart.end()


def _stop_training() -> None:
    """What Ctrl-C does: a checkpoint is written."""
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _terminable() -> Iterator[None]:
    """Within it, SIGTERM acts like Ctrl-C where no training is under way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt("interrupted; the same command goes on where it stopped")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _role(place: Address, name: str) -> Iterator[None]:
    """Tell keras-tuner which part this process has."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    before = dict(os.environ)
    os.environ.update(KERASTUNER_ORACLE_IP=host, KERASTUNER_ORACLE_PORT=str(place.port), KERASTUNER_TUNER_ID=name)
    try:
        yield
    finally:
        for variable in VARIABLES:
            os.environ.pop(variable, None)
            if variable in before:
                os.environ[variable] = before[variable]


@contextmanager
def _claimed(where: Path) -> Iterator[None]:
    """The search's directory is this chief's; one that was told to end may need a moment for it."""
    from kzoo.search import running

    deadline = time.monotonic() + HANDOVER
    claim: Any = running.claimed(where)
    while True:
        try:
            claim.__enter__()
            break
        except InUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    try:
        yield
    finally:
        claim.__exit__(None, None, None)


def _check_shared(where: Path, token: str, place: Address) -> None:
    """Refuse a directory that is not the chief's; a network file system may show its file late."""
    path = where / FOLDER / "chief.json"
    deadline = time.monotonic() + 10.0
    while True:
        try:
            if json.loads(path.read_text(encoding="utf-8"))["token"] == token:
                return
        except (OSError, ValueError, KeyError):
            pass
        if time.monotonic() > deadline:
            raise InputError(
                f"directory {str(where)!r} is not the one of the chief at {place}: chief and workers must share it"
            )
        time.sleep(0.5)


def _check_seconds(**given: float) -> None:
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise InputError(f"{name} must be a positive number of seconds, not {value!r}")
