"""Turns signals that request a stop into a flag, which callers check where it is safe to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
HANGUP: Any = getattr(signal, "SIGHUP", None)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether a signal has requested a stop; a second signal acts as usual.

    Signals: SIGINT, SIGTERM, SIGHUP (the terminal is closed; not under nohup) and SIGUSR1 (Slurm's ``--signal``).
    """
    flag = {"set": False}

    def first(before: dict[int, Any]) -> None:
        flag["set"] = True
        _restore(before)  # for the second signal

    with _handled(first):
        yield lambda: flag["set"]


@contextlib.contextmanager
def interrupted_with(message: str) -> Iterator[None]:
    """A context in which each of these signals raises a KeyboardInterrupt with a message."""

    def interrupt(before: dict[int, Any]) -> None:
        raise KeyboardInterrupt(message)

    with _handled(interrupt):
        yield


@contextlib.contextmanager
def _handled(handle: Callable[[dict[int, Any]], None]) -> Iterator[None]:
    """Call a function on each signal, with the handlers from before, which are restored afterwards."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other thread may handle signals
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]  # Windows lacks some
        before = {number: signal.getsignal(number) for number in numbers}
        if before.get(HANGUP) is signal.SIG_IGN:
            del before[HANGUP]  # nohup ignores it
    for number in before:
        signal.signal(number, lambda number, frame: handle(before))
    try:
        yield
    finally:
        _restore(before)


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
