"""Finds settings of a recipe that contradict each other or have a surprising effect (no Keras).

Recipes of runs that have begun are not checked.
"""

from __future__ import annotations

from typing import Any

from kzoo.data.augmentation.base import CustomAugmentation
from kzoo.data.augmentation.spec import AlternatingFlip, Flip
from kzoo.errors import InputError
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import CustomOptimizer, Muon, Plateau

SGD_RATE, SGD_DECAY = 0.053, 2e-6
"""Muon's usual `sgd_rate` and `sgd_decay` per image of a batch (Jordan 2024, see `Muon`)."""


def check_contradictions(recipe: Recipe) -> None:
    """Refuse settings that undo each other.

    Raises:
        InputError: a rate multiplier applies in no epoch, or another augmentation undoes the alternating flips.
    """
    for name, multiplier in recipe.rate_multipliers.items():
        first, last = multiplier.first_epoch, multiplier.last_epoch
        if last is not None and first > last:
            raise InputError(f"rate_multipliers: {name!r} applies from epoch {first} to {last}, so it never applies")

    changes = recipe.augmentation or ()
    alternating = sum(isinstance(change, AlternatingFlip) for change in changes)
    if alternating > 1:
        raise InputError(
            f"augmentation: alternating_flip is given {alternating} times, and the second undoes the first"
        )
    for change in changes:
        if alternating and isinstance(change, Flip) and 0 < change.horizontal < 1:
            raise InputError(
                f"augmentation: flip with horizontal={change.horizontal:g} undoes alternating_flip, because it draws "
                "the side again in each epoch: leave one of them out, or set horizontal=0"
            )


def _may_flip(change: Any) -> bool:
    """Whether an augmentation can mirror an image; one of the user's own may do anything."""
    return "flip" in change.kind or isinstance(change, CustomAugmentation)


def surprises(recipe: Recipe) -> list[str]:
    """One sentence for each setting that is allowed, because a search can draw it, but probably not intended."""
    sentences = []
    rate, minimum = recipe.optimizer.learning_rate, getattr(recipe.schedule, "minimum", 0.0)
    if minimum > rate and recipe.epochs > 1:
        does = "never falls" if isinstance(recipe.schedule, Plateau) else "rises instead of falling"
        sentences.append(
            f"schedule.minimum={minimum:g} is above optimizer.learning_rate={rate:g}, so the learning rate {does}; "
            "lower the minimum (0 is allowed)"
        )
    optimizer, batch = recipe.optimizer, recipe.batch_size
    if isinstance(optimizer, Muon) and optimizer.sgd_rate > 4 * SGD_RATE * batch:
        sentences.append(
            f"optimizer.sgd_rate={optimizer.sgd_rate:g} is for batches of about {optimizer.sgd_rate / SGD_RATE:,.0f}, "
            f"not {batch}; {SGD_RATE * batch:.2g} is usual, and {SGD_DECAY * batch:.2g} for optimizer.sgd_decay"
        )
    if recipe.tta is not None and not any(_may_flip(change) for change in recipe.augmentation or ()):
        sentences.append(
            f"tta={recipe.tta!r} also tests mirrored images, which the network does not see in training: set tta=None "
            "if a mirrored image can be of another class"
        )
    if recipe.initial_weights_partial and recipe.initial_weights is None:
        sentences.append("initial_weights_partial changes nothing without initial_weights")
    # Muon and custom optimizers have a decay of their own.
    decays = recipe.l1 or recipe.l2 or recipe.weight_decay or isinstance(optimizer, Muon | CustomOptimizer)
    for name, multiplier in recipe.rate_multipliers.items():
        if multiplier.decay != 1 and not decays:
            sentences.append(
                f"rate_multipliers: {name!r} has decay={multiplier.decay:g}, which changes nothing, because l1, l2 and "
                "weight_decay are 0"
            )
        if multiplier.first_epoch > recipe.epochs:
            sentences.append(
                f"rate_multipliers: {name!r} applies from epoch {multiplier.first_epoch} on and the run has "
                f"{recipe.epochs}, so these variables are not trained at all"
            )
    return sentences
