"""Child processes on one machine, supervised: used by studies and searches, tied to neither (no Keras).

`run_jobs` works through a list, N at a time; a `Supervisor` keeps named, long-lived workers alive.
"""

from __future__ import annotations

from kzoo.workers.jobs import Event, Job
from kzoo.workers.queue import run_jobs
from kzoo.workers.resources import Share, divide, shares
from kzoo.workers.supervisor import Supervisor

__all__ = ["Event", "Job", "Share", "Supervisor", "divide", "run_jobs", "shares"]
