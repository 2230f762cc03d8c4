"""The chief of a search: keras-tuner's gRPC service around an oracle, with a watch on the workers.

Beside keras-tuner's calls there is one of ours, `Beat`, by which a worker says every few seconds that it lives and
which trial it is at. A worker that falls silent loses its trial to the others; if it was only out of reach, it is told
so when it is back. So times are all of the chief's clock, and no file system has to agree on them.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer
from keras_tuner.src.engine.trial import TrialStatus

from kzoo.errors import InputError, RunFailed
from kzoo.search.addresses import Address
from kzoo.search.link import BEAT, INTERVAL, SERVICE

RECONNECT = 15.0
"""Seconds after its start within which a chief that was started again must have heard from a worker."""
FAREWELL = 5.0
"""Seconds that a chief waits at the end for workers that have not been told."""


@dataclass
class _Worker:
    token: str  # of the process: a worker that is started again has another one
    last: float
    told: bool = False  # that the search is over
    left: str | None = None  # "ended" by itself, or "died" for good


class Desk(OracleServicer):
    """Answers the workers. All that touches the oracle holds `lock`.

    Attributes:
        error: what went wrong in an answer; the chief cannot go on after that.
    """

    def __init__(self, oracle: Any, token: str, timeout: float) -> None:
        """Answer for an oracle; `timeout` is how many seconds a worker may be silent, `token` is sent to all."""
        super().__init__(oracle)
        self.token, self.timeout = token, timeout
        self.workers: dict[str, _Worker] = {}
        self.lock = threading.RLock()
        self.error: BaseException | None = None
        self.began = self.looked = self.last_heard = time.monotonic()

    @contextmanager
    def _answering(self, context: Any) -> Iterator[None]:
        with self.lock:
            if self.error is None:
                try:
                    yield
                    return
                except Exception as error:
                    traceback.print_exc()
                    self.error = error
        # keras-tuner leaves its own lock taken after an exception.
        context.abort(grpc.StatusCode.INTERNAL, f"{type(self.error).__name__}: {self.error}")

    def GetSpace(self, request: Any, context: Any) -> Any:
        """keras-tuner's."""
        with self._answering(context):
            return super().GetSpace(request, context)

    def UpdateSpace(self, request: Any, context: Any) -> Any:
        """keras-tuner's."""
        with self._answering(context):
            return super().UpdateSpace(request, context)

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """keras-tuner's; notes who has been told that there are no more."""
        with self._answering(context):
            self._look()
            reply = super().CreateTrial(request, context)
            if reply.trial.status == TrialStatus.to_proto(TrialStatus.STOPPED) and request.tuner_id in self.workers:
                self.workers[request.tuner_id].told = True
            return reply

    def UpdateTrial(self, request: Any, context: Any) -> Any:
        """keras-tuner's."""
        with self._answering(context):
            return super().UpdateTrial(request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:
        """keras-tuner's."""
        with self._answering(context):
            return super().EndTrial(request, context)

    def GetTrial(self, request: Any, context: Any) -> Any:
        """keras-tuner's."""
        with self._answering(context):
            return super().GetTrial(request, context)

    def GetBestTrials(self, request: Any, context: Any) -> Any:
        """keras-tuner's."""
        with self._answering(context):
            return super().GetBestTrials(request, context)

    def beat(self, request: bytes, context: Any) -> bytes:
        """Note that a worker lives, and tell it whether its trial is still its own.

        Takes and gives JSON. In: ``worker``, ``token`` (of its process), ``trial`` (or null), ``left`` (null;
        ``"ended"`` when it goes of itself; ``"died"`` when its supervisor says that it will not be back, with no
        token). Out: ``state`` (``"ok"``, ``"lost"``: the trial is another's now, ``"taken"``: another process has the
        name) and ``token`` (the chief's).
        """
        said = json.loads(request)
        with self.lock:
            state = self._heard(said["worker"], said["token"], said["trial"], said["left"])
        return json.dumps({"state": state, "token": self.token}).encode()

    def _heard(self, name: str, token: str, trial: str | None, left: str | None) -> str:
        now = time.monotonic()
        self.last_heard = now
        known = self.workers.get(name)
        if left:
            if known is None or left == "died" or token == known.token:
                self.workers[name] = _Worker(token, now, told=True, left=left)
                self._look()
            return "ok"
        if known is not None and known.token != token and not known.left and now - known.last < 2.5 * INTERVAL:
            return "taken"
        if known is None or known.token != token:
            self.workers[name] = known = _Worker(token, now)
        known.last, known.left = now, None
        if trial is None:
            return "ok"
        held = self.oracle.ongoing_trials.get(name)
        return "ok" if held is not None and held.trial_id == trial else "lost"

    def look(self) -> None:
        """Give the trials of workers that are gone to the others."""
        with self.lock:
            if self.error is None:
                try:
                    self._look()
                except Exception as error:
                    self.error = error

    def _look(self) -> None:
        now = time.monotonic()
        if now - self.looked > INTERVAL:  # it was this process that stood still, so nobody could be heard
            for known in self.workers.values():
                known.last += now - self.looked
            self.began += now - self.looked
        self.looked = now
        for name in list(self.oracle.ongoing_trials):
            worker = self.workers.get(name)
            if worker is None:
                gone = now - self.began > min(self.timeout, RECONNECT)
            else:
                gone = worker.left is not None or now - worker.last > self.timeout
            if gone:
                trial = self.oracle.give_back(name, lost=worker is not None and worker.left != "ended")
                print(f"worker {name} is gone: trial {trial} is given to another", flush=True)

    @property
    def over(self) -> bool:
        """Whether the search is over and every worker that lives knows it."""
        if self.oracle.ongoing_trials or not self.stop_triggered:
            return False
        now = time.monotonic()
        return all(worker.told or now - worker.last > FAREWELL for worker in list(self.workers.values()))


def serve(
    oracle: Any,
    address: Address,
    token: str,
    *,
    timeout: float,
    patience: float,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Give out an oracle's trials until there are no more (``oracle.stopped_because`` if too many have failed).

    Args:
        oracle: made steady.
        address: to listen at.
        token: that workers compare with the one in their directory.
        timeout: seconds after which a silent worker is gone.
        patience: seconds after which the chief ends if it hears from no worker at all.
        interrupted: asked whether to stop.

    Raises:
        InputError: the address is taken, or not of this machine.
        RunFailed: no worker came, or the oracle raised.
        KeyboardInterrupt: interrupted; all that is needed to go on is saved.
    """
    desk = Desk(oracle, token, timeout)
    # Without this option, a second chief could listen at the same port and would get every other call.
    server = grpc.server(ThreadPoolExecutor(max_workers=16), options=[("grpc.so_reuseport", 0)])
    protos.get_service_grpc().add_OracleServicer_to_server(desk, server)
    handler = grpc.method_handlers_generic_handler(SERVICE, {BEAT: grpc.unary_unary_rpc_method_handler(desk.beat)})
    server.add_generic_rpc_handlers((handler,))
    try:
        bound = server.add_insecure_port(str(address))
    except RuntimeError:
        bound = 0
    if not bound:
        raise InputError(f"cannot listen at {address}: the port is taken, or the address is not this machine's")
    server.start()
    print(f"listening at {address}", flush=True)
    try:
        while not desk.over:
            if interrupted():
                raise KeyboardInterrupt("interrupted; the same command goes on where it stopped")
            desk.look()
            if desk.error is not None:
                raise RunFailed(f"the chief cannot go on: {type(desk.error).__name__}: {desk.error}") from desk.error
            if time.monotonic() - desk.last_heard > patience:
                raise RunFailed(f"no worker was heard for {patience:g} s; the same command goes on where it stopped")
            time.sleep(0.1)
    finally:
        server.stop(grace=1.0).wait()
