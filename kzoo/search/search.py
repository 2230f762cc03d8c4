"""The description of a search, and reading it from a file (no Keras)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kzoo.checks import positive, whole
from kzoo.errors import InputError, unknown
from kzoo.recipes import get_recipe
from kzoo.recipes.schema import Recipe
from kzoo.references import load_file
from kzoo.search.declared import Space
from kzoo.search.space import Entry

TUNERS = ("random", "grid", "bayesian", "hyperband")
OBJECTIVES = {"val_accuracy": "max", "val_loss": "min", "accuracy": "max", "loss": "min"}
"""Metrics of a run's history, and which direction is better."""
TRIALS = 20
NUMBERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("trials", "max_parameters", "max_multiply_adds", "failures_in_a_row"), whole),
    **dict.fromkeys(("minutes", "memory"), positive),
}
"""Options that may be None or numbers, and how the numbers are checked."""


@dataclasses.dataclass(frozen=True)
class Search:
    """What to vary, and the objective: plain data. `kzoo.run_search` or ``kzoo search FILE`` runs the search.

    Attributes:
        name: the search's name, part of its directory's name.
        recipe: the recipe that every trial starts from, or its name (see `kzoo.recipe`).
        space: recipe fields (dotted names for nested fields) and their possible values.
        model: builds the model instead of the recipe's model: a function of keras-tuner's `hp`, or ``module:function``;
            it may declare further hyper-parameters to `hp`.
        tuner: ``random``, ``grid``, ``bayesian`` or ``hyperband`` (Li et al. 2018; up to the recipe's epochs).
        objective: ``val_accuracy`` or ``val_loss`` of the best epoch; ``accuracy`` and ``loss`` are of training.
        trials: number of trials, without those that a limit rejects. None means 20 for random and bayesian (no limit
            with `minutes`), the whole grid, or all of Hyperband's brackets.
        minutes: time after which no trial begins, summed over all processes that ran the search.
        max_parameters: a model with more trainable parameters is rejected, not trained.
        max_multiply_adds: the same for multiply-adds per image.
        stop_poor: ``"median"`` ends a trial whose best score so far is worse than the median of the completed trials'
            running averages at the same epoch (Golovin et al. 2017); None lets all trials run. Hyperband does not use
            it.
        failures_in_a_row: end the search after this many failed trials in a row; None means never.
        seed: seed of the tuner's draws. Trials train with the recipe's seed.
        baseline: whether the first trial has the recipe's values, if the space contains them (grid and hyperband order
            their trials themselves).
        own_process: whether each trial runs in a separate process, which releases all its memory at the end.
        memory: limit on what a trial's process may allocate, in GiB; needs `own_process` and Linux.
        source: the file that the search was read from.

    Example:
        >>> space = {"optimizer.learning_rate": kzoo.Range(1e-4, 1e-1, log=True), "batch_size": kzoo.Choice(32, 64)}
        >>> search = kzoo.Search("rates", "rescue/vgg08", space, trials=8)
    """

    name: str
    recipe: str | Recipe
    space: Mapping[str, Entry]
    _: dataclasses.KW_ONLY
    model: Callable[..., Any] | str | None = None
    tuner: str = "random"
    objective: str = "val_accuracy"
    trials: int | None = None
    minutes: float | None = None
    max_parameters: int | None = None
    max_multiply_adds: int | None = None
    stop_poor: str | None = None
    failures_in_a_row: int | None = None
    seed: int = 0
    baseline: bool = True
    own_process: bool = False
    memory: float | None = None
    source: Path | None = None

    def __post_init__(self) -> None:
        """Check all attributes.

        Raises:
            InputError: a value is not allowed, or the space does not fit the recipe.
        """
        if not isinstance(self.name, str) or not re.fullmatch(r"[^\s/]+", self.name):
            raise InputError(f"name of a search must be text without spaces or slashes, not {self.name!r}")
        recipe = self.recipe if isinstance(self.recipe, Recipe) else get_recipe(self.recipe)
        object.__setattr__(self, "recipe", recipe)

        # Check each option on its own.
        for what, allowed in {"tuner": TUNERS, "objective": OBJECTIVES, "stop_poor": (None, "median")}.items():
            if (value := getattr(self, what)) not in allowed:
                raise unknown(what, value, filter(None, allowed))
        whole("seed of a search", self.seed, 0)
        for what, check in NUMBERS.items():
            if getattr(self, what) is not None:
                check(f"{what} of a search", getattr(self, what))

        # Check options together, and with the recipe.
        if self.memory is not None and not self.own_process:
            raise InputError("memory limits a trial's process: set own_process=True too")
        if self.model is not None and not callable(self.model) and ":" not in str(self.model):
            raise InputError(f"model of a search must be a function or 'module:function', not {self.model!r}")
        if self.tuner == "hyperband" and self.stop_poor:
            raise InputError("stop_poor is not for tuner 'hyperband', which stops poor trials itself")
        space = Space(self.space, recipe, may_be_empty=self.model is not None)
        if self.tuner == "hyperband" and "epochs" in space:
            raise InputError("tuner 'hyperband' chooses epochs itself: take 'epochs' out of the space")
        varied = {name: space[name].extremes() for name in ("split", "split.validation") if name in space}
        sizes = [recipe.split.validation, *varied.get("split.validation", ())]
        sizes += [split["validation"] for split in varied.get("split", ())]
        if self.objective.startswith("val_") and 0 in sizes:
            raise InputError(f"objective {self.objective!r} needs validation images, but split.validation is 0")
        object.__setattr__(self, "space", space)

    @property
    def direction(self) -> str:
        """Which direction of the objective is better, ``"max"`` or ``"min"``."""
        return OBJECTIVES[self.objective]

    @property
    def budget(self) -> int | None:
        """Number of trials after which the search ends; None if something else ends it."""
        endless = self.trials is None and self.minutes is None and self.tuner in ("random", "bayesian")
        return TRIALS if endless else self.trials

    @property
    def budgets(self) -> dict[str, Any]:
        """The limits of the search: trials, minutes, failures_in_a_row."""
        return {"trials": self.budget, "minutes": self.minutes, "failures_in_a_row": self.failures_in_a_row}

    @property
    def base(self) -> Recipe:
        """The recipe, even if `recipe` is its name."""
        assert isinstance(self.recipe, Recipe)
        return self.recipe

    @property
    def checked_space(self) -> Space:
        """The space, checked against the recipe."""
        assert isinstance(self.space, Space)
        return self.space

    def replace(self, **options: Any) -> Search:
        """This search with some attributes changed; with Hyperband, `stop_poor` is dropped."""
        names = [field.name for field in dataclasses.fields(self)]
        for option in options:
            if option not in names:
                raise unknown("option of a search", option, names)
        if options.get("tuner") == "hyperband":
            options.setdefault("stop_poor", None)
        return dataclasses.replace(self, **options)

    def override(self, **changes: Any) -> Search:
        """This search with fields of its recipe replaced, like ``--set``; a field that is set is no longer varied.

        Raises:
            InputError: a field is unknown or its value not allowed; it is a part of a field that the search varies as a
                whole; or nothing is left to vary.
        """
        for change in changes:
            whole = next((name for name in self.space if change.startswith(f"{name}.") and name not in changes), None)
            if whole is not None:
                raise InputError(
                    f"{change} cannot be set, because the search varies {whole} as a whole: set {whole}, which is then "
                    "no longer varied, or change its values in the space"
                )
        recipe = self.base.override(**changes)
        fixed = {name for name in self.space if any(_reaches(change, name) for change in changes)}
        space = self.checked_space.without(fixed, recipe)
        if fixed and not space and self.model is None:
            raise InputError(f"setting {', '.join(sorted(fixed))} leaves nothing to search")
        return dataclasses.replace(self, recipe=recipe, space=space)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, without budgets and other attributes that affect no trial."""
        model = self.model if isinstance(self.model, str) or self.model is None else self.model.__qualname__
        names = ("name", "tuner", "objective", "max_parameters", "max_multiply_adds", "stop_poor", "seed", "baseline")
        return {
            **{name: getattr(self, name) for name in names},
            "model": model,
            "recipe": self.base.model_dump(mode="json"),  # unresolved: defaults may depend on what a trial varies
            "space": self.checked_space.to_dict(),
        }

    @property
    def digest(self) -> str:
        """Ten hexadecimal digits that identify the search by content, without its name and budgets."""
        content = {key: value for key, value in self.to_dict().items() if key != "name"}
        content["recipe"] = self.base.identity()
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:10]


def load_search(path: str | Path) -> Search:
    """The search that a Python file defines as its module-level ``search``.

    Raises:
        InputError: there is no such file, it cannot be run, or it has no `search`.
    """
    path = Path(path)
    search = getattr(load_file(path, "search"), "search", None)
    if not isinstance(search, Search):
        has = "has no `search`" if search is None else f"has a `search` that is {type(search).__name__}"
        raise InputError(f"search file {str(path)!r} {has}: add a line `search = kzoo.Search(...)`")
    return dataclasses.replace(search, source=path.resolve())


def _reaches(change: str, name: str) -> bool:
    return change == name or name.startswith(f"{change}.")
