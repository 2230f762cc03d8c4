"""Commands that use trained networks: benchmark, publish, demo."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.common import AsJson, Usable, app, loads_keras, numbers, out, print_json, print_table, table
from kzoo.console import say


@app.command()
def benchmark(
    target: Usable,
    batches: Annotated[str, typer.Option("--batch", metavar="LIST", help="Images per call.")] = "1,64",
    seconds: Annotated[float, typer.Option(help="Seconds per batch size and runtime.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Measure the latency and throughput of a classifier in each installed runtime."""
    sizes = numbers("--batch", batches)
    loads_keras(target)
    from kzoo.exporting.benchmark import benchmark as measure
    from kzoo.training.records import hardware

    timings = measure(target, batches=sizes, seconds=seconds)
    where = hardware()
    if as_json:
        print_json({"hardware": where, "timings": [timing.to_dict() for timing in timings]})
        return
    shown = table(("runtime", "batch", "ms a call", "95% within", "images/s"), right=True)
    for timing in timings:
        times = (f"{timing.milliseconds:,.3g}", f"{timing.slowest:,.3g} ms", f"{timing.images_per_second:,.0f}")
        shown.add_row(timing.runtime, str(timing.batch), *times)
    print_table(shown)
    say(out, f"{where['processor']}, {where['cores']} cores; medians, random pixels")


@app.command()
def publish(
    source: Annotated[
        str, typer.Argument(metavar="SET", help="A weight set: MODEL:TAG, its directory, or the URL of its set.json.")
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory.")],
) -> None:
    """Write a directory for Hugging Face: card, weights, config.json. Nothing is uploaded."""
    from kzoo.models.huggingface import publish as write

    folder = write(source, directory)
    say(out, f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    say(out, f"to upload it: hf upload USER/NAME {folder}")


@app.command()
def demo(
    target: Usable,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 8000,
) -> None:
    """Serve a local page: draw or drop a picture, and see the most likely classes and the Grad-CAM map."""
    loads_keras(target)
    from kzoo.demo.server import demo_server

    with demo_server(target, port) as server:
        host, bound = server.server_address[:2]
        say(out, f"http://{host!s}:{bound}/  (Ctrl-C to stop)")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
