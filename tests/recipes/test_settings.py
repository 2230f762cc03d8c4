"""Settings of a recipe: values at the ends of the allowed range are accepted, values beyond it are refused."""

import inspect
import re

import pytest
from pydantic import ConfigDict, TypeAdapter

from kzoo.data.augmentation.spec import AnyAugmentation
from kzoo.data.splits import Split
from kzoo.errors import InputError
from kzoo.recipes import Recipe
from kzoo.recipes.settings import (
    AnyOptimizer,
    AnySchedule,
    ChannelStatistics,
    EarlyStop,
    Lookahead,
    Plateau,
    RateMultiplier,
    kinds,
)
from kzoo.schemas import Validated
from kzoo.training.optimization.schedules import PlateauRate

KINDS = {kind.model_fields["kind"].default: kind for union in (AnyOptimizer, AnySchedule) for kind in union.__args__}
KINDS |= {kind.model_fields["kind"].default: kind for kind in AnyAugmentation.__args__}
KINDS |= {
    "early_stop": EarlyStop,
    "lookahead": Lookahead,
    "multiplier": RateMultiplier,
    "split": Split,
    "statistics": ChannelStatistics,
}

TINY = 1e-12
POSITIVE = ([TINY, 1e6], [0, -1.0])
SHARE = ([0, 1 - 1e-9], [1, -TINY])
INSIDE = ([TINY, 1 - 1e-9], [0, 1])
CLOSED = ([0, 1], [-TINY, 1 + 1e-9])
FACTOR = ([TINY, 1], [0, 1 + 1e-9])
NOT_BELOW_0 = ([0, 1e6], [-TINY])
COUNT = ([1, 1000], [0])
COUNT_FROM_0 = ([0, 1000], [-1])

# By kind and field: allowed and refused values.
BOUNDS = {
    **{f"{name}.learning_rate": POSITIVE for name in kinds(AnyOptimizer)},
    **{f"{name}.beta_1": SHARE for name in ("adam", "adamw", "nadam")},
    **{f"{name}.beta_2": SHARE for name in ("adam", "adamw", "nadam", "lion")},
    **{f"{name}.epsilon": POSITIVE for name in ("adam", "adamw", "nadam", "rmsprop", "adagrad", "adadelta")},
    **{f"{name}.momentum": SHARE for name in ("momentum", "nesterov", "muon")},
    **{f"{name}.rho": SHARE for name in ("rmsprop", "adadelta")},
    "lion.beta_1": INSIDE,
    "muon.iterations": ([1, 20], [0, 21]),
    "muon.sgd_rate": POSITIVE,
    "muon.sgd_momentum": SHARE,
    "muon.sgd_decay": SHARE,
    **{f"{name}.minimum": NOT_BELOW_0 for name in ("cosine", "cosine_restarts", "plateau")},
    "cosine_restarts.period": COUNT,
    "exponential.factor": FACTOR,
    "step.factor": FACTOR,
    "step.every": COUNT,
    "plateau.patience": COUNT_FROM_0,
    "plateau.factor": INSIDE,
    "linear.end": CLOSED,
    "polynomial.power": POSITIVE,
    "one_cycle.peak": INSIDE,
    "one_cycle.start": CLOSED,
    "one_cycle.end": CLOSED,
    "multiplier.factor": NOT_BELOW_0,
    "multiplier.first_epoch": COUNT,
    "multiplier.last_epoch": ([None, *COUNT[0]], COUNT[1]),
    "early_stop.patience": COUNT,
    "multiplier.decay": NOT_BELOW_0,
    "early_stop.min_delta": NOT_BELOW_0,
    "lookahead.every": COUNT,
    "lookahead.keep": SHARE,
    "lookahead.power": NOT_BELOW_0,
    "split.seed": COUNT_FROM_0,
    "pad_crop.padding": COUNT_FROM_0,
    "translate.pixels": COUNT_FROM_0,
    **{f"flip.{way}": CLOSED for way in ("horizontal", "vertical")},
    **{
        f"{name}.probability": CLOSED
        for name in ("random_erasing", "cutout", "contrast_stretch", "median_filter", "cutmix")
    },
    "random_erasing.fill": ([0, 255, "random"], [-1, 256]),
    **{
        f"{name}.{field}": bounds
        for name in ("random_erasing", "random_resized_crop")
        for field, bounds in (
            ("area", ([(TINY, 1), (0.5, 0.5)], [(0, 1), (0.5, 0.4), (0.5, 1 + 1e-9)])),
            ("aspect", ([(TINY, 9), (2, 2)], [(0, 1), (2, 1)])),
        )
    },
    "cutout.size": COUNT_FROM_0,
    "cutout.fill": ([0, 255, "mean"], [-1, 256]),
    "gaussian_noise.std": NOT_BELOW_0,
    "rotation.degrees": ([0, 180], [-TINY, 180 + 1e-9]),
    "median_filter.size": COUNT,
    **{f"color_jitter.{what}": NOT_BELOW_0 for what in ("brightness", "contrast", "saturation")},
    "color_jitter.hue": ([0, 0.5], [-TINY, 0.5 + 1e-9]),
    "rand_augment.operations": ([0, 10], [-1, 11]),
    "rand_augment.magnitude": ([0, 30], [-TINY, 30 + 1e-9]),
    "trivial_augment.strength": CLOSED,
    "mixup.alpha": POSITIVE,
    "cutmix.alpha": POSITIVE,
}


def test_every_number_has_its_bounds_here():
    numbers = {
        f"{name}.{field}"
        for name, kind in KINDS.items()
        for field, info in kind.model_fields.items()
        if re.search(r"\b(int|float)\b", str(info.annotation))
    }
    # `Split` and `ChannelStatistics` have their own validators and tests.
    assert numbers - set(BOUNDS) == {"split.validation", "split.test", "statistics.mean", "statistics.std"}


@pytest.mark.parametrize("name", BOUNDS)
def test_ends_are_allowed_and_what_is_beyond_refused(name):
    kind, field = name.split(".")
    allowed, refused = BOUNDS[name]
    for value in allowed:
        assert getattr(KINDS[kind](**{field: value}), field) == value
    for value in refused:
        with pytest.raises(InputError, match=f"^{KINDS[kind].__name__}: {field} (must|is) "):
            KINDS[kind](**{field: value})


RECIPE = {
    "train_size": COUNT,
    "image_size": ([1, 1024], [0, 1025]),
    "background": ([(0, 255, 0), None], [(0, 0, 256), (-1, 0, 0), (1, 2)]),
    **dict.fromkeys(("l1", "l2", "weight_decay"), NOT_BELOW_0),
    "label_smoothing": SHARE,
    "ema": INSIDE,
    "epochs": COUNT,
    "batch_size": COUNT,
    "seed": COUNT_FROM_0,
    "warmup_epochs": ([0, 0.5], [-TINY]),
    "clip_norm": POSITIVE,
    "class_weights": ([{"a": 0.0}], [{"a": -TINY}]),
}


@pytest.mark.parametrize("field", RECIPE)
def test_ends_of_a_recipes_own_numbers(field):
    allowed, refused = RECIPE[field]
    for value in allowed:
        assert getattr(Recipe("a/b", model="vgg08", **{field: value}), field) == value
    for value in refused:
        with pytest.raises(InputError, match=field):
            Recipe("a/b", model="vgg08", **{field: value})


def test_normalization_has_a_value_for_each_channel():
    made = TypeAdapter(ChannelStatistics).validate_python({"mean": [0.5, 0.0], "std": [0.2, 1.0]})
    assert (made.mean, made.std) == ((0.5, 0.0), (0.2, 1.0))
    assert Recipe("a/b", model="vgg08", normalization=made).normalization == made
    for mean, std in (((), ()), ((0.5,), (0.2, 0.2)), ((0.5,), (0.0,))):
        with pytest.raises(InputError, match="normalization"):
            Recipe("a/b", model="vgg08", normalization={"mean": mean, "std": std})


def test_a_plateau_ends_with_a_relative_gain_of_a_ten_thousandth():
    for gain, expected in ((0.9e-4, 0.5), (1.1e-4, 1.0)):
        rate = PlateauRate(Plateau(patience=0, factor=0.5), 1.0)
        for loss in (20.0, 20 * (1 - gain)):
            rate.update(loss)
        assert rate.rate == expected


def test_signatures_show_the_fields_before_the_first_use():
    class First(Validated):
        model_config = ConfigDict(defer_build=True)
        rate: float = 0.1

    class Second(First):
        momentum: float = 0.9

    assert not First.__pydantic_complete__
    assert str(inspect.signature(First)) == "(*, rate: float = 0.1) -> None"
    assert str(inspect.signature(Second)) == "(*, rate: float = 0.1, momentum: float = 0.9) -> None"
