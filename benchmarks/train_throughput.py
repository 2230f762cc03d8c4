"""Training throughput of kzoo compared with Keras and PyTorch, in one run, as ratios.

    python benchmarks/train_throughput.py --rounds 7 --json throughput.json

The speed of a machine can change by tens of percent within minutes, so the contenders take turns: in each round, each
trains one block of steps while the others wait. A ratio is the median over rounds of the ratio of the blocks' median
steps.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from pathlib import Path
from statistics import median
from typing import Any

import peers

from kzoo.training import records

CONTENDERS = ("kzoo", "keras", "pytorch")


class Contender:
    """A child process that trains one block of steps at a time."""

    def __init__(self, name: str, job: Any, contend: Any = peers.contend) -> None:
        """Start `contend(name, job, pipe)` and wait until it is about to train its first step."""
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, child_pipe = context.Pipe()
        self.process = context.Process(target=contend, args=(name, job, child_pipe), daemon=True)
        self.process.start()
        child_pipe.close()
        self.reply = self._receive()

    def _receive(self) -> dict[str, Any]:
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            raise SystemExit(f"the process of {self.name} failed: see its error above") from None

    def block(self, steps: int) -> dict[str, Any]:
        """Train some steps and return the reply; see `peers.StepTimer`."""
        self.pipe.send(steps)
        self.reply = self._receive()
        return self.reply

    def stop(self) -> None:
        """End the process."""
        self.pipe.send(0)
        self.process.join()

    def finish(self) -> dict[str, Any]:
        """Return what `contend` sends after its last block, and wait for the end of the process."""
        self.pipe.send(1)
        reply = self._receive()
        self.process.join()
        return reply


def measure(
    network: str,
    *,
    contenders: tuple[str, ...] = CONTENDERS,
    rounds: int = 5,
    steps: int = 10,
    warmup: int = 3,
    batch_size: int | None = None,
    threads: int = 2,
) -> dict[str, Any]:
    """Train one network with all contenders in turn.

    The first step of a block is not counted: its caches are cold, and its batch was prepared before the block.

    Returns:
        ``contenders``: by name, seconds per step in each block (``blocks``: medians; ``processor``: means, of all
        threads), images per second, and peak memory in bytes; ``ratios``: by name, kzoo's throughput divided by the
        contender's (median, smallest and largest round).
    """
    job = peers.Job(network, warmup + rounds * (steps + 1) + 1, batch_size, threads)
    batch = job.recipe().batch_size
    children = []
    for name in contenders:
        children.append(Contender(name, job))
        children[-1].block(warmup)
    blocks: dict[str, list[float]] = {name: [] for name in contenders}
    processor: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds):
        for child in children[i % len(children) :] + children[: i % len(children)]:
            reply = child.block(steps + 1)
            blocks[child.name].append(median(reply["seconds"][1:]))
            processor[child.name].append(reply["processor"] / (steps + 1))
    parameters = {child.name: child.reply["parameters"] for child in children}
    if len(set(parameters.values())) != 1:
        raise SystemExit(f"{network}: the contenders train different networks: {parameters} trainable parameters")
    result: dict[str, Any] = {"batch_size": batch, "parameters": parameters[contenders[0]], "contenders": {}}
    for child in children:
        result["contenders"][child.name] = {
            "images_per_second": batch / median(blocks[child.name]),
            "peak_memory": child.reply["memory"],
            "blocks": blocks[child.name],
            "processor": processor[child.name],
        }
        child.stop()
    if "kzoo" in contenders:
        result["ratios"] = {
            name: _summary([other / ours for other, ours in zip(blocks[name], blocks["kzoo"], strict=True)])
            for name in contenders
            if name != "kzoo"
        }
    return result


def _summary(ratios: list[float]) -> dict[str, float]:
    return {"median": median(ratios), "smallest": min(ratios), "largest": max(ratios)}


def show(network: str, result: dict[str, Any]) -> None:
    """Print the results of one network."""
    print(f"\n{network}: batch {result['batch_size']}, {result['parameters']:,} parameters", flush=True)
    for name, values in result["contenders"].items():
        step, processor = 1000 * median(values["blocks"]), 1000 * median(values["processor"])
        peak = values["peak_memory"]
        memory = "unknown" if peak is None else f"{peak / 2**20:,.0f} MiB"
        print(
            f"  {name:8} {values['images_per_second']:8,.1f} images/s  {step:8,.1f} ms per step, "
            f"{processor:8,.1f} ms of processor time  peak memory {memory}"
        )
    for name, ratio in result.get("ratios", {}).items():
        print(f"  kzoo / {name}: {ratio['median']:.2f}  (rounds {ratio['smallest']:.2f} to {ratio['largest']:.2f})")


def main() -> None:
    """Measure and print; with `--json`, also write all measurements to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=peers.NETWORKS, default=list(peers.NETWORKS), metavar="NAME")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="counted steps in each block")
    parser.add_argument("--batch-size", type=int, help="instead of the recipes' (100 for VGGs, 128 for ResNet24)")
    parser.add_argument("--threads", type=int, default=records.hardware()["cores"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if min(options.rounds, options.steps, options.threads, options.batch_size or 1) < 1:
        parser.error("rounds, steps, threads and batch size must be 1 or more")
    report: dict[str, Any] = {
        "hardware": records.hardware(),
        "versions": records.versions(),
        "git_commit": records.git_commit(),
        "load_at_start": os.getloadavg()[0],
        "settings": {"rounds": options.rounds, "steps": options.steps, "threads": options.threads},
        "networks": {},
    }
    hardware = report["hardware"]
    print(f"{hardware['processor']} ({', '.join(hardware['processor_features'])}), {hardware['cores']} cores")
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    print(f"{options.threads} threads, float32, load {report['load_at_start']:.1f} at the start")
    for network in options.networks:
        result = report["networks"][network] = measure(
            network,
            contenders=tuple(options.contenders),
            rounds=options.rounds,
            steps=options.steps,
            batch_size=options.batch_size,
            threads=options.threads,
        )
        show(network, result)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
