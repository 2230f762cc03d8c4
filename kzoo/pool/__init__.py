"""Pools train runs, many at a time: in this process, in supervised child processes, or on a Ray cluster (no Keras).

A run is a `Job`: a function, named as ``module:function``, that is called with JSON data and writes one directory. A
pool takes jobs one by one, also while others run, and reports what happens to them as `Event` objects:

    with make_pool(workers=2) as pool:
        pool.submit(job)
        while pool.running:
            for event in pool.wait():
                ...  # submit more, if event.final

Three promises hold for every pool:

- One writer. A job starts only while no other process holds its directory's lock, so two programs that share a
  directory of runs train each run once. The other one's run is reported as ``"elsewhere"`` and waited for.
- Bounded restarts. A job whose process dies starts again and resumes from its checkpoint; its third death ends it.
- No orphans. A pool that is interrupted lets its jobs write checkpoints. One that is killed is missed by its children,
  who do the same.

A pool knows nothing of studies, searches, tables or records: a job is over when its `record` file exists.
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
        reuse: whether a process may run several jobs, one after another: it loads the backend once, but its memory is
            given back only at its end.

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
