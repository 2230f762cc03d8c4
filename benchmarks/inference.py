"""Latency of a network in each export format, compared with PyTorch, in one run, as ratios.

    python benchmarks/inference.py --rounds 9 --json inference.json

Each contender is a separate process. They take turns in a rotating order. A ratio is the median over rounds of the
ratio of the round's median calls. All contenders use the same images and number of threads, on the CPU, in float32.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peers

import kzoo
from kzoo.backend import quiet_import
from kzoo.training import records

# By variant: the shape of its images, and a function that builds its PyTorch version from
# tests/models/torch_references.py.
NETWORKS: dict[str, tuple[tuple[int, int, int], Callable[[Any], Any]]] = {
    "lenet2-average": ((28, 28, 1), lambda nets: nets.ReducingLeNet(2, "average")),
    "vgg08-bn": ((32, 32, 3), lambda nets: nets.ThinVGG(0, batch_norm=True, residual=False)),
    "resnet24": ((32, 32, 3), lambda nets: nets.BasicResNet((3, 3, 2, 3), (64, 128, 128, 256))),
    "fastnet-s": ((32, 32, 3), lambda nets: nets.FastNet(kzoo.models.get_variant("fastnet-s").options["widths"])),
}
FILES = {"savedmodel": "net", "onnx": "net.onnx", "litert": "net.tflite"}
OURS = [f"{kind}{fold}" for kind in ("predict", "call", *FILES) for fold in ("", " folded")]
PEERS = ["pytorch eager", "pytorch onnx"]
CONTENDERS = (*OURS, *PEERS)


def runner(name: str, network: str, folder: Path, threads: int) -> Callable[[np.ndarray], Any]:
    """Return a contender's function of images (batch, height, width, channels), float32."""
    if name.startswith("pytorch"):
        return _pytorch(name, network, folder, threads)
    if name.startswith(("predict", "call", "savedmodel")):
        with quiet_import():
            import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    kind, _, folded = name.partition(" ")
    directory = folder / ("folded" if folded else "unfolded")
    if kind in FILES:
        from kzoo.exporting.runtimes import Exported

        return Exported(directory / FILES[kind], threads=threads)
    import keras

    model = keras.saving.load_model(directory / "net.keras", compile=False)
    if kind == "predict":
        return lambda images: model.predict(images, batch_size=len(images), verbose=0)
    return lambda images: np.asarray(model(images, training=False))


def _pytorch(name: str, network: str, folder: Path, threads: int) -> Callable[[np.ndarray], Any]:
    build = NETWORKS[network][1]
    if name == "pytorch onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(folder / "torch.onnx", options, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"image": images.transpose(0, 3, 1, 2)})[0]
    import torch

    torch.set_num_threads(threads)
    net = build(peers._references()).eval().to(memory_format=torch.channels_last)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return net(torch.from_numpy(images).permute(0, 3, 1, 2)).softmax(-1).numpy()

    return run


def prepare(network: str, folder: Path) -> dict[str, Any]:
    """Write all files that the contenders load; return the number of trainable parameters and the sizes in bytes."""
    import torch

    shape, build = NETWORKS[network]
    references = peers._references()
    grey = shape[2] == 1
    mean, std = (0.0, 1.0) if grey else (references.MEAN, references.STD)
    model = kzoo.create_model(network, mean=mean, std=std)
    reference = build(references)
    references.copy_weights(model, reference)
    net = torch.nn.Sequential(reference, torch.nn.Softmax(-1)).eval()
    images = np.random.default_rng(0).uniform(0, 255, (4, *shape)).astype("float32")
    with torch.inference_mode():
        expected = net(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    difference = float(np.abs(model.predict(images, verbose=0) - expected).max())
    if difference > 1e-4:
        raise SystemExit(f"{network}: the outputs of Keras and PyTorch differ by {difference}")
    sizes: dict[str, int] = {}
    for fold in (False, True):
        directory = folder / ("folded" if fold else "unfolded")
        directory.mkdir()
        for kind, file in {**FILES, "keras": "net.keras"}.items():
            sizes[f"{kind} folded" if fold else kind] = kzoo.export(model, directory / file, kind, fold=fold).bytes
    example = torch.from_numpy(images).permute(0, 3, 1, 2)
    axes = {"image": {0: "batch"}}
    with quiet_import(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Use PyTorch's older exporter, because the newer one needs another package.
        torch.onnx.export(
            net, (example,), folder / "torch.onnx", input_names=["image"], dynamic_axes=axes, dynamo=False
        )
    parameters = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    return {"parameters": parameters, "bytes": {**sizes, "pytorch onnx": (folder / "torch.onnx").stat().st_size}}


def _prepare_in_child(network: str, folder: Path, pipe: Connection) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    pipe.send(prepare(network, folder))


def contend(name: str, network: str, folder: Path, threads: int, pipe: Connection) -> None:
    """Reply to requests (batch, calls) with the seconds of each call, until (0, 0); runs in a contender's process."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    run = runner(name, network, folder, threads)
    shape = NETWORKS[network][0]
    while True:
        batch, calls = pipe.recv()
        if not calls:
            return
        images = np.random.default_rng(0).uniform(0, 255, (batch, *shape)).astype("float32")
        seconds = []
        for _ in range(calls + 2):  # the first two warm up
            start = time.perf_counter()
            run(images)
            seconds.append(time.perf_counter() - start)
        pipe.send(seconds[2:])


def measure(network: str, *, rounds: int, seconds: float, threads: int, batches: tuple[int, ...]) -> dict[str, Any]:
    """Return the milliseconds per call of all contenders, by batch size: the median of each round."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipe, child_pipe = context.Pipe()
        preparation = context.Process(target=_prepare_in_child, args=(network, folder, child_pipe))
        preparation.start()
        child_pipe.close()
        result: dict[str, Any] = {**_receive(pipe, "preparation"), "milliseconds": {}}
        preparation.join()
        children = []
        for contender in CONTENDERS:
            pipe, child_pipe = context.Pipe()
            job = (contender, network, folder, threads, child_pipe)
            process = context.Process(target=contend, args=job, daemon=True)
            process.start()
            child_pipe.close()
            children.append((contender, process, pipe))
        for batch in batches:
            counts = {}
            for contender, _, pipe in children:
                pipe.send((batch, 3))
                counts[contender] = max(3, min(500, int(seconds / median(_receive(pipe, contender)))))
            times: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
            for i in range(rounds):
                for contender, _, pipe in children[i % len(children) :] + children[: i % len(children)]:
                    pipe.send((batch, counts[contender]))
                    times[contender].append(1000 * median(_receive(pipe, contender)))
            result["milliseconds"][batch] = times
        for _, process, pipe in children:
            pipe.send((0, 0))
            process.join()
    return result


def _receive(pipe: Connection, name: str) -> Any:
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        raise SystemExit(f"the process of {name} failed: see its error above") from None


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """Return the time of `slow` divided by the time of `fast`, the median over rounds."""
    return median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def show(network: str, result: dict[str, Any]) -> None:
    """Print the results of one network."""
    print(f"\n{network}: {result['parameters']:,} parameters")
    for batch, times in result["milliseconds"].items():
        print(f"  batch {batch}: ms per call (fastest and slowest round); speed relative to predict and pytorch onnx")
        for name in CONTENDERS:
            values = times[name]
            print(
                f"    {name:18} {median(values):9.3f} ({min(values):.3f} to {max(values):.3f})  "
                f"{ratio(times, 'predict', name):7.2f}  {ratio(times, 'pytorch onnx', name):6.2f}"
            )
        best = min(OURS, key=lambda name: median(times[name]))
        print(f"    fastest of kzoo: {best}, {ratio(times, 'pytorch onnx', best):.2f} times as fast as pytorch onnx")
    print(f"  bytes: {', '.join(f'{name} {size:,}' for name, size in result['bytes'].items())}", flush=True)


def main() -> None:
    """Measure and print; with `--json`, also write all measurements to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="approximate duration of each contender's turn")
    parser.add_argument("--threads", type=int, default=records.hardware()["cores"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if min(options.rounds, options.threads, *options.batches) < 1:
        parser.error("rounds, threads and batches must be 1 or more")
    hardware = records.hardware()
    report: dict[str, Any] = {
        "hardware": hardware,
        "versions": records.versions(),
        "git_commit": records.git_commit(),
        "load_at_start": os.getloadavg()[0],
        "settings": {"rounds": options.rounds, "seconds": options.seconds, "threads": options.threads},
        "networks": {},
    }
    print(f"{hardware['processor']} ({', '.join(hardware['processor_features'])}), {hardware['cores']} cores")
    print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    print(f"{options.threads} threads, float32, load {report['load_at_start']:.1f} at the start")
    for network in options.networks:
        report["networks"][network] = result = measure(
            network,
            rounds=options.rounds,
            seconds=options.seconds,
            threads=options.threads,
            batches=tuple(options.batches),
        )
        show(network, result)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
