"""The parts of a recipe that come in kinds: optimizers, schedules, early stopping (plain data, no Keras).

Each kind is a class whose fields are its schema. Its name alone means the kind with its defaults:
``optimizer="adam"``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from kzoo.custom import family, reserve
from kzoo.recipes.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    CustomOptimizer,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Nesterov,
    RMSprop,
)
from kzoo.recipes.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    CustomSchedule,
    Exponential,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
)
from kzoo.recipes.setting import Positive, Setting, Share
from kzoo.schemas import kind_alone

__all__ = [
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "AnyOptimizer",
    "AnySchedule",
    "ChannelStatistics",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "CustomOptimizer",
    "CustomSchedule",
    "EarlyStop",
    "Exponential",
    "Linear",
    "Lion",
    "Momentum",
    "Multiplier",
    "Muon",
    "NAdam",
    "Nesterov",
    "OneCycle",
    "Optimizer",
    "Plateau",
    "Polynomial",
    "Positive",
    "RMSprop",
    "RateMultiplier",
    "SGD",
    "Schedule",
    "Setting",
    "Share",
    "Step",
    "kinds",
]


class RateMultiplier(Setting):
    """Factor on the learning rate of some variables in some epochs; in other epochs they do not change.

    Attributes:
        factor: 0 keeps the variables as they are.
        first_epoch: first epoch with this factor, counted from 1.
        last_epoch: last epoch with this factor; None for the run's last.
    """

    factor: Annotated[float, Field(ge=0)] = 1.0
    first_epoch: Annotated[int, Field(ge=1)] = 1
    last_epoch: Annotated[int, Field(ge=1)] | None = None


class EarlyStop(Setting):
    """End a run once a validation metric has not improved for some epochs.

    Attributes:
        monitor: the metric, ``"val_accuracy"`` or ``"val_loss"``.
        patience: epochs to wait for an improvement.
        min_delta: smallest improvement: at least this much more accuracy, or less loss.
    """

    monitor: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    patience: Annotated[int, Field(ge=1)] = 10
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class ChannelStatistics(Setting):
    """Per-channel mean and standard deviation, in units of pixels / 255, of the normalization layer."""

    mean: tuple[float, ...]
    std: tuple[Positive, ...]


def _factor_alone(value: Any) -> Any:
    return {"factor": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


AnyOptimizer = Union[Adam, AdamW, SGD, Momentum, Nesterov, RMSprop, Adagrad, Adadelta, NAdam, Lion, Muon]  # noqa: UP007
AnySchedule = Union[  # noqa: UP007
    Constant, Cosine, CosineRestarts, Exponential, Step, Plateau, Linear, Polynomial, OneCycle
]
Multiplier = Annotated[RateMultiplier, BeforeValidator(_factor_alone)]
BuiltInOptimizer = Annotated[AnyOptimizer, Field(discriminator="kind"), Tag("[built-in]")]
BuiltInSchedule = Annotated[AnySchedule, Field(discriminator="kind"), Tag("[built-in]")]
Optimizer = Annotated[
    BuiltInOptimizer | Annotated[CustomOptimizer, Tag("[custom]")],
    Discriminator(family("optimizer")),
    BeforeValidator(kind_alone),
]
Schedule = Annotated[
    BuiltInSchedule | Annotated[CustomSchedule, Tag("[custom]")],
    Discriminator(family("schedule")),
    BeforeValidator(kind_alone),
]


def kinds(union: Any) -> list[str]:
    """The names of the kinds in a union such as `AnyOptimizer`, e.g. ``["adam", "adamw", ...]``."""
    return [member.model_fields["kind"].default for member in get_args(union)]


reserve("optimizer", frozenset(kinds(AnyOptimizer)))
reserve("schedule", frozenset(kinds(AnySchedule)))
