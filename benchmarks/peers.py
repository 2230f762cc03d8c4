"""Train the same network with kzoo, with Keras and with PyTorch, each in a separate process, block by block.

A contender calls its `StepTimer` before and after each training step. The timer blocks between blocks of steps, so that
contenders take turns and never run at the same time.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import kzoo
from kzoo.backend import quiet_import
from kzoo.data.splits import Split
from kzoo.memory import peak_memory

# By network: its recipe, and a function that builds its PyTorch version from tests/models/torch_references.py.
NETWORKS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "vgg08": ("rescue/vgg08", lambda nets: nets.ThinVGG(0, batch_norm=False, residual=False)),
    "vgg38-bn-res": ("rescue/bn-residual", lambda nets: nets.ThinVGG(5, batch_norm=True, residual=True)),
    "resnet24": ("resnet/resnet24", lambda nets: nets.BasicResNet((3, 3, 2, 3), (64, 128, 128, 256))),
}


@dataclass(frozen=True)
class Job:
    """What each contender trains: one of `NETWORKS`, for at most `steps` steps."""

    network: str
    steps: int
    batch_size: int | None
    threads: int

    def recipe(self) -> kzoo.Recipe:
        """Return the network's recipe with synthetic images and possibly another batch size."""
        recipe = kzoo.recipe(NETWORKS[self.network][0])
        changes: dict[str, Any] = {"dataset": "synthetic", "split": Split(validation=2), "epochs": 1}
        if self.batch_size is not None:
            changes["batch_size"] = self.batch_size
        recipe = recipe.derive("benchmark/throughput", **changes)
        self._register(recipe)
        return recipe.resolved()

    def _register(self, recipe: kzoo.Recipe) -> None:
        classes = 10 if self.network.startswith("resnet") else 100
        count = self.steps * recipe.batch_size + 2  # two are for validation
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(count) % classes
        content = {"images": images, "labels": labels, "test_images": images[:100], "test_labels": labels[:100]}
        kzoo.register_dataset("synthetic", lambda data_dir: content)


class StepTimer:
    """Times each training step of a contender, and lets it train in blocks that are requested through a pipe.

    A request is the number of steps in the block; 0 ends the process. The reply to a finished block contains the
    seconds of each step (from the end of the previous one), the processor time of all threads in the block, and the
    peak memory.
    """

    def __init__(self, pipe: Connection, parameters: int | None = None) -> None:
        self.pipe, self.parameters = pipe, parameters
        self.remaining, self.seconds, self.last, self.processor_start = 0, list[float](), 0.0, 0.0

    def before(self) -> None:
        """Call before a step: after the end of a block, wait for the next one."""
        if self.remaining:
            return
        processor = time.process_time() - self.processor_start
        reply = {"seconds": self.seconds, "processor": processor, "memory": peak_memory()}
        self.pipe.send({**reply, "parameters": self.parameters})
        self.remaining, self.seconds = self.pipe.recv(), []
        if not self.remaining:
            raise SystemExit(0)
        self.last, self.processor_start = time.perf_counter(), time.process_time()

    def after(self) -> None:
        """Call after a step: record its time."""
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last, self.remaining = now, self.remaining - 1


def contend(name: str, job: Job, pipe: Connection) -> None:
    """Train until the parent process requests the end; runs in a contender's process."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the PyTorch loop below uses only the CPU
    os.environ["KERAS_BACKEND"] = "torch" if name == "pytorch" else "tensorflow"
    if name != "pytorch":
        with quiet_import():
            import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    {"kzoo": _kzoo, "keras": _keras, "pytorch": _pytorch}[name](job, StepTimer(pipe))


def callback(timer: StepTimer) -> Any:
    """Return a Keras callback that calls the timer before and after each training step."""
    import keras

    class Timer(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            timer.parameters = sum(int(np.prod(weight.shape)) for weight in self.model.trainable_weights)
            timer.before()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            timer.after()

    return Timer()


def _kzoo(job: Job, timer: StepTimer) -> None:
    """Run `kzoo.train` with its defaults; the output of the progress bar is discarded."""
    from rich.console import Console

    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as null:
        console = Console(file=null, force_terminal=True)
        kzoo.train(job.recipe(), directory=Path(folder) / "run", callbacks=[callback(timer)], progress=console)


def _keras(job: Job, timer: StepTimer) -> None:
    """Run `fit` as a Keras user would write it: the model as built, with probabilities as its output."""
    import keras

    from kzoo.training.build import build_model, load_parts

    recipe = job.recipe()
    data = load_parts(recipe, None)
    model = build_model(recipe, data)
    rate, decay = recipe.optimizer.learning_rate, recipe.l2 or None
    if recipe.optimizer.kind == "adam":
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data.batches("train", recipe), epochs=1, shuffle=False, verbose=0, callbacks=[callback(timer)])


def _pytorch(job: Job, timer: StepTimer) -> None:
    """Run the usual loop with activations in channels_last order; a thread prepares the next batch, as in Keras."""
    import torch

    from kzoo.training.build import load_parts

    torch.set_num_threads(job.threads)
    recipe = job.recipe()
    batches = load_parts(recipe, None).batches("train", recipe)
    torch.manual_seed(0)
    net = NETWORKS[job.network][1](_references()).to(memory_format=torch.channels_last)
    timer.parameters = sum(parameter.numel() for parameter in net.parameters())
    rate, decay = recipe.optimizer.learning_rate, recipe.l2
    if recipe.optimizer.kind == "adam":
        optimizer: Any = torch.optim.Adam(net.parameters(), rate, weight_decay=decay)
    else:
        optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=decay)
    loss_sum, correct = 0.0, 0
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(batches.__getitem__, 0)
        for step in range(len(batches)):
            timer.before()
            images, labels = (torch.from_numpy(values) for values in following.result())
            following = pool.submit(batches.__getitem__, min(step + 1, len(batches) - 1))
            optimizer.zero_grad()
            logits = net(images.permute(0, 3, 1, 2))  # (B, H, W, C) seen as (B, C, H, W) is channels_last
            loss = torch.nn.functional.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            correct += int((logits.argmax(1) == labels).sum())
            timer.after()


def _references() -> Any:
    path = Path(__file__).parents[1] / "tests" / "models" / "torch_references.py"
    spec = importlib.util.spec_from_file_location("torch_references", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
