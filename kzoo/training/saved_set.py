"""A set of trained weights, opened as the run that made it: a set can be used wherever a run can."""

from __future__ import annotations

import functools
from pathlib import Path

import keras

from kzoo.errors import InputError
from kzoo.models.registry import create_model, names_set
from kzoo.models.weight_sets import RECORD, WEIGHTS, describe, find_set
from kzoo.recipes.schema import Recipe
from kzoo.training import records
from kzoo.training.run import Run


class SetRun(Run):
    """A set of weights as a finished run: its recipe, record and model.

    Attributes:
        source: the set's name ``MODEL:TAG``, its folder or URL.
        set: the set's description.
    """

    def __init__(self, source: str) -> None:
        """Open a set.

        Raises:
            InputError: the set does not exist.
        """
        self.source = source
        self.directory = find_set(source)
        self.set = describe(self.directory, source)
        self.recipe = Recipe(**self.set.recipe)
        self._model = None

    @functools.cached_property
    def result(self) -> records.RunRecord:
        """The record of the run that made it.

        Raises:
            InputError: the set does not include the record, or it is damaged.
        """
        path = self.directory / RECORD
        if not path.exists():
            raise InputError(f"set {self.source!r} came without its {RECORD}: copy that next to its weights")
        return records.read_result(path)

    @property
    def title(self) -> str:
        """The name of the set in messages."""
        return f"set {self.source!r}"

    @property
    def weights(self) -> Path:
        """The weights file."""
        return self.directory / WEIGHTS

    @property
    def finished(self) -> bool:
        """Always true."""
        return True

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label."""
        return self.set.class_names

    def _rebuild(self) -> keras.Model:
        return create_model(self.set.model, weights=self.source)


def open_run(target: Run | str | Path) -> Run:
    """A run by its directory, or a set of weights by its name ``MODEL:TAG``, folder or URL.

    Raises:
        InputError: it is something else.
    """
    if isinstance(target, Run):
        return target
    return SetRun(str(target)) if names_set(str(target)) else Run(target)
