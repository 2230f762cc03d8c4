"""A finished run's weights as a set that others can load by name, folder or URL, with its model card."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import h5py
import jinja2
import keras

from kzoo.errors import InputError
from kzoo.files import user_path, write_atomically, write_text
from kzoo.models.registry import get_variant
from kzoo.models.trained import load_file, outline
from kzoo.models.weight_sets import CARD, DESCRIPTION, RECORD, WEIGHTS, WeightSet
from kzoo.recipes import get_recipe
from kzoo.training.directory import save_weights
from kzoo.training.evaluation import evaluate_part
from kzoo.training.records import RunRecord, Segment, public
from kzoo.training.run import Run
from kzoo.training.training_view import training_view

HALF_COST = 0.0005
"""Test accuracy that float16 storage may cost."""
SHOWN = (
    "optimizer",
    "schedule",
    "l1",
    "l2",
    "augmentation",
    "expansions",
    "batch_size",
    "epochs",
    "train_size",
    "seed",
)


def save_weights_set(
    run: Run | str | Path, directory: str | Path | None = None, *, tag: str | None = None, half: bool = False
) -> Path:
    """Write the best weights of a run as a weight set; see `kzoo.models.weight_sets`.

    Args:
        run: a finished run of a registered model, or its directory.
        directory: the set's folder; ``weights/MODEL/TAG`` if not given.
        tag: names the set among the model's; the dataset's name if not given.
        half: store float16 numbers, which halves the file. The model that loads them computes in float32 as before.
            The test images are evaluated with these numbers, so the data must be available.

    Returns:
        The folder.

    Raises:
        InputError: the run is not finished, failed, was not tested or has no registered model; the folder exists;
            float16 costs accuracy.

    Example:
        >>> sorted(path.name for path in kzoo.save_weights_set(run, "digits-set").iterdir())
        ['README.md', 'model.weights.h5', 'record.json', 'set.json']
    """
    # The run must have a test score and a registered model.
    run = run if isinstance(run, Run) else Run(run)
    result, recipe = run.result, run.recipe
    where = f"run {str(run.directory)!r}"
    if result.status != "completed" or result.test is None:
        why = result.why_untested()
        raise InputError(f"{where} has no test score, so no set of weights can be made from it. {why}")
    if ":" in recipe.model or not isinstance(get_variant(recipe.model).builder, str):
        raise InputError(f"{where} trained {recipe.model!r}, which is not registered: export it as .keras instead")

    # The folder must be new.
    tag = recipe.dataset if tag is None else tag
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", tag):
        raise InputError(f"tag {tag!r}: letters, digits, '.', '_' and '-' are allowed; give one with tag= (--tag)")
    folder = user_path(directory) if directory else Path("weights") / recipe.model / tag
    if folder.exists():
        raise InputError(f"directory {str(folder)!r} exists: choose another, nothing is overwritten")

    # Write into a temporary folder first, so that the set appears as a whole.
    temporary = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"directory {str(folder)!r} cannot be made: {error.strerror}") from None
    try:
        save_weights(run.model, temporary / WEIGHTS)
        if half:
            _halve(temporary / WEIGHTS)
            _check_half(run, temporary / WEIGHTS)
        weight_set = _described(run, tag, (temporary / WEIGHTS).read_bytes(), "float16" if half else "float32")
        description = json.dumps(weight_set.model_dump(mode="json"), indent=1) + "\n"
        texts = {RECORD: public(result).to_json(), CARD: model_card(weight_set, run), DESCRIPTION: description}
        for name, text in texts.items():
            write_text(temporary / name, text)
        try:
            temporary.rename(folder)
        except OSError as error:  # another process has just written it
            raise InputError(f"directory {str(folder)!r} cannot be made: {error.strerror}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _halve(path: Path) -> None:
    """Rewrite a weights file with float16 in place of float32."""
    memory = io.BytesIO()  # see `save_weights`
    with h5py.File(path, "r") as old, h5py.File(memory, "w") as new:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                values = item[()]
                made = new.create_dataset(name, data=values.astype("float16") if values.dtype == "float32" else values)
            else:
                made = new.require_group(name)
            made.attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)
    write_atomically(path, lambda stream: stream.write(memory.getbuffer()))


def _check_half(run: Run, path: Path) -> None:
    """Refuse float16 weights whose test accuracy is more than `HALF_COST` below the run's."""
    model = keras.models.clone_model(run.model)
    load_file(model, path, str(path))
    view, logits = training_view(model)
    accuracy = evaluate_part(view, logits, run.part("test"), run.recipe.batch_size).accuracy
    assert run.result.test is not None
    if not run.result.test.accuracy - accuracy <= HALF_COST:
        raise InputError(
            f"{run.title}: float16 weights have a test accuracy of {accuracy:.4f} instead of "
            f"{run.result.test.accuracy:.4f}: save them as float32 (without half=True, --half)"
        )


def _described(run: Run, tag: str, content: bytes, dtype: Literal["float32", "float16"]) -> WeightSet:
    # Scores
    result = run.result
    statistics = result.data["normalization"]
    assert result.test is not None
    metrics = {"test_accuracy": result.test.accuracy, "test_loss": result.test.loss}
    if result.test_tta is not None:
        metrics |= {"test_tta_accuracy": result.test_tta.accuracy, "test_tta_loss": result.test_tta.loss}
    if result.best is not None:  # else no images were held out for validation
        metrics |= {"best_val_accuracy": result.best.accuracy, "best_val_loss": result.best.loss}

    # The description
    return WeightSet(
        model=run.recipe.model,
        tag=tag,
        options=run.recipe.model_options,
        class_names=tuple(result.data["class_names"]),
        input_shape=tuple(result.data["image_shape"]),
        mean=statistics and tuple(statistics[0]),
        std=statistics and tuple(statistics[1]),
        outline=outline(run.model),
        parameters=result.all_parameters or result.parameters,
        dtype=dtype,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        metrics=metrics,
        epochs=result.epochs,
        images=result.sizes["train"],
        digest=result.digest,
        recipe=result.recipe,
    )


def model_card(weight_set: WeightSet, run: Run) -> str:
    """The card of a set, in the form that Hugging Face reads."""
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    template = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    recipe = weight_set.recipe
    options = ", ".join(f"{key}={value!r}" for key, value in weight_set.options.items())
    # Of paths the last part, so that the card does not publish the user's folders.
    kind, location = recipe["dataset"].partition(":")[0], Path(recipe["dataset"].partition(":")[2])
    source = recipe.get("initial_weights") or ""
    return template.get_template("model_card.md").render(
        set=weight_set,
        recipe=recipe,
        dataset=location.name if kind in ("folder", "npz") else recipe["dataset"],
        initial_weights=source if "://" in source else Path(source).name,
        sizes=run.result.sizes,
        options=f" with {options}" if options else "",
        normalization="normalizes" if weight_set.mean else "takes as they are",
        fields={key: json.dumps(recipe[key]) for key in SHOWN},
        made_with=", then with ".join(dict.fromkeys(map(_made_with, run.result.segments))),
        shortened=_shortened(recipe),
        frozen=_frozen(run.result),
    )


def _made_with(segment: Segment) -> str:
    """The packages and the processor of one process's part of a run."""
    packages = [name for name in ("kzoo", "keras", segment.backend) if name in segment.versions]
    versions = ", ".join(f"{name} {segment.versions[name]}" for name in packages)
    return f"{versions} on {segment.processor or 'an unnamed processor'}"


def _frozen(result: RunRecord) -> str:
    """How many parameters were trained, if not all."""
    whole = result.all_parameters
    if whole is None or whole == result.parameters:
        return ""
    return f"; {result.parameters:,} of its {whole:,} parameters were trained"


def _shortened(recipe: dict[str, Any]) -> str:
    """A note if a run was shorter than the recipe of its name."""
    try:
        full = get_recipe(recipe["name"])
    except InputError:
        return ""
    if recipe["epochs"] >= full.epochs and recipe["train_size"] == full.train_size:
        return ""
    images = f" on {recipe['train_size']:,} images" if recipe["train_size"] else ""
    return f", for {recipe['epochs']} epochs{images} instead of the recipe's {full.epochs}"
