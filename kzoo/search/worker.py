"""A worker of a search: keras-tuner's client, which outlives a chief's restart and does not outlive its loss.

keras-tuner's own waits an hour for a chief that is not there, and ends with a traceback when an answer gets lost.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc
from keras_tuner.errors import FatalError
from keras_tuner.src.distribute.oracle_client import OracleClient
from keras_tuner.src.engine.trial import Trial, TrialStatus

from kzoo.errors import InputError, RunFailed
from kzoo.search.addresses import Address

BEAT = "/kzoo.Search/Beat"
INTERVAL = 2.0
PAUSE = 0.5
"""Seconds before a worker for which there is no trial at the moment asks again."""
OPTIONS = [("grpc.max_reconnect_backoff_ms", 2000), ("grpc.initial_reconnect_backoff_ms", 200)]
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class ChiefGone(RunFailed, FatalError):
    """The chief does not answer any more (keras-tuner takes any other error for the trial's)."""


class Heart:
    """Tells the chief every few seconds that this worker lives, in a thread.

    Attributes:
        lost: whether the chief has given this worker's trial to another.
    """

    def __init__(self, place: Address, name: str, give_up: Callable[[], object]) -> None:
        """Beat for worker `name` of the chief at `place`; `give_up` is called once if its trial is lost."""
        self.place, self.name, self.give_up = place, name, give_up
        self.token, self.lost = uuid.uuid4().hex, False
        self._trial: str | None = None
        self._since = 0  # counts the trials, so that an answer to an older beat is known as such
        self._over = threading.Event()
        self._channel = grpc.insecure_channel(str(place), options=OPTIONS)
        self._call = self._channel.unary_unary(BEAT)
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    @property
    def trial(self) -> str | None:
        """Name of the trial that this worker is at."""
        return self._trial

    @trial.setter
    def trial(self, name: str | None) -> None:
        self._since += 1
        self._trial = name

    def begin(self, wait: float) -> str:
        """Make contact, and start to beat; gives the chief's token.

        Raises:
            InputError: there is no chief, or another worker has this name.
        """
        deadline = time.monotonic() + wait
        try:
            grpc.channel_ready_future(self._channel).result(timeout=wait)
        except grpc.FutureTimeoutError:
            raise InputError(f"no chief of a search at {self.place}: it is not running, or cannot be reached") from None
        while True:
            try:
                answer = self._beat()
            except grpc.RpcError as error:
                if error.code() in AWAY and time.monotonic() < deadline:
                    time.sleep(PAUSE)
                    continue
                raise InputError(f"what listens at {self.place} is not the chief of a search") from None
            if answer["state"] != "taken":
                break
            if time.monotonic() > deadline:
                raise InputError(f"a worker {self.name!r} is at work already: choose another name")
            time.sleep(PAUSE)  # it may be a dead one's name, whom we replace
        self._thread.start()
        return answer["token"]

    def end(self, left: str | None = "ended") -> None:
        """Stop beating, and say goodbye."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=INTERVAL)
        if left is not None:
            say_left(self.place, self.name, self.token, left)
        self._channel.close()

    def _beat(self) -> Any:
        said = {"worker": self.name, "token": self.token, "trial": self._trial, "left": None}
        return json.loads(self._call(json.dumps(said).encode(), timeout=INTERVAL * 2))

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            since = self._since
            try:
                answer = self._beat()
            except grpc.RpcError:
                continue  # the chief may be starting again
            if answer["state"] != "ok" and since == self._since and not self._over.is_set():
                self.lost = True
                self.give_up()
                return


def say_left(place: Address, name: str, token: str, left: str) -> bool:
    """Tell a chief that a worker is gone: it ``"ended"``, or ``"died"`` for good; whether the chief has heard it."""
    said = {"worker": name, "token": token, "trial": None, "left": left}
    with grpc.insecure_channel(str(place)) as channel:
        try:
            channel.unary_unary(BEAT)(json.dumps(said).encode(), timeout=INTERVAL)
        except grpc.RpcError:
            return False
    return True


class Client(OracleClient):
    """keras-tuner's client, patient with the chief for a time that is bounded."""

    def __init__(self, oracle: Any, heart: Heart, patience: float) -> None:
        """Ask for the trials of `oracle`; `patience` is how many seconds the chief may be away."""
        super().__init__(oracle)
        self.heart = heart
        self.stub = _Patient(self.stub, heart.place, patience)

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


def stop_this() -> None:
    """Stop what this process trains: as Ctrl-C would, so that a checkpoint is written."""
    os.kill(os.getpid(), signal.SIGTERM)
