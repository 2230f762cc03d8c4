"""Training throughput of kzoo beside stock Keras and plain PyTorch, in one run, as ratios.

    python benchmarks/train_throughput.py --rounds 7 --json throughput.json

Machines drift by tens of percent within minutes, so the contenders take turns: in each round each of them trains one
block of steps while the others stand still. A ratio is the median over rounds of the ratio of the blocks' median steps.
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
    """A child process that trains when asked to."""

    def __init__(self, name: str, job: Any, contend: Any = peers.contend) -> None:
        """Start `contend(name, job, pipe)`; it is ready once it stands before its first step."""
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=contend, args=(name, job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.said = self._listen()

    def _listen(self) -> dict[str, Any]:
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            raise SystemExit(f"{self.name} ended early: see its error above") from None

    def block(self, steps: int) -> dict[str, Any]:
        """Train some steps; see `peers.Beat` for what it says of them."""
        self.pipe.send(steps)
        self.said = self._listen()
        return self.said

    def stop(self) -> None:
        """End the process."""
        self.pipe.send(0)
        self.process.join()

    def finish(self) -> dict[str, Any]:
        """What the contender says last, after its last block; see what `contend` sends."""
        self.pipe.send(1)
        said = self._listen()
        self.process.join()
        return said


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
    """Train one network by all contenders in turn.

    The first step of a block is not counted: it finds cold caches and a batch that was made beforehand.

    Returns:
        ``contenders``: by name, seconds a step in each block (``blocks``, medians; ``processor``, of all threads,
        means), images a second, and peak memory in bytes; ``ratios``: by name, kzoo's throughput over that
        contender's: median, smallest and largest of a round.
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
            said = child.block(steps + 1)
            blocks[child.name].append(median(said["seconds"][1:]))
            processor[child.name].append(said["processor"] / (steps + 1))
    parameters = {child.name: child.said["parameters"] for child in children}
    if len(set(parameters.values())) != 1:
        raise SystemExit(f"{network}: not the same network, trainable parameters are {parameters}")
    result: dict[str, Any] = {"batch_size": batch, "parameters": parameters[contenders[0]], "contenders": {}}
    for child in children:
        own = blocks[child.name]
        result["contenders"][child.name] = {
            "images_per_second": batch / median(own),
            "peak_memory": child.said["memory"],
            "blocks": own,
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
    """Print one network's figures."""
    print(f"\n{network}: batch {result['batch_size']}, {result['parameters']:,} parameters", flush=True)
    for name, figures in result["contenders"].items():
        step, spent = 1000 * median(figures["blocks"]), 1000 * median(figures["processor"])
        peak = figures["peak_memory"]
        memory = "unknown" if peak is None else f"{peak / 2**20:,.0f} MiB"
        print(
            f"  {name:8} {figures['images_per_second']:8,.1f} images/s  {step:8,.1f} ms a step, "
            f"{spent:8,.1f} ms of processor time  peak memory {memory}"
        )
    for name, ratio in result.get("ratios", {}).items():
        print(f"  kzoo / {name}: {ratio['median']:.2f}  (rounds {ratio['smallest']:.2f} to {ratio['largest']:.2f})")


def main() -> None:
    """Measure and print, and write all figures to a file if asked to."""
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
