"""The kinds of optimizers that a recipe can name (plain data, no Keras)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kzoo.custom import CustomPart
from kzoo.recipes.setting import Positive, Setting, Share


class Adam(Setting):
    """Adam (Kingma and Ba 2015), with PyTorch's epsilon, which reports a, b and d trained with."""

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
    """SGD with momentum; 0.01 and 0.9 are Chainer's defaults, our reading of report c."""

    kind: Literal["momentum"] = "momentum"
    learning_rate: Positive = 0.01
    momentum: Share = 0.9


class Nesterov(Setting):
    """SGD with Nesterov momentum; 0.1 and 0.9 are report e's."""

    kind: Literal["nesterov"] = "nesterov"
    learning_rate: Positive = 0.1
    momentum: Share = 0.9


class RMSprop(Setting):
    """RMSprop; rate 0.01, smoothing 0.99 and epsilon 1e-8 are Chainer's defaults, our reading of report c."""

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Positive = 0.01
    rho: Share = 0.99
    epsilon: Positive = 1e-8


class Adagrad(Setting):
    """Adagrad starting from an accumulator of zero as PyTorch does; report e gives no rate, 0.01 is ours."""

    kind: Literal["adagrad"] = "adagrad"
    learning_rate: Positive = 0.01
    epsilon: Positive = 1e-10


class Adadelta(Setting):
    """Adadelta; report e gives no rate, PyTorch's 1.0, 0.9 and 1e-6 are ours."""

    kind: Literal["adadelta"] = "adadelta"
    learning_rate: Positive = 1.0
    rho: Share = 0.9
    epsilon: Positive = 1e-6


class Muon(Setting):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): orthogonalised momentum for kernels.

    A convolution's kernel is a matrix (height x width x channels, filters); the last dense layer, biases and
    BatchNorm are trained by SGD with Nesterov momentum. Losses are means over the batch here, sums in the author's
    code: the second rate is its 0.053 times its batch of 2,000. Scale it with another batch, as well as the decay
    (2e-6 times the batch). Keras's Muon treats 2-D variables only.

    Attributes:
        learning_rate: of the kernels.
        momentum: of the kernels.
        iterations: Newton-Schulz steps of each orthogonalisation.
        normalize: before each update, bring every kernel's norm to the root of its number of filters.
        sgd_rate: learning rate of everything else; the schedule scales both rates alike.
        sgd_momentum: of everything else.
        sgd_decay: share of everything else that one step at full rate takes off; like PyTorch's weight decay it goes
            through the momentum, but it does not grow with the rate.
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
