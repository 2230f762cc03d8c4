"""A list of jobs, worked through by supervised child processes, N at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from kzoo.errors import InputError
from kzoo.workers.jobs import Event, Job
from kzoo.workers.supervisor import Supervisor


def run_jobs(
    jobs: Iterable[Job],
    workers: int,
    *,
    watch: Callable[[Event], object] | None = None,
    tick: Callable[[], object] | None = None,
    ready: Callable[[Job], bool | None] | None = None,
    again: Callable[[Event], bool] | None = None,
    interval: float = 0.1,
    **options: Any,
) -> dict[str, Event]:
    """Run jobs to their ends, `workers` at a time, in order.

    Args:
        jobs: their keys differ.
        workers: how many at a time; the cores are divided between them (never into more parts than there are jobs).
        watch: called with every event.
        tick: called about every `interval` seconds, to refresh what is shown.
        ready: whether a job may start now. One that may not (False) is asked about again later, others go first; one
            that has become needless (None) is completed without a start.
        again: told of a job's failure, says whether to put it back into the queue, which costs it no restart.
        interval: seconds between two looks at the children.
        **options: `restarts`, `delay`, `grace` and `retry`, as for `Supervisor`.

    Returns:
        The last event of each job, by key: ``"completed"`` or ``"failed"``.

    Raises:
        InputError: two jobs have one key, or `workers` is not a positive integer.
        KeyboardInterrupt: after SIGINT or SIGTERM, when the children have ended; a second one kills them.
    """
    waiting = deque(jobs)
    by_key = {job.key: job for job in waiting}
    if len(by_key) < len(waiting):
        raise InputError("two jobs have the same key")
    ends: dict[str, Event] = {}
    limit = min(workers, max(len(waiting), 1)) if isinstance(workers, int) else workers

    def tell(events: list[Event]) -> None:
        for event in events:
            if event.kind == "failed" and again and again(event):
                waiting.append(by_key[event.key])
                continue
            if event.final:
                ends[event.key] = event
            if watch:
                watch(event)

    with Supervisor(limit, **options) as supervisor:
        while waiting or supervisor.running:
            if supervisor.interrupted:
                tell(supervisor.stop())
                raise KeyboardInterrupt("interrupted; the same command goes on where it stopped")
            for _ in range(len(waiting)):
                if not supervisor.free:
                    break
                job = waiting.popleft()
                now = ready is None or ready(job)
                if now:
                    supervisor.start(job)
                elif now is None:
                    tell([Event("completed", job.key, pid=0, starts=0, code=0)])
                else:
                    waiting.append(job)
            tell(supervisor.poll())
            if tick:
                tick()
            if waiting or supervisor.running:
                time.sleep(interval)
    return ends
