"""The parts of a recipe, including the kinds of optimizers and schedules that it can name (plain data, no Keras).

Each kind is a class whose fields are its schema. Its name alone means its defaults: ``optimizer="adam"``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Union, get_args

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from kzoo.checks import is_number
from kzoo.custom import CustomPart, family, reserve
from kzoo.recipes.fields import Positive, Share
from kzoo.schemas import Validated, kind_alone, later


class Setting(Validated):
    """Base of recipe data: immutable; unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Adam(Setting):
    """Adam (Kingma and Ba 2015) with PyTorch's epsilon, as in reports a, b and d."""

    kind: Literal["adam"] = "adam"
    learning_rate: Positive = 1e-3
    beta_1: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Positive = 1e-8


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019); the decay is the recipe's `weight_decay`."""

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]


class NAdam(Adam):
    """Adam with Nesterov momentum (Dozat 2016)."""

    kind: Literal["nadam"] = "nadam"  # type: ignore[assignment]
    learning_rate: Positive = 2e-3


class Lion(Setting):
    """The sign of a moving average (Chen et al. 2023); a tenth of Adam's rate and ten times its decay are usual."""

    kind: Literal["lion"] = "lion"
    learning_rate: Positive = 1e-4
    beta_1: Annotated[float, Field(gt=0, lt=1)] = 0.9
    beta_2: Share = 0.99


class SGD(Setting):
    """Plain stochastic gradient descent."""

    kind: Literal["sgd"] = "sgd"
    learning_rate: Positive = 0.01


class Momentum(Setting):
    """SGD with momentum; 0.01 and 0.9 are Chainer's defaults, which we assume for report c."""

    kind: Literal["momentum"] = "momentum"
    learning_rate: Positive = 0.01
    momentum: Share = 0.9


class Nesterov(Setting):
    """SGD with Nesterov momentum; 0.1 and 0.9 are report e's."""

    kind: Literal["nesterov"] = "nesterov"
    learning_rate: Positive = 0.1
    momentum: Share = 0.9


class RMSprop(Setting):
    """RMSprop; rate 0.01, smoothing 0.99 and epsilon 1e-8 are Chainer's defaults, which we assume for report c."""

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Positive = 0.01
    rho: Share = 0.99
    epsilon: Positive = 1e-8


class Adagrad(Setting):
    """Adagrad, starting from an accumulator of zero as in PyTorch; 0.01 is ours, because report e gives no rate."""

    kind: Literal["adagrad"] = "adagrad"
    learning_rate: Positive = 0.01
    epsilon: Positive = 1e-10


class Adadelta(Setting):
    """Adadelta with PyTorch's defaults, because report e gives no rate."""

    kind: Literal["adadelta"] = "adadelta"
    learning_rate: Positive = 1.0
    rho: Share = 0.9
    epsilon: Positive = 1e-6


class Muon(Setting):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): orthogonalised momentum for kernels.

    A convolution's kernel is a matrix (height x width x channels, filters); the last dense layer, biases and
    BatchNorm are trained by SGD with Nesterov momentum. The loss is the mean over the batch here, and the sum in the
    author's code, so `sgd_rate` is 0.053 times the batch size of 2,000. With another batch size, scale `sgd_rate` and
    `sgd_decay` (2e-6 times the batch size) in proportion. Keras's Muon treats 2-D variables only.

    Attributes:
        learning_rate: of the kernels.
        momentum: of the kernels.
        iterations: Newton-Schulz steps of each orthogonalisation.
        normalize: before each update, bring every kernel's norm to the root of its number of filters.
        sgd_rate: learning rate of everything else; the schedule scales both rates alike.
        sgd_momentum: of everything else.
        sgd_decay: share by which one step at full rate shrinks everything else; like PyTorch's weight decay, it goes
            through the momentum, but it depends neither on `sgd_rate` nor on a variable's rate multiplier.
    """

    kind: Literal["muon"] = "muon"
    learning_rate: Positive = 0.24
    momentum: Share = 0.6
    iterations: Annotated[int, Field(ge=1, le=20)] = 3
    normalize: bool = True
    sgd_rate: Positive = 106.0
    sgd_momentum: Share = 0.85
    sgd_decay: Share = 0.004


class CustomOptimizer(CustomPart, Setting):
    """``function(learning_rate, **options)``, see `kzoo.register_optimizer`; the rate is Adam's if none is given."""

    field: ClassVar[str] = "optimizer"
    learning_rate: Positive = 1e-3


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


class RateMultiplier(Setting):
    """Factor on the learning rate of some variables in some epochs; in other epochs they do not change.

    Decoupled weight decay is proportional to the rate, so the factor applies to it too.

    Attributes:
        factor: 0 keeps the variables as they are.
        first_epoch: first epoch with this factor, counted from 1.
        last_epoch: last epoch with this factor; None for the run's last.
        decay: factor on their weight penalties (`l1`, `l2`, `weight_decay`, Muon's `sgd_decay`) in addition to the
            effect of the rate; 0 for biases and BatchNorm is usual (He et al. 2019, section 3.1).
    """

    factor: Annotated[float, Field(ge=0)] = 1.0
    first_epoch: Annotated[int, Field(ge=1)] = 1
    last_epoch: Annotated[int, Field(ge=1)] | None = None
    decay: Annotated[float, Field(ge=0)] = later(1.0)


class Lookahead(Setting):
    """Every few steps, the weights return part of the way to slow copies of them (Zhang et al. 2019b).

    After step t of T, the slow weights become ``share * slow + (1 - share) * trained``, where ``share`` is
    ``keep * (t / T) ** power``, and training continues from them. Moving statistics (BatchNorm's) and variables whose
    rate is 0 stay as they are. Fewer than `every` steps left over at the end of a run are not averaged.

    Attributes:
        every: steps between two returns; 5 is Zhang's and Jordan's.
        keep: share of the slow weights that stays; 0.5 is Zhang's.
        power: how late that share is reached; 0 for a constant one. Jordan (2024) takes ``keep=0.95**5, power=3``.
    """

    every: Annotated[int, Field(ge=1)] = 5
    keep: Share = 0.5
    power: Annotated[float, Field(ge=0)] = 0.0


class EarlyStop(Setting):
    """End a run once a validation metric has not improved for some epochs.

    Attributes:
        monitor: the metric, ``"val_accuracy"`` or ``"val_loss"``.
        patience: epochs to wait for an improvement.
        min_delta: what an improvement must exceed: the gain in accuracy, or the fall of the loss.
    """

    monitor: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    patience: Annotated[int, Field(ge=1)] = 10
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class ChannelStatistics(Setting):
    """Per-channel mean and standard deviation, in units of pixels / 255, of the normalization layer."""

    mean: tuple[float, ...]
    std: tuple[Positive, ...]


def _factor_alone(value: Any) -> Any:
    return {"factor": value} if is_number(value) else value


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
