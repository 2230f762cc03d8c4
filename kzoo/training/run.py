"""`train`, `resume` and the `Run` they give: a recipe becomes a directory with a record in it.

A run's directory holds ``recipe.json``, ``metrics.csv``, ``checkpoint/``, ``best.weights.h5``, ``final.weights.h5``,
``tensorboard/``, ``weight_histograms.json`` and, at the end, ``result.json``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from kzoo.errors import InputError, RunFailed
from kzoo.files import write_atomically
from kzoo.recipes import recipe as named_recipe
from kzoo.recipes.schema import Recipe
from kzoo.training import build, checkpoint, records
from kzoo.training.directory import check_same_data, check_same_recipe, claimed, lay_out, new_place, own_model
from kzoo.training.evaluation import augmented_evaluation, evaluate
from kzoo.training.guards import NotFinite
from kzoo.training.initial_weights import initial_weights_file, load_initial_weights
from kzoo.training.saved_run import Run
from kzoo.training.session import Session

RUNS = Path("runs")


def train(
    recipe: str | Recipe,
    *,
    model: keras.Model | str | None = None,
    data_dir: str | Path | None = None,
    directory: str | Path | None = None,
    fresh: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool | Console = True,
    checkpoint_minutes: float = 3.0,
    diagnostics: bool = True,
    **changes: Any,
) -> Run:
    """Train a recipe, or go on with its run, or return it if it is finished.

    Args:
        recipe: a `Recipe`, a recipe's name, a model's name (for its family's default recipe) or a JSON file's path.
        model: a compiled or uncompiled Keras model of one's own to train instead of the recipe's, which takes images
            (batch, height, width, channels) of 0-255 pixels and gives logits or probabilities (batch, classes). A
            name stands for the recipe's field.
        data_dir: a directory prepared by tensorflow-datasets; `$KZOO_DATA_DIR` if not given.
        directory: of the run; ``runs/<name>-<digest>`` if not given.
        fresh: start anew, in a new directory, even if there is a run already.
        callbacks: added to the run's own. Their plain attributes (or `state()` and `restore(state)`) survive a kill.
        progress: whether to show progress, or the rich console to show it on.
        checkpoint_minutes: time between checkpoints within an epoch; there is one at each epoch's end anyway.
        diagnostics: whether to record gradient flow and weight histograms (see `kzoo.diagnostics.gradient_flow` and
            `kzoo.diagnostics.weight_histograms`), which changes nothing of the training; a run that is gone on with
            keeps to what it began with.
        **changes: recipe fields to override, e.g. ``epochs=5`` or ``**{"model_options.dropout": 0.5}``.

    Returns:
        The finished run, its model holding the weights of the best epoch.

    Raises:
        InputError: recipe, data or directory are not usable; nothing was overwritten.
        RunFailed: the loss is not finite or the disk is full.
        KeyboardInterrupt: after SIGINT or SIGTERM; a checkpoint was written first.
    """
    row = recipe if isinstance(recipe, Recipe) else named_recipe(recipe)
    if isinstance(model, str):
        changes, model = {**changes, "model": model}, None
    row, digest = identify(row.override(**changes), model)
    place = Path(directory) if directory else RUNS / records.folder_name(row.name, digest)
    if fresh:
        place = new_place(place)
    with claimed(place):
        return train_in(
            place,
            row,
            digest,
            model,
            data_dir,
            callbacks=callbacks,
            progress=progress,
            checkpoint_minutes=checkpoint_minutes,
            diagnostics=diagnostics,
        )


def resume(directory: str | Path, *, data_dir: str | Path | None = None, **options: Any) -> Run:
    """Go on with the run in a directory; a finished one is returned as it is.

    Args:
        directory: a run's.
        data_dir: as for `train`; if not given, where the run found its data before.
        **options: `callbacks`, `progress` and `checkpoint_minutes`, as for `train`.
    """
    row = Run(directory).recipe
    with claimed(Path(directory)):
        return train_in(Path(directory), row, None, None, data_dir, **options)


def identify(row: Recipe, model: keras.Model | None = None) -> tuple[Recipe, str]:
    """A recipe resolved, for a model of one's own if there is one, and its identity.

    Raises:
        InputError: the model is not built, or a file that the recipe names is not there.
    """
    content = []
    if model is not None:
        row = row.override(model=f"keras:{model.name}", model_options={})
        if not model.built:
            raise InputError(f"model {model.name!r} is not built: give it an Input, or call it once")
        content.append(build.model_digest(model))
    row = row.resolved()
    if row.initial_weights is not None:
        path = initial_weights_file(row.initial_weights)
        content.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return row, row.digest(*content)


def train_in(
    place: Path,
    row: Recipe,
    digest: str | None,
    model: keras.Model | None,
    data_dir: str | Path | None,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool | Console = True,
    checkpoint_minutes: float = 3.0,
    diagnostics: bool = True,
    data: build.Data | None = None,
    test: bool = True,
    until: int | None = None,
) -> Run:
    """Train in a directory that is claimed, or go on there; see `train`.

    Args:
        place: the directory.
        row, digest: as `identify` gives them; no digest to go on with whatever is there.
        model: the one to train, with its initial weights; made from the recipe if not given.
        data_dir, callbacks, progress, checkpoint_minutes, diagnostics: as for `train`.
        data: the recipe's, if it is loaded already.
        test: whether to read the test part at the end. A search does not: it would look at it once a trial.
        until: end after so many of the recipe's epochs.
    """
    start = checkpoint.load_latest(place / "checkpoint")
    if (place / "recipe.json").exists():
        check_same_recipe(place, row, digest, start)
    if (place / "result.json").exists():
        run = Run(place)
        if run.result.status == "failed":
            raise RunFailed(f"run {str(place)!r} failed: {run.result.reason}. To try again: --fresh")
        return run
    data_dir = data_dir or (start.meta.get("data_dir") if start else None)
    data = data or build.load_parts(row, data_dir)
    if start is not None:
        check_same_data(place, start.meta["fingerprint"], data.fingerprint)
    if model is None:
        model = own_model(place) if row.model.startswith("keras:") else build.build_model(row, data)
    if model is None:
        raise InputError(f"run {str(place)!r} trains a model of your own: call kzoo.train(..., model=...) again")
    build.prepare_model(model, row, data)
    if row.initial_weights is not None and start is None:
        load_initial_weights(model, row.initial_weights)
    digest = digest or (start.meta["digest"] if start else row.digest())
    lay_out(place, row, model)
    if start is not None:
        diagnostics = start.meta.get("diagnostics", False)
    meta = {"digest": digest, "fingerprint": data.fingerprint, "data_dir": str(data_dir) if data_dir else None}
    meta["diagnostics"] = diagnostics
    console = progress if isinstance(progress, Console) else Console() if progress else None
    session = Session(
        model,
        row,
        data,
        place,
        start=start,
        meta=meta,
        extra=callbacks,
        console=console,
        checkpoint_minutes=checkpoint_minutes,
        diagnostics=diagnostics,
        until=until,
    )
    try:
        session.run()
    except NotFinite as error:
        _record(session, reason=str(error))
        raise
    session.finish()
    _record(session, reason=None, test=test)
    return Run(place, model=model)


def _record(session: Session, reason: str | None, test: bool = True) -> None:
    """Write a run's record; the test part is read here, once, if at all."""
    row, data, history = session.recipe, session.data, session.log.history
    scores: dict[str, Any] = {}
    if reason is None:
        index = (session.best.epoch or 1) - 1
        scores["best_epoch"] = index + 1
        scores["train"] = {"loss": history["loss"][-1], "accuracy": history["accuracy"][-1]}
        if len(data.validation):
            scores["best"] = {"loss": history["val_loss"][index], "accuracy": history["val_accuracy"][index]}
            scores["last"] = {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
        if test and len(data.test):
            found = evaluate(session.view, session.logits, data.test.labels, data.batches("test", row))
            scores["test"] = {"loss": found.loss, "accuracy": found.accuracy}
            scores["confusion"] = found.confusion.tolist()
            if row.tta is not None:
                args = (data.test.labels, data.test.images, row.tta, row.batch_size)
                found = augmented_evaluation(session.view, session.logits, *args)
                scores["test_tta"] = {"loss": found.loss, "accuracy": found.accuracy}
    statistics = data.normalization
    segments = session.segments()
    result = records.Result(
        name=row.name,
        digest=session.meta["digest"],
        status="failed" if reason else "completed",
        reason=reason,
        recipe=row.model_dump(mode="json"),
        parameters=sum(int(np.prod(weight.shape)) for weight in session.stock.trainable_weights),
        sizes=data.sizes,
        data={
            "fingerprint": data.fingerprint,
            "class_names": list(data.class_names),
            "image_shape": list(data.image_shape),
            "normalization": statistics and [list(statistics.mean), list(statistics.std)],
            "data_dir": session.meta["data_dir"],
        },
        epochs=len(history.get("loss", [])),
        history=history,
        gradient_flow=session.flow.history.to_dict() if session.flow and session.flow.history else None,
        seconds=round(sum(segment["seconds"] for segment in segments), 3),
        peak_memory=records.peak_memory(),
        segments=[records.Segment(**segment) for segment in segments],
        git_commit=records.git_commit(),
        **scores,
    )
    path = session.directory / "result.json"
    write_atomically(path, lambda stream: stream.write(result.to_json().encode()))
