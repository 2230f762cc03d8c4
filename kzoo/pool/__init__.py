"""Pools train many runs: in this process, in supervised child processes, or on a Ray cluster (no Keras).

A run is a `Job`: a function, named as ``module:function``, that is called with JSON data and writes one directory. A
pool takes jobs one by one, even while others run, and reports what happens to them as `Event` objects:

    with make_pool(workers=2) as pool:
        pool.submit(job)
        while pool.running:
            for event in pool.wait():
                ...  # submit more, if event.final

Every pool guarantees:

- One writer. A job starts only while no other process holds its directory's lock, so two programs that share a
  directory of runs train each run once. A run that the other program trains is reported as ``"elsewhere"``, and the
  pool waits for it.
- Bounded restarts. If a job's process dies, the job starts again and resumes from its checkpoint; after the third
  death, it fails.
- No orphans. A pool that is interrupted lets its jobs write checkpoints. If a pool is killed, its child processes
  notice and do the same.

A pool does not depend on studies, searches, tables or the content of records: a job has ended when its `record` file
exists.
"""

from __future__ import annotations

from kzoo.checks import is_whole
from kzoo.errors import InputError
from kzoo.pool.children import Children
from kzoo.pool.jobs import Event, Here, Job, Pool
from kzoo.pool.on_ray import OnRay
from kzoo.pool.resources import Share, divide, shares

__all__ = ["Children", "Event", "Here", "Job", "OnRay", "Pool", "Share", "divide", "make_pool", "shares"]


def make_pool(workers: int | None = None, on: str | None = None, *, reuse: bool = False) -> Pool:
    """The pool that the options ``--workers`` and ``--on`` ask for.

    Args:
        workers: jobs at a time.
        on: address of a Ray cluster, see `OnRay`.
        reuse: whether a process may run several jobs, one after another: it loads the backend only once, but releases
            its memory only when it ends.

    Returns:
        A pool on the cluster if `on` is given, of child processes if `workers` is given, otherwise in this process.

    Raises:
        InputError: `workers` is not a positive integer, or Ray is not installed.
    """
    if workers is not None and not is_whole(workers):
        raise InputError(f"workers must be a positive integer, not {workers!r}")
    if on is not None:
        return OnRay(on, workers, reuse=reuse)
    return Here() if workers is None else Children(workers, reuse=reuse)
