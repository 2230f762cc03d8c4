"""Chooses and configures a Keras backend before Keras is imported; lists the cores and GPUs that it can use.

Keras falls back to TensorFlow when nothing is configured and then fails where TensorFlow is not
installed. kzoo picks an installed backend instead; an explicit choice by the user always wins.

TensorFlow uses oneDNN's convolutions by default only on newer x86 processors. kzoo uses them on all: on two cores
with AVX2, a training step of the zoo's networks takes 1.4 to 2.8 times less processor time (docs/train-fast.md).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from pathlib import Path

from kzoo.files import home

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
"""TensorFlow reads this variable when it is imported: "1" turns oneDNN on, "0" off."""
TENSORFLOW_THREADS = "TF_NUM_INTRAOP_THREADS"
"""The number of threads that compute one operation. TensorFlow reads this variable when it is first used."""

# TensorFlow's default on Linux: it uses oneDNN on processors with at least one of these features.
ONEDNN_FEATURES = frozenset({"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"})


def choose_backend() -> None:
    """Set KERAS_BACKEND to an installed backend if TensorFlow, Keras's fallback, is missing; turn on oneDNN.

    Variables that the user has set are kept, except that oneDNN never gets only one thread.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules and platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault(ONEDNN, "1")
    _avoid_onednn_with_one_thread(os.environ)
    if home() is None:  # otherwise TensorFlow would create a folder named ~ in the current directory
        os.environ.setdefault("KERAS_HOME", os.path.join(tempfile.gettempdir(), ".keras"))
    if "KERAS_BACKEND" in os.environ or "keras" in sys.modules or importlib.util.find_spec("tensorflow"):
        return
    if _configured_backend() not in (None, "tensorflow"):
        return
    for module in ("jax", "torch"):
        if importlib.util.find_spec(module):
            os.environ["KERAS_BACKEND"] = module
            return


def _avoid_onednn_with_one_thread(environment: MutableMapping[str, str]) -> None:
    """Give TensorFlow a second thread where it would use oneDNN with only one.

    With one thread, TensorFlow 2.21 writes beyond its memory in the gradient of a convolution's kernel. On AVX2 with
    oneDNN turned on, every small ResNet that we tried crashed with one thread and none with two, even on one core.
    """
    single = environment.get(TENSORFLOW_THREADS, str(len(usable_cores()))) == "1"
    if single and uses_onednn(environment.get(ONEDNN), processor()[1]):
        environment[TENSORFLOW_THREADS] = "2"


def uses_onednn(setting: str | None, features: Collection[str]) -> bool:
    """Whether TensorFlow uses oneDNN, given the value of its variable and the features of an x86 processor."""
    if setting is not None and setting.lower() in ("0", "1", "false", "true"):
        return setting.lower() in ("1", "true")
    return not ONEDNN_FEATURES.isdisjoint(features)


def processor() -> tuple[str, set[str]]:
    """The processor's name, and its features as Linux lists them; no features on other systems."""
    name, features = platform.processor(), set[str]()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            if key.strip() == "flags":
                features = set(value.split())
                break
    except OSError:
        pass  # not Linux
    return name, features


def _configured_backend() -> str | None:
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")  # as Keras does; without a home, ~ remains
    try:
        backend = json.loads((Path(home) / "keras.json").read_text(encoding="utf-8")).get("backend")
    except (OSError, ValueError, AttributeError):
        return None
    return str(backend) if backend else None


_quiet = threading.Lock()
_importing = 0
"""Number of `quiet_import` blocks that are open, in all threads."""
_stderr = -1
"""A copy of standard error's descriptor while any block is open."""


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Hide what C++ libraries print to standard error while they are imported.

    TF_CPP_MIN_LOG_LEVEL does not silence TensorFlow's first lines. Python errors are not hidden: they
    are raised after the descriptor has been restored. If several threads import, the last one to finish restores it.
    """
    global _importing, _stderr
    if sys.__stderr__ is None:  # closed, as for a service
        yield
        return
    with _quiet:
        if not _importing:
            (sys.stderr or sys.__stderr__).flush()
            _stderr = os.dup(2)
            with open(os.devnull, "wb") as sink:
                os.dup2(sink.fileno(), 2)
        _importing += 1
    try:
        yield
    finally:
        with _quiet:
            _importing -= 1
            if not _importing:
                os.dup2(_stderr, 2)
                os.close(_stderr)


def usable_cores() -> tuple[int, ...]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Names of the NVIDIA GPUs that a process with this environment sees."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu for gpu in (part.strip() for part in named.split(",")) if gpu and gpu != "-1"]
    files = [path for path in Path("/dev").glob("nvidia[0-9]*") if path.name.removeprefix("nvidia").isdigit()]
    # CUDA counts the GPUs of a container from 0, whatever the numbers of their device files are.
    return [str(index) for index in range(len(files))]


@contextlib.contextmanager
def without_gpus() -> Iterator[None]:
    """Hide GPUs from a backend that is first used within this block: a process that only waits must not claim one."""
    hidden = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"} if visible_gpus(os.environ) else {}
    before = {name: os.environ.get(name) for name in hidden}
    os.environ.update(hidden)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
