"""The kinds of learning rate schedules that a recipe can name (plain data, no Keras)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kzoo.custom import CustomPart
from kzoo.recipes.setting import Positive, Setting


class Constant(Setting):
    """The optimizer's rate throughout."""

    kind: Literal["constant"] = "constant"


class Cosine(Setting):
    """Cosine annealing per epoch, from the optimizer's rate towards `minimum` over all epochs (reports a and b)."""

    kind: Literal["cosine"] = "cosine"
    minimum: Annotated[float, Field(ge=0)] = 0.0


class CosineRestarts(Setting):
    """Cosine annealing that starts again every `period` epochs (report e: 20)."""

    kind: Literal["cosine_restarts"] = "cosine_restarts"
    period: Annotated[int, Field(ge=1)] = 20
    minimum: Annotated[float, Field(ge=0)] = 0.0


class Exponential(Setting):
    """The rate times `factor` after every epoch (report e: 0.9)."""

    kind: Literal["exponential"] = "exponential"
    factor: Annotated[float, Field(gt=0, le=1)] = 0.9


class Step(Setting):
    """The rate times `factor` every `every` epochs (report e: 0.1 every 20)."""

    kind: Literal["step"] = "step"
    every: Annotated[int, Field(ge=1)] = 20
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1


class Plateau(Setting):
    """The rate times `factor` when validation loss has not improved for more than `patience` epochs.

    Improvement is PyTorch's: a loss below the best by a relative 1e-4 (report e: patience 3, factor 0.5).
    """

    kind: Literal["plateau"] = "plateau"
    patience: Annotated[int, Field(ge=0)] = 3
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    minimum: Annotated[float, Field(ge=0)] = 0.0
    threshold: ClassVar[float] = 1e-4


class Linear(Setting):
    """Linear from the optimizer's rate to `end` times it, step by step (PyTorch's LinearLR)."""

    kind: Literal["linear"] = "linear"
    end: Annotated[float, Field(ge=0, le=1)] = 0.0


class Polynomial(Setting):
    """The rate times (1 - progress) to the power of `power`, step by step (PyTorch's PolynomialLR)."""

    kind: Literal["polynomial"] = "polynomial"
    power: Positive = 2.0


class OneCycle(Setting):
    """Up to the optimizer's rate and down again, step by step (Smith and Topin 2018; PyTorch's OneCycleLR).

    Attributes:
        peak: share of all steps after which the rate is highest.
        start: rate of the first step as a share of the highest.
        end: rate of the last step as a share of the highest.
        anneal: ``"cosine"``, or ``"linear"`` for a triangle.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start: Annotated[float, Field(ge=0, le=1)] = 0.04
    end: Annotated[float, Field(ge=0, le=1)] = 4e-6
    anneal: Literal["cosine", "linear"] = "cosine"


class CustomSchedule(CustomPart, Setting):
    """``function(rate, epoch, epochs, **options)``, see `kzoo.register_schedule`."""

    field: ClassVar[str] = "schedule"
