"""A recipe and a space as a keras-tuner hyper-model: `build` returns kzoo's model, and `fit` trains like kzoo."""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import keras_tuner
import numpy as np
from keras_tuner.errors import FailedTrialError, FatalError

from kzoo.errors import InputError, KzooError, NotWritten, RunFailed, in_one_line, some
from kzoo.introspection.layer_table import layer_table
from kzoo.models.registry import resolve
from kzoo.recipes import get_recipe
from kzoo.recipes.schema import Recipe
from kzoo.search.callbacks import MedianStop, SaveBestEpoch, TunerCallback, TunerCallbacks
from kzoo.search.declared import Space
from kzoo.search.results import RUN
from kzoo.search.search import Search
from kzoo.search.space import Entry
from kzoo.seeds import derived_seed, seed_keras
from kzoo.training import build
from kzoo.training.directory import claimed, continue_from, custom_model
from kzoo.training.records import folder_name
from kzoo.training.run import Run
from kzoo.training.train import RUNS, identify
from kzoo.training.train_in import train_in
from kzoo.training.trainer import Options


class Rejected(FailedTrialError):
    """A model exceeds a limit and is not trained, which does not count as a failure.

    Attributes:
        counts: its trainable ``parameters`` and, if they were counted, ``multiply_adds`` per image.
    """

    def __init__(self, message: str, **counts: int) -> None:
        """Create the error."""
        super().__init__(message)
        self.counts = counts


class _Misuse(InputError, FatalError):
    """An error that every trial would have: keras-tuner ends the search at once."""


class _NotWritten(NotWritten, FatalError):
    """A trial's files cannot be written: keras-tuner ends the search at once."""


class RecipeHyperModel(keras_tuner.HyperModel):
    """A keras-tuner hyper-model: a recipe with some fields varied, or a model function and a recipe to train it.

    A trial is a run in the trial's directory, with checkpoints, so it resumes if it is trained again. The recipe names
    the data, so ``tuner.search()`` takes no data.

    Attributes:
        recipe: the base of every trial's recipe.
        space: what varies.
        search: the search that the hyper-model belongs to, if any.
    """

    search: Search

    def __init__(
        self,
        recipe: str | Recipe,
        space: Mapping[str, Entry] | None = None,
        *,
        model: Callable[..., Any] | str | None = None,
        max_parameters: int | None = None,
        max_multiply_adds: int | None = None,
        data_dir: str | Path | None = None,
        checkpoint_minutes: float = 3.0,
        diagnostics: bool = False,
        grid: bool = False,
        name: str | None = None,
    ) -> None:
        """Describe the models and their training.

        Args:
            recipe: a `Recipe`, or the name or file of one.
            space: see `kzoo.search.space`; can be empty if `model` declares hyper-parameters to `hp` itself.
            model: builds the model instead of the recipe's: a function of `hp`, or ``module:function``.
            max_parameters: a model with more trainable parameters is rejected before it is trained.
            max_multiply_adds: the same for multiply-adds per image.
            data_dir, checkpoint_minutes, diagnostics: as for `kzoo.train`.
            grid: whether ranges are declared as choices between the values of a grid.
            name: name of the hyper-model.

        Raises:
            InputError: the space does not fit the recipe or the model's builder.
        """
        super().__init__(name=name)
        self.recipe = recipe if isinstance(recipe, Recipe) else get_recipe(recipe)
        self.space = space if isinstance(space, Space) else Space(space or {}, self.recipe, may_be_empty=True)
        self.model_function = resolve(model) if isinstance(model, str) else model
        if self.model_function is None:
            self.space.read_builder()
        self.max_parameters, self.max_multiply_adds = max_parameters, max_multiply_adds
        self.data_dir, self.checkpoint_minutes, self.diagnostics = data_dir, checkpoint_minutes, diagnostics
        self.grid = grid
        self._data = build.LastData(data_dir)
        self._saver: Any = None
        self._execution = 0

    @classmethod
    def of(cls, search: Search, data_dir: str | Path | None, checkpoint_minutes: float) -> Self:
        """The hyper-model of a search."""
        options = {name: getattr(search, name) for name in ("model", "max_parameters", "max_multiply_adds", "name")}
        options |= {"data_dir": data_dir, "checkpoint_minutes": checkpoint_minutes, "grid": search.tuner == "grid"}
        hyper_model = cls(search.base, search.checked_space, **options)
        hyper_model.search = search
        return hyper_model

    def train_trial(self, hp: Any, directory: Path) -> keras.callbacks.History:
        """Train a trial of the search in its directory, or resume it; returns what `fit` returns."""
        epochs = {name: hp.values.get(f"tuner/{name}") for name in ("epochs", "initial_epoch")}
        aim = self.search.objective, self.search.direction
        callbacks = [MedianStop(directory, *aim)] if self.search.stop_poor else []
        self._continue_trial(hp, directory / RUN)
        return self.fit(hp, self.build(hp), callbacks=callbacks, directory=directory / RUN, **epochs)

    def declare_hyperparameters(self, hp: Any) -> None:
        """Declare the space to `hp`, the batch size included."""
        self.space.declare(hp, grid=self.grid)

    def explore(self, oracle: Any) -> None:
        """Declare the whole space to an oracle, with the hyperparameters of a model function under each condition."""
        hp = oracle.get_space()
        self.declare_hyperparameters(hp)
        oracle.update_space(hp)
        if self.model_function is None:
            return
        once_active: list[Any] = []
        waiting: list[Any] = []
        while True:
            # Call the function with defaults, or with the values of the first scope that has not been active yet.
            hp = oracle.get_space()
            for condition in waiting[0] if waiting else []:
                hp.values[condition.name] = condition.values[0]
            hp.ensure_active_values()
            self._try_to_build(hp)
            oracle.update_space(hp)
            once_active += [*hp.active_scopes, *waiting[:1]]  # a scope that stays inactive is unreachable
            waiting = [scope for scope in [*waiting, *hp.inactive_scopes] if scope not in once_active]
            if not waiting:
                return

    def _try_to_build(self, hp: Any) -> None:
        """Build a model to learn the hyperparameters that the function asks for."""
        try:
            self.build(hp)
        except KzooError:
            raise
        except Exception as error:  # a user's function can raise anything
            frames = traceback.extract_tb(error.__traceback__)
            function: Any = self.model_function
            code = getattr(inspect.unwrap(function), "__code__", None)
            own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
            place = (own or frames)[-1]  # rather than a line of Keras
            values = ", ".join(f"{field}={value!r}" for field, value in hp.values.items())
            name = getattr(function, "__qualname__", repr(function))
            raise InputError(
                f"model function {name!r} raised {in_one_line(error)} (line {place.lineno} of {place.filename!r}) "
                f"with its first values, {values}: a search learns from these calls what it can vary, so they must "
                "succeed"
            ) from error

    def recipe_of(self, hp: Any) -> Recipe:
        """The recipe of a trial."""
        return self.recipe.override(**self.space.changes(hp.values)).resolved()

    def data_of(self, recipe: Recipe) -> build.Data:
        """A recipe's data, kept until another recipe's data is needed; see `kzoo.training.build.LastData`."""
        return self._data.of(recipe)

    def build(self, hp: Any) -> keras.Model:
        """The model of a trial, with initial weights from its recipe's seed."""
        self.declare_hyperparameters(hp)
        return self._build_with(hp, self.recipe_of(hp))

    def _build_with(self, hp: Any, recipe: Recipe) -> keras.Model:
        data = self.data_of(recipe)
        if self.model_function is None:
            return build.build_model(recipe, data)
        seed_keras(derived_seed(recipe.seed, "initial weights"))
        with build.precision(recipe.precision):
            return self.model_function(hp)

    def check_limits(self, model: keras.Model) -> tuple[int, int | None]:
        """Trainable parameters and multiply-adds of a model (None if they are not limited).

        Raises:
            Rejected: they exceed a limit.
            InputError: multiply-adds are limited, and those of some layers cannot be counted.
        """
        parameters = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        if (limit := self.max_parameters) is not None and parameters > limit:
            raise Rejected(f"{parameters:,} parameters exceed the limit of {limit:,}", parameters=parameters)
        if (limit := self.max_multiply_adds) is None:
            return parameters, None
        table = layer_table(model)
        if (work := table.multiply_adds) > limit:
            message = f"{work:,} multiply-adds exceed the limit of {limit:,}"
            raise Rejected(message, parameters=parameters, multiply_adds=work)
        if table.uncounted:
            names = some(table.uncounted, 3)
            raise InputError(
                f"max_multiply_adds={limit}: the multiply-adds of {names} cannot be counted: give max_parameters"
            )
        return parameters, work

    def fit(
        self,
        hp: Any,
        model: keras.Model,
        *args: Any,
        callbacks: Sequence[Any] = (),
        epochs: int | None = None,
        initial_epoch: int | None = None,
        verbose: Any = None,
        directory: str | Path | None = None,
        **options: Any,
    ) -> keras.callbacks.History:
        """Train the model of a trial, or resume its run.

        Args:
            hp: the trial's values.
            model: the model that `build` made from these values.
            *args: must be empty, because the recipe names the data.
            callbacks: the callbacks of keras-tuner and of the user.
            epochs: replaces the recipe's epochs; with `initial_epoch` (Hyperband), the epoch to stop at, while
                schedules follow the recipe's epochs.
            initial_epoch: passed by Hyperband; a promoted trial continues the run that it was promoted from.
            verbose: not used.
            directory: directory of the run; by default in the trial's directory if a tuner calls `fit`, else as for
                `kzoo.train`.
            **options: must be empty.

        Returns:
            The run's history, for keras-tuner.

        Raises:
            Rejected: the model exceeds a limit.
            keras_tuner.errors.FailedTrialError: the run failed (a loss that is not finite).
            keras_tuner.errors.FatalError: its files cannot be written (a full disk).
        """
        if args or options:
            refused = ", ".join([*(["data"] if args else []), *sorted(options)])
            raise _Misuse(f"a recipe has its own data and settings: search() takes no {refused}")

        # The recipe, and the directory in which keras-tuner stores the trial.
        _, work = self.check_limits(model)
        recipe = self.recipe_of(hp)
        if epochs is not None and initial_epoch is None:
            recipe, epochs = recipe.override(epochs=epochs), None
        callbacks = list(callbacks)
        tuning = next((c for c in callbacks if isinstance(c, TunerCallback)), None)
        if tuning is not None and directory is None:
            directory = Path(tuning.tuner.get_trial_dir(tuning.trial.trial_id)) / RUN
            if self._count_execution(callbacks):
                directory = directory.with_name(f"{RUN}-{self._execution + 1}")
                recipe = recipe.override(seed=recipe.seed + self._execution)
                model = self._build_with(hp, recipe)
            self._continue_trial(hp, directory)

        # Train it; keras-tuner has its own error classes.
        try:
            run = self._train(recipe, model, directory, callbacks, epochs)
        except NotWritten as error:
            raise _NotWritten(str(error)) from error
        except RunFailed as error:
            raise FailedTrialError(str(error)) from error
        history = keras.callbacks.History()
        history.history = dict(run.history)
        history.multiply_adds = work
        return history

    def _continue_trial(self, hp: Any, run: Path) -> None:
        """Start the run of a promoted trial of Hyperband where the run of the earlier trial ended."""
        before = hp.values.get("tuner/trial_id")
        if before is not None:
            continue_from(run.parent.with_name(f"trial_{before}") / run.name, run)

    def _train(
        self, recipe: Recipe, model: keras.Model | None, directory: Any, callbacks: list[Any], until: int | None
    ) -> Run:
        data, digest = self.data_of(recipe), None
        directory = Path(directory) if directory is not None else None
        if self.model_function is not None and directory is not None and (directory / "recipe.json").exists():
            recipe, model = Run(directory).recipe, custom_model(directory)  # the ones that the run began with
        else:
            recipe, digest = identify(recipe, model if self.model_function is not None else None)
        directory = directory or RUNS / folder_name(recipe.name, digest or "")
        options = Options(
            self.data_dir,
            [TunerCallbacks(callbacks, model)],
            progress=False,
            checkpoint_minutes=self.checkpoint_minutes,
            diagnostics=self.diagnostics,
            data=data,
            test=False,
            until=until,
        )
        with claimed(directory, patience=math.inf):  # another process may be finishing the same trial
            return train_in(directory, recipe, digest, model, options)

    def _count_execution(self, callbacks: Sequence[Any]) -> int:
        """How many times keras-tuner has executed this trial before, if it trains each trial several times."""
        saver = next((c for c in callbacks if isinstance(c, SaveBestEpoch)), None)
        self._execution = self._execution + 1 if saver is not None and saver is self._saver else 0
        self._saver = saver
        return self._execution
