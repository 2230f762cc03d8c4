"""Signals that ask to stop, turned into a flag that is looked at where stopping is safe."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it, SIGINT and SIGTERM set a flag, read by the function it gives; a second one acts as ever."""
    flag = {"set": False}
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread may handle signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

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
