"""How a worker of a search keeps in touch with its chief (gRPC; no Keras)."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc

from kzoo.errors import InputError
from kzoo.search.addresses import Address

SERVICE, BEAT = "kzoo.Search", "Beat"
INTERVAL = 2.0
"""Seconds between two beats of a worker."""
PAUSE = 0.5
"""Seconds before something is tried again."""
OPTIONS = [("grpc.max_reconnect_backoff_ms", 2000), ("grpc.initial_reconnect_backoff_ms", 200)]
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""What a call ends with if nobody is there, or no longer."""


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
        self._call = self._channel.unary_unary(f"/{SERVICE}/{BEAT}")
        self._ready = grpc.channel_ready_future(self._channel)  # begins to connect
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
        try:
            token = self._greet(wait)
        except BaseException:
            self._channel.close()
            raise
        self._thread.start()
        return token

    def _greet(self, wait: float) -> str:
        deadline = time.monotonic() + wait
        try:
            self._ready.result(timeout=wait)
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
                return str(answer["token"])
            if time.monotonic() > deadline:
                raise InputError(f"a worker {self.name!r} is at work already: choose another name")
            time.sleep(PAUSE)  # it may be a dead one's name, whom we replace

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
            channel.unary_unary(f"/{SERVICE}/{BEAT}")(json.dumps(said).encode(), timeout=INTERVAL)
        except grpc.RpcError:
            return False
    return True
