"""A worker's side of keras-tuner's service, which outlives a chief's restart and does not outlive its loss.

keras-tuner's own client waits an hour for a chief that is not there, and ends with a traceback when an answer gets
lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from keras_tuner.errors import FatalError
from keras_tuner.src.distribute.oracle_client import OracleClient
from keras_tuner.src.engine.trial import Trial, TrialStatus

from kzoo.errors import RunFailed
from kzoo.search.addresses import Address
from kzoo.search.link import AWAY, PAUSE, Heart


class ChiefGone(RunFailed, FatalError):
    """The chief does not answer any more (keras-tuner takes any other error for the trial's)."""


class Client(OracleClient):
    """keras-tuner's client, patient with the chief for a time that is bounded."""

    def __init__(self, oracle: Any, heart: Heart, patience: float) -> None:
        """Ask for the trials of `oracle`; `patience` is how many seconds the chief may be away."""
        super().__init__(oracle)
        self.heart = heart
        self.stub: Any = _Patient(self.stub, heart.place, patience)

    def create_trial(self, tuner_id: str) -> Trial:
        """The next trial; waits until there is one, or no more."""
        while True:
            trial = super().create_trial(tuner_id)
            if trial.status != TrialStatus.IDLE:
                break
            time.sleep(PAUSE)  # keras-tuner asks again at once, and keeps the chief busy with that
        self.heart.trial = trial.trial_id if trial.status == TrialStatus.RUNNING else None
        return trial

    def end_trial(self, trial: Trial) -> None:
        """Tell a trial's end, unless it is another worker's by now and this one did not get through."""
        self.heart.trial = None
        if not self.heart.lost or trial.status == TrialStatus.COMPLETED:
            super().end_trial(trial)


class _Patient:
    """A gRPC stub whose calls are repeated while the chief is away."""

    def __init__(self, stub: Any, place: Address, patience: float) -> None:
        self._stub, self._place, self._patience = stub, place, patience

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._stub, name)

        def call(request: Any, **_: Any) -> Any:
            deadline = time.monotonic() + self._patience
            while True:
                left = deadline - time.monotonic()
                try:
                    return method(request, wait_for_ready=True, timeout=max(left, 0.1))
                except grpc.RpcError as error:
                    if error.code() in AWAY and left > 0:
                        time.sleep(PAUSE)
                        continue
                    why = "has not answered" if error.code() in (*AWAY, grpc.StatusCode.DEADLINE_EXCEEDED) else "failed"
                    raise ChiefGone(f"the chief at {self._place} {why}: {error.details()}") from None

        return call
