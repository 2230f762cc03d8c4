"""A process of `kzoo.pool.children`: ``python -m kzoo.pool.child FD GRACE`` (no Keras until a job loads it).

The process reads jobs from standard input, one JSON object per line, and writes how each ended to the file descriptor
FD. The input ends when the parent no longer needs the process or has died. The process then interrupts a running job,
as Ctrl-C would, so that the job writes a checkpoint. After GRACE seconds it kills itself and all processes that it
started.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from typing import Any

from kzoo.pool.jobs import perform


def main(answers: int, grace: float) -> int:
    """Perform jobs until there are no more."""
    jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    busy, abandoned = threading.Event(), threading.Event()

    def read() -> None:
        for line in sys.stdin:
            busy.set()
            jobs.put(json.loads(line))
        jobs.put(None)
        if busy.is_set():
            abandoned.set()
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
        os.killpg(0, signal.SIGKILL)

    # Each job prints to its own log; its result goes to the parent.
    threading.Thread(target=read, daemon=True).start()
    try:
        while (job := jobs.get()) is not None:
            log = os.open(job["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            kind, reason = perform(job["function"], job["arguments"])
            sys.stdout.flush()
            busy.clear()
            os.write(answers, (json.dumps([kind, reason]) + "\n").encode())
    except KeyboardInterrupt:
        if abandoned.is_set():  # no other process would end those that this one started
            os.killpg(0, signal.SIGKILL)
        return 130
    return 0


if __name__ == "__main__":
    sys.path.append(os.getcwd())
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
