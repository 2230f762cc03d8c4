"""Commands that use a network: export, predict."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kzoo.cli.common import (
    AsJson,
    DataDir,
    First,
    Force,
    Ground,
    Images,
    RunSetOrFile,
    Split,
    Usable,
    app,
    check_images,
    colour,
    import_keras,
    loads_keras,
    out,
    part_images,
    print_json,
)
from kzoo.console import say
from kzoo.errors import InputError, unknown
from kzoo.files import names_keras_file

if TYPE_CHECKING:
    from kzoo.exporting.export import Export


@app.command()
def export(
    target: RunSetOrFile,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="savedmodel, onnx, litert or keras.")],
    output: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File, or directory of a SavedModel (default: ./NAME.SUFFIX).")
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(metavar="DTYPE", help="Type of the input pixels, 0 to 255: float32 or uint8 (default: float32)."),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(
            metavar="int8|int8-only",
            help="Compute in int8; int8-only: inputs and outputs are int8 too (litert, of a run).",
        ),
    ] = None,
    opset: Annotated[int | None, typer.Option(metavar="N", help="Version of the ONNX operators (onnx).")] = None,
    logits: Annotated[
        bool | None,
        typer.Option("--logits/--probabilities", help="Kind of the outputs (default: probabilities, for a run)."),
    ] = None,
    fold: Annotated[
        bool, typer.Option("--fold/--no-fold", help="Whether to fold BatchNorm and leave out dropout.")
    ] = True,
    data_dir: DataDir = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Export a network to a file. The file is loaded and compared with the network first."""
    suffixes = {"savedmodel": "", "onnx": ".onnx", "litert": ".tflite", "keras": ".keras"}
    if to not in suffixes:
        raise unknown("format", to, suffixes)

    # Without --output the file is named after the target, in the current directory.
    name = Path(target).stem if names_keras_file(target) else Path(target).resolve().name.replace(":", "-")
    path = output or Path(f"{name}{suffixes[to] or '-savedmodel'}")
    import_keras()
    from kzoo.exporting.export import export as write

    done = write(
        target,
        path,
        to,
        input=input,
        outputs=None if logits is None else ("logits" if logits else "probabilities"),
        quantize=quantize,
        opset=opset,
        fold=fold,
        data_dir=data_dir,
        overwrite=force,
    )

    if as_json:
        print_json(done.to_dict())
    else:
        _print_export(done)


def _print_export(done: Export) -> None:
    """Print the file's size and layers, and how its outputs compare with the model's."""
    parity, layers = done.parity, done.layers
    size = f"{done.bytes / 1e6:.2f} MB"
    say(out, f"{done.path}: {done.format}, {size}, {layers['before']} layers became {layers['after']}")
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in parity.images.items())
    difference = f"largest difference {parity.largest_difference:.2g}, same class {parity.same_class:.2%}"
    say(out, f"  compared on {kinds}: {difference}")
    if parity.scored is not None and parity.accuracy_before is not None and parity.accuracy_after is not None:
        count, part = parity.scored
        accuracies = f"{parity.accuracy_before:.4f} before, {parity.accuracy_after:.4f} after"
        say(out, f"  accuracy on {count:,} {part} images: {accuracies}")


@app.command()
def predict(
    target: Usable,
    images: Images = None,
    split: Split = None,
    first: First = None,
    background: Ground = None,
    data_dir: DataDir = None,
    top: Annotated[int, typer.Option(min=1, help="Classes to show for each image.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 64,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: file, rank, class, probability.")] = False,
    as_json: AsJson = False,
) -> None:
    """Predict the classes of images, with probabilities."""
    # Refuse options that contradict each other before anything is loaded.
    if as_csv and as_json:
        raise InputError("--csv and --json: choose one")
    check_images(images, split, first, background)
    from kzoo.data.image_files import Unreadable, image_files

    unreadable, paths = Unreadable(), image_files(images or [])
    loads_keras(target)
    from kzoo.exporting.predicting import Classifier, predict_files, predict_images

    # Predict files from the command line, or a part of the run's data.
    classifier = Classifier(target)
    if background is not None:
        classifier.background = colour(background)
    if split is None:
        rows = predict_files(classifier, paths, top=top, batch_size=batch_size, unreadable=unreadable)
    else:
        shown = part_images(target, split, first, data_dir)
        rows = predict_images(classifier, shown, top=top, batch_size=batch_size)

    # Print the predictions; files that cannot be read are reported last.
    if as_json:
        print_json([{"file": str(file), "classes": dict(best)} for file, best in rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["file", "rank", "class", "probability"])
        for file, best in rows:
            writer.writerows([file, rank, name, f"{share:.6f}"] for rank, (name, share) in enumerate(best, 1))
    else:
        for file, best in rows:
            text = ", ".join(f"{name} {share:.3f}" for name, share in best)
            say(out, f"{file}: {text}")
    unreadable.check(len(paths))
