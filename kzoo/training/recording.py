"""Writes the record of a run that has ended, ``result.json``."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.files import write_text
from kzoo.introspection.graph import direct_trainable_variables, inner_layers
from kzoo.introspection.layer_table import layer_table
from kzoo.memory import peak_memory
from kzoo.training import counts, records
from kzoo.training.evaluation import evaluate_augmented, evaluate_outputs, predict
from kzoo.training.trainer import Trainer


def _multiply_adds(model: keras.Model) -> int | None:
    """Multiply-adds per image; None if the layer table cannot count them."""
    try:
        table = layer_table(model)
    except (InputError, AttributeError, ValueError, TypeError):
        return None  # a custom model without a graph
    return None if table.uncounted else table.multiply_adds


def _count(model: keras.Model, frozen: bool = False) -> int:
    """The number of a model's trainable parameters; with `frozen`, including those of frozen layers."""
    layers = [model, *inner_layers(model)]
    chosen = [v for layer in layers for v in direct_trainable_variables(layer)] if frozen else model.trainable_weights
    return sum(int(np.prod(weight.shape)) for weight in {id(weight): weight for weight in chosen}.values())


def write_record(trainer: Trainer, reason: str | None, test: bool = True) -> None:
    """Write a run's record; the test part is read here, once, if at all."""
    recipe, data, history = trainer.recipe, trainer.data, trainer.log.history

    # Scores: a failed run has none.
    scores: dict[str, Any] = {}
    if reason is None:
        index = (trainer.best.epoch or 1) - 1
        scores["best_epoch"] = index + 1
        scores["train"] = {"loss": history["loss"][-1], "accuracy": history["accuracy"][-1]}
        if len(data.validation):
            scores["best"] = {"loss": history["val_loss"][index], "accuracy": history["val_accuracy"][index]}
            scores["last"] = {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
        if test and len(data.test):
            view, logits, labels = trainer.view, trainer.logits, data.test.labels
            outputs = predict(view, data.test.images, labels, recipe.batch_size)
            evaluation = evaluate_outputs(view, outputs, labels, logits)
            scores["test"] = {"loss": evaluation.loss, "accuracy": evaluation.accuracy}
            scores["confusion"] = counts.to_json(evaluation.confusion)
            if recipe.tta is not None:
                args = (data.test, recipe.tta, recipe.batch_size)
                evaluation = evaluate_augmented(view, logits, *args, plain=outputs)
                scores["test_tta"] = {"loss": evaluation.loss, "accuracy": evaluation.accuracy}

    # The record.
    statistics, class_weights = data.normalization, data.class_weights(recipe)
    segments = trainer.segments()
    result = records.RunRecord(
        name=recipe.name,
        digest=trainer.state.digest,
        status="failed" if reason else "completed",
        reason=reason,
        recipe=recipe.model_dump(mode="json"),
        multiply_adds=_multiply_adds(trainer.stock),
        parameters=_count(trainer.stock),
        all_parameters=_count(trainer.stock, frozen=True),
        sizes=data.sizes,
        data={
            "fingerprint": data.fingerprint,
            "class_names": list(data.class_names),
            "image_shape": list(data.image_shape),
            "normalization": statistics and [list(statistics.mean), list(statistics.std)],
            "data_dir": trainer.state.data_dir,
            **({} if class_weights is None else {"class_weights": [float(weight) for weight in class_weights]}),
        },
        epochs=len(history.get("loss", [])),
        history=history,
        gradient_flow=trainer.flow.history.to_dict() if trainer.flow and trainer.flow.history else None,
        seconds=round(sum(segment["seconds"] for segment in segments), 3),
        peak_memory=peak_memory(),
        segments=[records.Segment(**segment) for segment in segments],
        git_commit=records.git_commit(),
        origin={name: (trainer.state.origin or {})[name] for name in ("model", "callbacks", "parts")},
        extends=trainer.state.extends,
        **scores,
    )
    path = trainer.directory / "result.json"
    write_text(path, result.to_json(), locked=True)
