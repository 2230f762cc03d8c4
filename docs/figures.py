"""Draw the figures of docs/diagnosis.md, from networks that this script trains and from untrained networks.

    python docs/figures.py --data-dir DIR                        all figures
    python docs/figures.py --data-dir DIR --only gradients-vgg38 this figure and the run that it needs
    python docs/figures.py --data-dir DIR --list                 names of the figures, and their runs

It writes figures and ``captions.json`` to docs/images/. Then run ``python docs/generate.py``, which inserts the
captions into the page. Runs are kept in a separate directory: a second call resumes unfinished runs and reuses
complete ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kzoo
from kzoo.backend import quiet_import

IMAGES = Path(__file__).parent / "images"
LARGEST = 150_000  # bytes of a figure
DOTS_PER_INCH = 110


@dataclass(frozen=True)
class Plan:
    """A run: its recipe, and factors by which to multiply the command line's numbers of images and epochs."""

    recipe: str
    images: int = 1
    epochs: int = 1
    dataset: str | None = None


# Report b's three networks learn little on CIFAR-100 in a few epochs. Figures of predictions need a network that has
# learned something: a small one with ten classes that trains longer.
PLANS = {
    "vgg08": Plan("rescue/vgg08"),
    "vgg38": Plan("rescue/vgg38"),
    "vgg38-bn": Plan("rescue/bn"),
    "cifar10": Plan("vgg08-bn", images=4, epochs=2, dataset="cifar10"),
    **{f"lenet2-{kind}": Plan(f"reduction/lenet2-{kind}", images=8) for kind in ("max", "average", "dilated")},
}


class Runs:
    """Trains each requested run once."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Store the options of the command line."""
        self.options = options
        self.done: dict[str, Any] = {}

    def changes(self, name: str) -> dict[str, Any]:
        """Return the budget of a run as recipe fields."""
        plan = PLANS[name]
        changes = {"train_size": self.options.train_size * plan.images, "epochs": self.options.epochs * plan.epochs}
        return {**changes, **({"dataset": plan.dataset} if plan.dataset else {})}

    def __call__(self, name: str) -> Any:
        """Return the finished run of this name."""
        if name not in self.done:
            changes = self.changes(name)
            directory = self.options.runs / f"{name}-{changes['train_size']}x{changes['epochs']}"
            print(f"training {PLANS[name].recipe}: {changes}", flush=True)
            self.done[name] = kzoo.train(
                PLANS[name].recipe, data_dir=self.options.data_dir, directory=directory, progress=False, **changes
            )
        return self.done[name]


def budget(run: Any, *, named: bool = True) -> str:
    """Describe the budget of a run from its record, for captions."""
    result = run.result
    epochs = f"{result.epochs} epoch{'s' if result.epochs > 1 else ''}"
    text = f"{result.recipe['dataset']}, {result.sizes['train']:,} images, {epochs}"
    return f"`{result.name}` on {text}" if named else text


def convolutions(model: Any) -> list[str]:
    """Return the paths of a model's convolutions, in order."""
    from kzoo.introspection.layers import find_kernels

    return [path for path, kernels in find_kernels(model) if len(kernels[0].shape) == 4]


Drawn = tuple[Any, str, str]  # a Matplotlib figure, or the text of an SVG or of a listing; its suffix; its caption
FIGURES: dict[str, tuple[Callable[[Runs], Drawn], tuple[str, ...]]] = {}


def figure(name: str, *runs: str) -> Callable[[Callable[[Runs], Drawn]], Callable[[Runs], Drawn]]:
    """Register a function that draws a figure from some runs."""

    def register(function: Callable[[Runs], Drawn]) -> Callable[[Runs], Drawn]:
        FIGURES[name] = (function, runs)
        return function

    return register


def _gradient_figures() -> None:
    for network in ("vgg08", "vgg38", "vgg38-bn"):

        def lines(runs: Runs, network: str = network) -> Drawn:
            from kzoo.diagnostics.gradient_flow.plots import plot_gradient_flow

            run = runs(network)
            drawn = plot_gradient_flow(run.result.gradient_flow, title=network)
            return drawn, ".svg", f"Mean absolute gradient by layer and epoch: {budget(run)}."

        figure(f"gradients-{network}", network)(lines)


_gradient_figures()


@figure("gradients-heatmap", "vgg38-bn")
def gradients_heatmap(runs: Runs) -> Drawn:
    """Gradients of VGG-38 with BatchNorm as a heat map."""
    from kzoo.diagnostics.gradient_flow.plots import plot_gradient_heatmap

    run = runs("vgg38-bn")
    return plot_gradient_heatmap(run.result.gradient_flow), ".png", f"The same run as a heat map: {budget(run)}."


@figure("update-ratio", "vgg38-bn")
def update_ratio(runs: Runs) -> Drawn:
    """Updates relative to weights."""
    from kzoo.diagnostics.gradient_flow.plots import plot_update_ratio

    run = runs("vgg38-bn")
    drawn = plot_update_ratio(run.result.gradient_flow)
    return drawn, ".svg", f"Update-to-weight ratio of each layer: {budget(run)}."


@figure("learning-curves", "vgg08", "vgg38", "vgg38-bn")
def learning_curves(runs: Runs) -> Drawn:
    """Learning curves of report b's networks."""
    from kzoo.diagnostics.curves import plot_learning_curves

    networks = [runs(name) for name in ("vgg08", "vgg38", "vgg38-bn")]
    drawn = plot_learning_curves({run.recipe.model: run.history for run in networks})
    return drawn, ".svg", f"Loss and accuracy; each run: {budget(networks[0], named=False)}."


@figure("weights", "vgg38-bn")
def weights(runs: Runs) -> Drawn:
    """Weight histograms."""
    from kzoo.diagnostics.weight_plots import plot_weight_histograms
    from kzoo.training.recorders.weight_histograms import read_weight_histograms

    run = runs("vgg38-bn")
    drawn = plot_weight_histograms(read_weight_histograms(run.directory), at_most=8)
    return drawn, ".png", f"Weights by epoch, from before training (dark) to the last epoch (light): {budget(run)}."


@figure("activations")
def activations(runs: Runs) -> Drawn:
    """Activations at initialisation."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    drawn = kzoo.plot_activations(kzoo.activation_statistics(kzoo.create_model("vgg38"), images))
    return drawn, ".svg", "Activations of an untrained VGG-38 on 32 images of noise, by layer; nothing was trained."


@figure("doctor")
def doctor(runs: Runs) -> Drawn:
    """Output of the doctor."""
    text = f"$ kzoo doctor vgg38\n{kzoo.doctor('vgg38')}"
    return text, ".txt", "The doctor on VGG-38 before training, without data."


@figure("confusion", "cifar10")
def confusion(runs: Runs) -> Drawn:
    """The confusion matrix."""
    from kzoo.diagnostics.confusion import plot_confusion, run_confusion

    run = runs("cifar10")
    return plot_confusion(run_confusion(run)), ".png", f"Confusion on the test part: {budget(run)}."


@figure("per-class", "cifar10")
def per_class(runs: Runs) -> Drawn:
    """Recall and precision."""
    from kzoo.diagnostics.confusion import plot_per_class, run_confusion

    run = runs("cifar10")
    return plot_per_class(run_confusion(run)), ".svg", f"Recall and precision by class: {budget(run)}."


@figure("mistakes", "cifar10")
def mistakes(runs: Runs) -> Drawn:
    """The most confident mistakes."""
    from kzoo.diagnostics.confusion import confident_mistakes, plot_mistakes
    from kzoo.training.prediction import predict_part

    run = runs("cifar10")
    predictions = predict_part(run, "test")
    indices = confident_mistakes(predictions.labels, predictions.probabilities, 10)
    drawn = plot_mistakes(predictions.images, indices, run.class_names)
    return drawn, ".png", f"The ten most confident mistakes on the test part: {budget(run)}."


@figure("calibration", "cifar10")
def calibration(runs: Runs) -> Drawn:
    """Reliability before and after temperature scaling."""
    from kzoo.diagnostics import calibration as measures
    from kzoo.training.prediction import predict_part

    run = runs("cifar10")
    test, validation = predict_part(run, "test"), predict_part(run, "validation")
    temperature = measures.fit_temperature(validation.labels, validation.probabilities)
    scaled = measures.at_temperature(test.probabilities, temperature)
    panels = {
        "as trained": measures.calibration(test.labels, test.probabilities),
        f"at temperature {temperature:.2f}": measures.calibration(test.labels, scaled),
    }
    caption = f"Reliability on the test part; the temperature is fitted on the validation part: {budget(run)}."
    return measures.plot_reliability(panels), ".svg", caption


@figure("grad-cam", "cifar10")
def grad_cam(runs: Runs) -> Drawn:
    """Regions that determine the predictions."""
    import numpy as np

    from kzoo.diagnostics.grad_cam import plot_grad_cam
    from kzoo.training.prediction import predict_part

    run = runs("cifar10")
    predictions = predict_part(run, "test")
    correct = np.flatnonzero(predictions.probabilities.argmax(-1) == predictions.labels)
    surest = correct[np.argsort(-predictions.probabilities[correct].max(-1))]
    _, first = np.unique(predictions.labels[surest], return_index=True)  # one image per class
    pictures = predictions.images[surest[np.sort(first)[:4]]]
    drawn = plot_grad_cam(run.model, pictures, convolutions(run.model)[1::2], class_names=run.class_names)
    caption = f"Grad-CAM of the predicted class at three depths, on correctly classified images: {budget(run)}."
    return drawn, ".png", caption


@figure("feature-maps", "cifar10")
def feature_maps(runs: Runs) -> Drawn:
    """Feature maps of an image."""
    from kzoo.diagnostics.feature_maps import plot_feature_maps

    run = runs("cifar10")
    image = run.part("test").images[0]
    caption = f"Feature maps of one test image, first channels of each layer: {budget(run)}."
    return plot_feature_maps(run.model, image, convolutions(run.model)[::2], channels=8), ".png", caption


@figure("kernels")
def kernels(runs: Runs) -> Drawn:
    """The first convolution's kernels."""
    from kzoo.diagnostics.feature_maps import plot_kernels

    model = kzoo.create_model("vgg08", weights="cifar10")
    return plot_kernels(model), ".png", "Kernels of the first convolution of `vgg08:cifar10`."


@figure("explained")
def explained(runs: Runs) -> Drawn:
    """One image with Grad-CAM, as in `kzoo explain`."""
    import numpy as np
    from PIL import Image

    from kzoo.data import load
    from kzoo.diagnostics.explaining import plot_explained
    from kzoo.training.saved_set import open_run

    run = open_run("lenet2-average:emnist")
    small = load("digits").images[3, :, :, 0]
    image = np.asarray(Image.fromarray(small).resize((28, 28)))[..., None]
    probabilities = run.model.predict(image[None], verbose=0)[0]
    title = f"predicted {run.class_names[probabilities.argmax()]} ({probabilities.max():.3f})"
    drawn = plot_explained(image, kzoo.grad_cam(run.model, image[None])[0], title)
    return drawn, ".png", "Grad-CAM of `lenet2-average:emnist` on one of scikit-learn's digits."


@figure("field-table")
def field_table(runs: Runs) -> Drawn:
    """Effective fields by layer."""
    from kzoo.diagnostics.receptive_field.plots import plot_field_table
    from kzoo.diagnostics.receptive_field.table import field_table as table

    rows = table(kzoo.create_model("lenet2-dilated"))
    caption = "Effective receptive fields of an untrained `lenet2-dilated`, layer by layer."
    return plot_field_table(rows), ".png", caption


@figure("receptive-fields")
def receptive_fields(runs: Runs) -> Drawn:
    """Receptive fields with average pooling and with dilation."""
    from kzoo.diagnostics.receptive_field.lenet_plots import plot_lenet_fields
    from kzoo.diagnostics.receptive_field.lenets import lenet_fields

    caption = (
        "Effective receptive fields of untrained LeNets with average pooling and with dilation, 1 to 4 blocks, mean of "
        "5 draws of weights and 8 random images each; squares: the exact field; titles: the exact size and that of "
        "report d's formula."
    )
    return plot_lenet_fields(lenet_fields()), ".png", caption


@figure("invariance", "lenet2-max", "lenet2-average", "lenet2-dilated")
def invariance(runs: Runs) -> Drawn:
    """Accuracy on shifted and rotated images."""
    from kzoo.diagnostics.invariance import invariance as measure
    from kzoo.diagnostics.invariance import plot_invariance

    results = []
    for kind in ("max", "average", "dilated"):
        run = runs(f"lenet2-{kind}")
        part = run.part("test")
        results.append(measure(run.model, part.images[:1000], part.labels[:1000], name=f"lenet2-{kind}"))
    caption = f"Accuracy on 1,000 test images, shifted and rotated; each run: {budget(run, named=False)}."
    return plot_invariance(results), ".svg", caption


def _diagrams() -> None:
    for name in ("vgg38-bn-res", "lenet2-dilated"):

        def draw(runs: Runs, name: str = name) -> Drawn:
            from kzoo.diagnostics.diagram import architecture_diagram

            return architecture_diagram(kzoo.create_model(name)), ".svg", f"`kzoo diagram {name}`."

        figure(f"diagram-{name}")(draw)


_diagrams()


def save(name: str, drawn: Drawn) -> dict[str, str]:
    """Write a figure and return its entry in captions.json."""
    from PIL import Image

    from kzoo.diagnostics.plots import figure_to_array, save_figure

    content, suffix, caption = drawn
    path = IMAGES / f"{name}{suffix}"
    if isinstance(content, str):
        path.write_text(content if content.endswith("\n") else f"{content}\n", encoding="utf-8")
    elif suffix == ".png":
        # A palette makes the files small, and no picture needs more colours.
        Image.fromarray(figure_to_array(content, DOTS_PER_INCH)).quantize(256).save(path, optimize=True)
    else:
        save_figure(content, path, overwrite=True)
    if path.stat().st_size > LARGEST:
        sys.exit(f"{path} has {path.stat().st_size:,} bytes, more than {LARGEST:,}")
    return {"file": path.name, "caption": caption}


def main() -> None:
    """Draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", help="data prepared by tensorflow-datasets (default: $KZOO_DATA_DIR)")
    parser.add_argument("--runs", type=Path, default=Path("runs/figures"), help="directory of the runs")
    parser.add_argument("--train-size", type=int, default=5000, help="images per run (some use 4 or 8 times as many)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs per run (one uses twice as many)")
    parser.add_argument("--only", nargs="+", choices=sorted(FIGURES), metavar="NAME", help="draw only these figures")
    parser.add_argument("--list", action="store_true", help="print names and budgets, train nothing")
    options = parser.parse_args()
    runs = Runs(options)
    if options.list:
        for name, (_, needed) in FIGURES.items():
            print(f"{name}: {', '.join(needed) or 'no training'}")
        costs = {name: runs.changes(name)["train_size"] * runs.changes(name)["epochs"] for name in PLANS}
        print(f"images trained: {costs}, {sum(costs.values()):,} in total")
        return
    with quiet_import():
        import keras  # noqa: F401
    IMAGES.mkdir(exist_ok=True)
    captions_file = IMAGES / "captions.json"
    captions = json.loads(captions_file.read_text(encoding="utf-8")) if captions_file.exists() else {}
    for name in options.only or FIGURES:
        captions[name] = save(name, FIGURES[name][0](runs))
        print(f"{name}: {captions[name]['file']}", flush=True)
        ordered = {known: captions[known] for known in FIGURES if known in captions}
        captions_file.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
