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
    # The signals to handle, with their present handlers.
    flag = {"set": False}
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread may handle signals
        return
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]  # Windows lacks some
    before = {number: signal.getsignal(number) for number in numbers}
    if before.get(HANGUP) is signal.SIG_IGN:
        del before[HANGUP]  # nohup ignores it

    # The first signal sets the flag and restores the handlers, for the second one.
    def handle(number: int, frame: Any) -> None:
        flag["set"] = True
        for number_, handler in before.items():
            signal.signal(number_, handler)

    for number in before:
        signal.signal(number, handle)
    try:
        yield lambda: flag["set"]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
