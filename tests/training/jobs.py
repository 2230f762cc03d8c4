"""Run by tests as a child process: trains a list of jobs one after another and kills itself if a job says so.

Each job is ``{"directory": ..., "recipe": {...}, "kill": null | {"epoch": e, "step": s} | {"write": n}}``: SIGKILL
after that step of that epoch (from 0), or in the middle of the n-th checkpoint that this process writes.
"""

import json
import os
import signal
import sys

import kzoo
from kzoo.training import checkpoint


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    import keras
    import numpy as np

    class Killer(keras.callbacks.Callback):
        def __init__(self, epoch: int, step: int) -> None:
            super().__init__()
            self.at = (epoch, step)

        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.now = epoch

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            if (self.now, batch) == self.at:
                die()

        def state(self) -> dict:
            return {}

        def restore(self, state: dict) -> None:
            pass

    savez, writes = np.savez, {"left": 0}

    def dying_savez(stream, **arrays):
        savez(stream, **arrays)
        writes["left"] -= 1
        if writes["left"] == 0:
            stream.truncate(stream.tell() // 2)  # half of it has reached the disk
            stream.flush()
            die()

    checkpoint.np.savez = dying_savez
    for job in json.loads(sys.argv[1]):
        kill = job["kill"] or {}
        writes["left"] = kill.get("write", 0)
        # A callback with other arguments is another callback, but Keras's base class can replace any callback.
        killer = Killer(kill["epoch"], kill["step"]) if "epoch" in kill else keras.callbacks.Callback()
        recipe = kzoo.Recipe(**job["recipe"])
        kzoo.train(
            recipe,
            directory=job["directory"],
            callbacks=[killer],
            progress=False,
            checkpoint_minutes=job.get("minutes", 0.0),
        )


if __name__ == "__main__":
    main()
