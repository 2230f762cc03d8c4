"""The simplest pool: one job after another, in this process."""

from __future__ import annotations

import time

from kzoo.pool.jobs import INTERVAL, WAIT, Event, Job, Pool, perform


class Here(Pool):
    """Trains in this process. `wait` reports a job as started, and trains it when it is called again.

    The peak memory in a run's record is then that of all runs so far: compare memory from separate processes.
    """

    here = True

    def __init__(self) -> None:
        """Take one job at a time."""
        super().__init__(1)
        self._current: Job | None = None

    def wait(self, seconds: float = INTERVAL) -> list[Event]:
        """See `Pool.wait`; it lasts as long as the job that it trains."""
        if self._current is not None:
            job, self._current = self._current, None
            self._ended(job, *perform(job.function, job.arguments))
            return self._taken()

        self._current = self._next()
        if self._current is not None:
            self._events.append(Event("started", self._current))
        elif self._queue and not self._events:
            time.sleep(WAIT)
        return self._taken()
