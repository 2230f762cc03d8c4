"""Checks whether an existing run is still the requested one."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kzoo.errors import Differs
from kzoo.models.whitening import has_whitening
from kzoo.recipes.schema import Recipe
from kzoo.training import build, records
from kzoo.training.identity import comparing, origin
from kzoo.training.identity.named import names_data, names_model
from kzoo.training.run import recorded_data

AGAIN = "fresh=True (--fresh) trains again in a new directory, or choose another one"


def check_finished(
    directory: Path,
    recipe: Recipe,
    record: records.RunRecord,
    model: keras.Model | None,
    data_dir: str | Path | None,
    callbacks: Sequence[Any] | None,
    data: build.Data | None = None,
    advice: str = AGAIN,
    make: Callable[[], keras.Model] | None = None,
) -> None:
    """Compare a finished run with what is requested now: model, data, custom functions and callbacks.

    Only what the zoo's names do not identify is built or read.

    Args:
        directory: the finished run's directory, or where its record lies.
        recipe: the run's recipe, which is also the requested one.
        record: the run's record.
        model: the requested custom model, if there is one.
        data_dir: as for `kzoo.train`.
        callbacks: the requested callbacks; None not to compare them, as in ``kzoo resume``.
        data: the recipe's data, if already loaded.
        advice: what to do if something differs.
        make: builds the model, if the recipe does not say how.

    Raises:
        Differs: something differs; the message says what.
    """
    before = {"data": origin.describe_data(record.data["fingerprint"], record.data["class_names"])}
    before |= record.origin or {}
    now: dict[str, Any] = {}

    # Data: custom images are read again.
    if data is not None or not names_data(recipe):
        data = data or build.load_parts(recipe, data_dir or record.data.get("data_dir"))
        now["data"] = origin.describe_data(data.fingerprint, data.class_names)

    # Model: a model of custom code is built again, for the images of the record; whitening needs the images themselves.
    own = make is None and not recipe.model.startswith("keras:")
    if own:
        make = lambda: build.build_model(recipe, recorded_data(record))  # type: ignore[arg-type]  # noqa: E731
    if model is None and make is not None and not names_model(recipe):
        model = make()
        if own and has_whitening(model):
            images = data or build.load_parts(recipe, data_dir or record.data.get("data_dir"))
            make = lambda: build.build_model(recipe, images)  # noqa: E731
            model = make()
    if model is not None:
        now["model"] = _described(recipe, model, record.data["image_shape"])

    # Custom functions and callbacks
    now["parts"] = origin.describe_parts(recipe)
    if callbacks is not None:
        now["callbacks"] = origin.describe_callbacks(callbacks)
    _say_what_is_unknown(directory, record.origin, now)
    refuse_differences(directory, before, now, lambda: _again(recipe, make, record), advice)


def check_begun(
    directory: Path,
    before: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    again: Callable[[], keras.Model] | None,
    recipe: Recipe,
    data: build.Data,
) -> None:
    """Compare a resumed run, as its checkpoint describes it, with what the run would be made of `now`.

    A callback is accepted with a warning if only its code has changed (a mistake in it may be why the run stopped), or
    only attributes that are not named like an argument (a time, for example, differs in each process).
    `keras.callbacks.Callback` itself, which does nothing, can replace a callback to leave it out.

    Raises:
        Differs: model or callbacks differ.
    """
    if before is None:
        # The states in the checkpoint show whether the number of callbacks is the same.
        _say_what_is_unknown(directory, before, {**now, "callbacks": None})
        return
    old, new = before["callbacks"], list(now["callbacks"])
    for index, one in enumerate(old[: len(new)]):
        if new[index]["kind"].endswith(f".{keras.callbacks.Callback.__name__}") and new[index]["code"] is None:
            new[index] = one
    texts = [] if comparing.same_callbacks(old, new) else comparing.callback_differences(old, new)
    old, new = ([{**one, "attributes": {}} for one in described] for described in (old, new))
    if comparing.same_callbacks(old, new):
        for text in [*texts, *comparing.callback_differences(old, new)]:
            warnings.warn(f"run {str(directory)!r} resumes with {text} than it began with", stacklevel=2)
        before = {**before, "callbacks": None}
    refuse_differences(directory, before, now, lambda: _again(recipe, again, data))


def refuse_differences(
    directory: Path,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    again: Callable[[], Mapping[str, Any] | None] = lambda: None,
    advice: str = AGAIN,
) -> None:
    """Raise `Differs` with a list of the differences, if there are any.

    If the initial weights differ, `again` describes the model once more. If they differ again, the model's code draws
    new weights each time, which causes a warning instead of an error.
    """
    if unknown := comparing.not_comparable(before, now):
        warnings.warn(
            f"run {str(directory)!r} was made by another version of Python or kzoo: whether the "
            f"{' or the '.join(unknown)} has changed since cannot be checked",
            stacklevel=2,
        )
    changed = comparing.differences(before, now)
    weights = [text for text in changed if text.startswith("other initial weights")]
    if weights and (other := again()) is not None and not comparing.same_weights(other, now["model"]):
        warnings.warn(
            f"the model of run {str(directory)!r} has other initial weights each time it is built, so they do not "
            "show whether it has changed: draw them from Keras's generators, which the recipe's seed sets",
            stacklevel=2,
        )
        changed = [text for text in changed if text not in weights]
    if changed:
        raise Differs(f"run {str(directory)!r} is not what is asked for now: {'; '.join(changed)}. {advice}")


def _again(recipe: Recipe, make: Callable[[], keras.Model] | None, facts: Any) -> Mapping[str, Any] | None:
    if make is None:
        return None
    shape = facts.data["image_shape"] if isinstance(facts, records.RunRecord) else facts.image_shape
    return _described(recipe, make(), shape)


def _described(recipe: Recipe, model: keras.Model, image_shape: Sequence[int]) -> dict[str, Any] | None:
    if not model.built:
        model.build((None, *image_shape))
    build.seed_and_freeze(model, recipe)
    return origin.describe_model(recipe, model)


def _say_what_is_unknown(directory: Path, before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    """Warn about a run of an early version, which did not record the parts that would be compared."""
    asked = [name for name in ("model", "callbacks") if now.get(name)]
    if before is None and asked:
        warnings.warn(
            f"run {str(directory)!r} was made by an earlier kzoo, which did not keep what it was made of: whether its "
            f"{' or '.join(asked)} changed since cannot be checked",
            stacklevel=2,
        )


def finished_line(record: records.RunRecord) -> str:
    """A line that says when a run was finished, and that nothing was trained now."""
    last = record.segments[-1]
    end = datetime.datetime.fromisoformat(last.started) + datetime.timedelta(seconds=last.seconds)
    when = end.astimezone(datetime.UTC).strftime("%Y-%m-%d at %H:%M UTC")
    return f"finished on {when}, nothing was trained; --fresh (fresh=True) trains again"
