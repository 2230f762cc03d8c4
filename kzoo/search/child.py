"""A trial in a process of its own: all its memory is given back, and what it may take can be limited.

``python -m kzoo.search.child JOB`` trains one; JOB is a JSON file that `in_child` writes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from kzoo.errors import InputError, KzooError
from kzoo.search.records import OUTCOME, Outcome
from kzoo.search.results import read_outcome, write_json
from kzoo.search.search import Search, load_search
from kzoo.workers import Event, Job, Supervisor
from kzoo.workers.supervisor import BAD_INPUT

JOB, LOG = "job.json", "log.txt"
INTERVAL = 0.1


def in_child(
    search: Search,
    hp: dict[str, Any],
    place: Path,
    facts: dict[str, Any],
    *,
    weights: str,
    data_dir: str | Path | None,
    checkpoint_minutes: float,
) -> Outcome:
    """Run a trial in a child process.

    Args:
        search: whose trial it is.
        hp: keras-tuner's values, as their ``get_config`` gives them.
        place: the trial's directory.
        facts: what the outcome says beside.
        weights: file for the weights of the best epoch.
        data_dir, checkpoint_minutes: as for `kzoo.run_search`.

    Returns:
        How it ended. A child that dies leaves a failed trial: nothing tells what killed it from what would again.

    Raises:
        InputError: the child could not use its input: no trial could.
        KeyboardInterrupt: interrupted; the child has written a checkpoint.
    """
    own = {"recipe": search.base.model_dump(mode="json"), "space": search.checked_space.to_dict()}
    job = {
        **{name: getattr(search, name) for name in PASSED},
        **own,
        "model": model_reference(search),
        "hp": hp,
        "facts": facts,
        "weights": weights,
        "data_dir": str(data_dir) if data_dir is not None else None,
        "checkpoint_minutes": checkpoint_minutes,
    }
    write_json(place / JOB, job)
    (place / OUTCOME).unlink(missing_ok=True)
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    task = Job(
        "trial", [sys.executable, "-m", "kzoo.search.child", str(place / JOB)], place / LOG, {"PYTHONPATH": path}
    )
    end = _wait(task)
    if (place / OUTCOME).exists():
        return read_outcome(place / OUTCOME)
    if end.code == BAD_INPUT:
        raise InputError(end.tail.splitlines()[-1] if end.tail else end.reason)
    return Outcome(status="failed", reason=_why(end, search.memory), **facts)


PASSED = ("name", "objective", "tuner", "stop_poor", "max_parameters", "max_multiply_adds", "memory")


def _wait(job: Job) -> Event:
    with Supervisor(1, restarts=0) as supervisor:
        supervisor.start(job)
        while True:
            for event in supervisor.poll():
                if event.final:
                    return event
            if supervisor.interrupted:
                supervisor.stop()
                raise KeyboardInterrupt("interrupted; the same command goes on where it stopped")
            time.sleep(INTERVAL)


def _why(end: Event, memory: float | None) -> str:
    """Why a child has died without a word in the right place."""
    killed = end.code is not None and end.code in (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV)
    if killed and (end.code == -signal.SIGKILL or "alloc" in end.tail or "memory" in end.tail.lower() or memory):
        limit = f" (limit: {memory:g} GiB)" if memory else ""
        return f"out of memory, most likely{limit}: its process was {end.reason}"
    return f"its process died: {end.reason}"


def model_reference(search: Search) -> Any:
    """What gives a child the search's model function: None, ``module:function``, or the search's file.

    Raises:
        InputError: the function cannot be imported.
    """
    if search.model is None or isinstance(search.model, str):
        return search.model
    if search.source is not None:
        return {"file": str(search.source)}
    module, name = search.model.__module__, search.model.__qualname__
    if module == "__main__" or "<" in name or "." in name:
        raise InputError(
            f"own_process needs a model function that another process can import, not {module}:{name}: "
            "put it into a module, or the search into a file of its own"
        )
    return f"{module}:{name}"


def limit_memory(gib: float) -> None:
    """Let this process allocate no more than so much memory; does nothing where the system cannot.

    The limit is on private writable memory (RLIMIT_DATA), not on addresses, of which backends reserve far more.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main(path: Path) -> int:
    """Train the trial of a job; its outcome is left beside the job."""
    job = json.loads(path.read_text(encoding="utf-8"))
    if job["memory"] is not None:
        limit_memory(job["memory"])
    from kzoo.backend import quiet_import

    with quiet_import():
        from kzoo.search import attempt as trying
    place = path.parent
    try:
        search = _search(job)
        hyper_model = trying.hyper_model(search, job["data_dir"], job["checkpoint_minutes"])
    except KzooError as error:
        print(error, flush=True)
        return BAD_INPUT

    def train() -> Any:
        import keras_tuner

        hp = keras_tuner.HyperParameters.from_config(job["hp"])
        options: dict[str, Any] = {"directory": place / "run"}
        if "tuner/epochs" in hp.values:
            options |= {"epochs": hp.values["tuner/epochs"], "initial_epoch": hp.values["tuner/initial_epoch"]}
        hyper_model.continue_trial(hp, place)
        callbacks = trying.watchers(search, place, job["weights"])
        return hyper_model.fit(hp, hyper_model.build(hp), callbacks=callbacks, **options)

    outcome, _ = trying.attempt(train, place, search, job["facts"])
    write_json(place / OUTCOME, outcome.model_dump(mode="json"))
    return 0


def _search(job: dict[str, Any]) -> Search:
    """The search again, as far as one trial needs it."""
    from kzoo.recipes.schema import Recipe
    from kzoo.search.declared import from_dict

    model = job["model"]
    if isinstance(model, dict):
        model = load_search(model["file"]).model
    options = {name: job[name] for name in PASSED if name not in ("name", "memory")}
    return Search(job["name"], Recipe(**job["recipe"]), from_dict(job["space"]), model=model, **options)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(130)
