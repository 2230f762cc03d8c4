"""Seconds to 94% on CIFAR-10: `kzoo.train` with a fast recipe compared with a PyTorch loop of the same network.

    python benchmarks/time_to_accuracy.py --steps 10             # seconds per step, in turns, without a test
    python benchmarks/time_to_accuracy.py --whole --json x.json  # train both for all epochs, in turns, and test

Both have the same images, batches (`kzoo.data.Batches`), whitening kernel, learning rates and updates. They take turns,
block by block, because the speed of a machine can change by tens of percent within minutes; see `train_throughput.py`.
With `--whole`, only training steps count, not start-up, compilation or test.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peers
from train_throughput import Contender

import kzoo
from kzoo.backend import quiet_import
from kzoo.training import records

CONTENDERS = ("kzoo", "pytorch")
PATHS = {"logits.weight": "logits/kernel", "whitening.bias": "whitening/bias"}
"""The Keras paths of the PyTorch parameters to which the recipe gives a separate learning rate."""


@dataclass(frozen=True)
class Job:
    """What both train: a recipe of FastNet with two convolutions per stage."""

    recipe_name: str
    changes: dict[str, Any]
    threads: int

    def recipe(self) -> kzoo.Recipe:
        """Return the resolved recipe with the changes."""
        return kzoo.recipe(self.recipe_name).override(**self.changes).resolved()


def contend(name: str, job: Job, pipe: Connection) -> None:
    """Train block by block on request, then test and send the accuracies; runs in a contender's process."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["KERAS_BACKEND"] = "torch" if name == "pytorch" else os.environ.get("KERAS_BACKEND", "tensorflow")
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        with quiet_import():
            import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    timer = peers.StepTimer(pipe)
    scores = {"kzoo": _kzoo, "pytorch": _pytorch}[name](job, timer)
    timer.before()  # replies to the last block and waits until the scores are requested
    pipe.send(scores)


def _kzoo(job: Job, timer: peers.StepTimer) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"progress": False, "diagnostics": False, "checkpoint_minutes": 60}
        run = kzoo.train(job.recipe(), directory=Path(folder) / "run", callbacks=[peers.callback(timer)], **options)
        result = run.result
    return {"plain": result.test.accuracy, "tta": result.test_tta.accuracy}


def _pytorch(job: Job, timer: peers.StepTimer) -> dict[str, float]:
    """Train as in the author's code: Muon for the kernels, SGD for the other parameters, a learning rate per step.

    In bfloat16, convolutions and the classifier compute in it (autocast); parameters and updates are float32, as ours.
    """
    import torch

    from kzoo.training.build import build_model, load_parts
    from kzoo.training.optimization.schedules import rates_by_step

    torch.set_num_threads(job.threads)
    recipe = job.recipe()
    data = load_parts(recipe, None)
    batches = data.batches("train", recipe)
    references = peers._references()
    references.MEAN, references.STD = data.normalization
    model = build_model(recipe, data)  # for the same initial weights
    net = references.FastNet(kzoo.models.get_variant(recipe.model).options["widths"], len(data.class_names))
    references.copy_weights(model, net)
    net = net.to(memory_format=torch.channels_last).train()
    steps = len(batches)
    rates = rates_by_step(recipe.schedule, recipe.optimizer.learning_rate, recipe.epochs, steps)
    update = _Update(net, recipe, steps)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "mixed_bfloat16")
    with ThreadPoolExecutor(1) as pool:
        for epoch in range(recipe.epochs):
            batches.position(epoch)
            following = pool.submit(batches.__getitem__, 0)
            for step in range(steps):
                timer.before()
                images, targets = (torch.from_numpy(values) for values in following.result())
                following = pool.submit(batches.__getitem__, min(step + 1, steps - 1))
                with autocast:
                    outputs = net(images.permute(0, 3, 1, 2).float())
                loss = torch.nn.functional.cross_entropy(outputs.float(), targets)
                net.zero_grad(set_to_none=True)
                loss.backward()
                update(epoch * steps + step, float(rates[epoch * steps + step]))
                timer.after()
    return _test(net, data.test)


class _Update:
    """Updates all parameters in one step, according to `kzoo.recipes.settings.Muon` and the recipe's multipliers."""

    def __init__(self, net: Any, recipe: kzoo.Recipe, steps: int) -> None:
        self.named = {name: p for name, p in net.named_parameters() if p.requires_grad}
        self.settings, self.multipliers, self.steps = recipe.optimizer, recipe.rate_multipliers, steps
        self.moments: dict[str, Any] = {}

    def __call__(self, step: int, rate: float) -> None:
        import torch

        settings = self.settings
        with torch.no_grad():
            for name, p in self.named.items():
                moment = self.moments.setdefault(name, torch.zeros_like(p))
                if p.ndim == 4:
                    moment.mul_(settings.momentum).add_(p.grad)
                    ahead = (p.grad + settings.momentum * moment).reshape(len(p), -1)
                    p.mul_(len(p) ** 0.5 / p.norm())
                    p.sub_(rate * _orthogonalized(ahead, settings.iterations).reshape(p.shape))
                    continue
                multiplier = self.multipliers.get(PATHS.get(name, name))
                if multiplier and multiplier.last_epoch and step >= multiplier.last_epoch * self.steps:
                    continue
                peak = settings.sgd_rate * (multiplier.factor if multiplier else 1.0)
                gradient = p.grad + settings.sgd_decay / peak * p
                moment.mul_(settings.sgd_momentum).add_(gradient)
                p.sub_(rate / settings.learning_rate * peak * (gradient + settings.sgd_momentum * moment))


def _orthogonalized(matrix: Any, iterations: int) -> Any:
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _test(net: Any, part: Any) -> dict[str, float]:
    """Return the accuracy on the test part, without and with flips and shifts."""
    import torch

    def logits(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            batches = np.array_split(np.ascontiguousarray(images), -(-len(images) // 500))
            return np.concatenate([net(torch.from_numpy(b).permute(0, 3, 1, 2).float()).numpy() for b in batches])

    net.eval()
    wide = np.pad(part.images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    both = [logits(part.images) + logits(part.images[:, :, ::-1])]
    both += [logits(images) + logits(images[:, :, ::-1]) for images in (wide[:, :-2, :-2], wide[:, 2:, 2:])]
    total = 0.5 * both[0] + 0.25 * (both[1] + both[2])
    plain = logits(part.images)
    return {
        "plain": float((plain.argmax(1) == part.labels).mean()),
        "tta": float((total.argmax(1) == part.labels).mean()),
    }


def measure(job: Job, *, rounds: int, steps: int, whole: bool, target: float) -> dict[str, Any]:
    """Train both in turns.

    Returns:
        By contender: seconds per step in each block (medians); for `whole` runs also the seconds of all steps, the test
        accuracies, and ``seconds_to_target``: the same seconds, or None if the accuracy with test-time augmentation
        misses the target. Also ``ratio``: kzoo's seconds per step divided by PyTorch's, the median over the blocks.
    """
    recipe = job.recipe()
    children = [Contender(name, job, contend) for name in CONTENDERS]
    if whole:
        from kzoo.training.build import load_parts

        steps = len(load_parts(recipe, None).batches("train", recipe))
        rounds = recipe.epochs
    blocks: dict[str, list[list[float]]] = {name: [] for name in CONTENDERS}
    for i in range(rounds):
        for child in children[i % 2 :] + children[: i % 2]:
            blocks[child.name].append(child.block(steps)["seconds"])
    result: dict[str, Any] = {}
    for child in children:
        result[child.name] = {"seconds_a_step": [median(block[1:] or block) for block in blocks[child.name]]}
        if whole:
            seconds, scores = sum(map(sum, blocks[child.name])), child.finish()
            reached = scores["tta"] >= target
            result[child.name] |= {"seconds": seconds, **scores, "seconds_to_target": seconds if reached else None}
        else:
            child.stop()
    pairs = zip(*(result[name]["seconds_a_step"] for name in CONTENDERS), strict=True)
    result["ratio"] = median(ours / theirs for ours, theirs in pairs)
    return result


def main() -> None:
    """Measure and print; with `--json`, also write all measurements to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast/cifar10-94")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--batch-size", type=int, help="instead of the recipe's")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"), help="of both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="steps in each block")
    parser.add_argument("--whole", action="store_true", help="train all epochs, one per block, and test")
    parser.add_argument("--target", type=float, default=0.94)
    parser.add_argument("--threads", type=int, default=records.hardware()["cores"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    changes = {"dataset": options.dataset, "split": {"validation": 0}, "precision": options.precision}
    changes |= {name: getattr(options, name) for name in ("batch_size", "epochs") if getattr(options, name)}
    job = Job(options.recipe, changes, options.threads)
    result = measure(job, rounds=options.rounds, steps=options.steps, whole=options.whole, target=options.target)
    for name in CONTENDERS:
        values = result[name]
        line = f"{name:8} {median(values['seconds_a_step']):8.3f} s per step"
        if options.whole:
            reached = "reached" if values["seconds_to_target"] else "not reached"
            line += f"  {values['seconds']:,.0f} s in total, test {values['plain']:.4f}"
            line += f", with TTA {values['tta']:.4f}: target {reached}"
        print(line)
    print(f"kzoo / pytorch, seconds per step: {result['ratio']:.2f}")
    if options.json:
        about = {"hardware": records.hardware(), "versions": records.versions(), "git_commit": records.git_commit()}
        options.json.write_text(json.dumps({**about, "changes": changes, **result}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
