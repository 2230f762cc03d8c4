"""Checks of training: its history, and the effect of a few trial steps of its optimizer."""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import numpy as np

from kzoo.diagnostics.doctor.guessing import guessing, loss_without_penalties
from kzoo.diagnostics.doctor.report import Diagnosis, Finding, Note, digits, percent, sentence
from kzoo.diagnostics.doctor.subject import Subject
from kzoo.diagnostics.gradient_flow.measure import apply_once
from kzoo.introspection.gradients import LossProbe
from kzoo.introspection.layers import find_layers, kernel
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import OneCycle
from kzoo.training.optimization.muon import Muon
from kzoo.training.optimization.optimizers import build_optimizer
from kzoo.training.optimization.schedules import first_rate

MOVING, NOT_FINITE, GAP = "loss not moving", "loss not finite", "train/validation gap"
RATE, HIGH, LOW = "learning rate", "learning rate too high", "learning rate too low"
STEPS = 10
"""Trial steps on one batch."""
RATIO_HIGH, RATIO_LOW = 0.5, 1e-6
"""Limits of the change of a kernel in one step divided by its size (mean absolute values, median over layers)."""
FEWEST_STEPS = 100
"""Before this many steps, it is normal that the loss has not moved."""
FEW_STEPS = 1000
"""Before this many steps, a loss that still falls means that training was too short, not that nothing is learned."""


def check_history(subject: Subject, diagnosis: Diagnosis) -> bool:
    """Check the metrics per epoch; returns whether the loss is finite."""
    history = subject.history
    losses = history.get("loss", [])
    if subject.failure or not all(map(math.isfinite, losses)):
        seen = subject.failure or f"the training loss was {losses[-1]} in epoch {len(losses)}"
        suggestion = "lower the learning rate tenfold, or clip gradients (clipnorm=1)."
        evidence = f"The run failed: {seen.partition('. A lower')[0]}." if subject.failure else f"{seen.capitalize()}."
        diagnosis.findings.append(Finding(NOT_FINITE, (), evidence, {"epochs": len(losses)}, suggestion))
        return False
    if not losses:
        for check in (MOVING, GAP):
            diagnosis.unchecked.append(Note(check, "needs a run that was trained for an epoch or more"))
        return True
    _check_moving(subject, losses, diagnosis)
    _check_gap(subject, diagnosis)
    return True


def _check_moving(subject: Subject, losses: list[float], diagnosis: Diagnosis) -> None:
    # Compare the training loss with that of guessing.
    limits = guessing(subject, subject.labels)
    guess, last, best = limits.loss, losses[-1], min(losses)
    seen = f"training loss {digits(losses[0])} in the first epoch, {digits(last)} in epoch {len(losses)}"
    seen += f"; guessing gives {digits(guess)}"
    if limits.beaten_by(best):
        diagnosis.fine.append(Note(MOVING, seen))
    elif subject.steps is not None and subject.steps < FEWEST_STEPS:
        text = f"only {subject.steps} steps so far, {FEWEST_STEPS} are needed to judge ({seen})"
        diagnosis.unchecked.append(Note(MOVING, text))
    elif _still_falling(losses, guess, subject.steps):
        text = f"trained too short to judge: {subject.steps} steps, and the loss still falls ({seen}); train longer"
        diagnosis.unchecked.append(Note(MOVING, text))
    elif not _explained_by_penalties(subject, seen, diagnosis):
        suggestion = (
            "see the other findings; if there are none, change the learning rate tenfold, first down, then up, and "
            "check that images and labels belong together."
        )
        values = {"first": losses[0], "last": last, "best": best, "guess": guess, "epochs": len(losses)}
        evidence = f"{sentence(seen)}: nothing was learned."
        diagnosis.findings.append(Finding(MOVING, (), evidence, values, suggestion))


def _explained_by_penalties(subject: Subject, seen: str, diagnosis: Diagnosis) -> bool:
    """Note it if only penalties (of regularizers, for example) hold the training loss above that of guessing."""
    measured = loss_without_penalties(subject)
    if measured is None:
        if subject.model.losses:
            text = f"the training loss includes penalties; to leave them out, it {subject.needs_images} ({seen})"
            diagnosis.unchecked.append(Note(MOVING, text))
        return bool(subject.model.losses)
    loss, guess = measured
    if not guess.beaten_by(loss):
        return False
    text = f"{seen}; without penalties, the loss on some training images is {digits(loss)}"
    diagnosis.fine.append(Note(MOVING, f"{text}, where guessing gives {digits(guess.loss)}"))
    return True


def _still_falling(losses: list[float], guess: float, steps: int | None) -> bool:
    """Whether training was short and the loss fell from epoch to epoch, as it does before learning starts."""
    if steps is None or steps >= FEW_STEPS or losses[-1] >= guess * (1 + 1e-4):
        return False
    if len(losses) == 1:
        return losses[0] < guess
    falls = sum(after < before for before, after in itertools.pairwise(losses))
    return falls >= 0.75 * (len(losses) - 1) and losses[0] - losses[-1] > 0.002 * guess


def _check_gap(subject: Subject, diagnosis: Diagnosis) -> None:
    history = subject.history
    if "val_accuracy" not in history:
        diagnosis.unchecked.append(Note(GAP, "the run had no validation images"))
        return
    train, validation = history["accuracy"][-1], history["val_accuracy"][-1]
    lowest, last = min(history["val_loss"]), history["val_loss"][-1]
    seen = f"accuracy {percent(train)} on training and {percent(validation)} on validation images in the last epoch"
    if train - validation <= 0.2:
        diagnosis.fine.append(Note(GAP, seen))
    elif subject.lagging:
        diagnosis.unchecked.append(Note(GAP, f"{subject.lagging} ({seen})"))
    else:
        best = history["val_loss"].index(lowest) + 1
        if last > 1.1 * lowest:
            seen += f"; validation loss {digits(last)}, up from its lowest value, {digits(lowest)}, in epoch {best}"
        values = {"train": train, "validation": validation, "val_loss": last, "lowest_val_loss": lowest, "epoch": best}
        suggestion = (
            "add variety (augmentation, mixup), a stronger penalty (l2=1e-3) or dropout, or stop earlier; "
            "more training images help most."
        )
        evidence = f"{sentence(seen)}."
        diagnosis.findings.append(Finding(GAP, (), evidence, values, suggestion))


def check_steps(subject: Subject, diagnosis: Diagnosis) -> bool:
    """Take a few steps on one batch and undo them; returns whether the learning rate is fine or unknown."""
    # What the check needs: images, and a new optimizer at its first rate.
    if subject.images is None or subject.labels is None:
        diagnosis.unchecked.append(Note(RATE, subject.needs_images))
        return True
    recipe, new = subject.recipe, subject.optimizer
    if recipe is not None:
        optimizer = trial_optimizer(recipe, len(subject.images))
    elif new is not None:
        optimizer = new()
    else:
        diagnosis.unchecked.append(Note(RATE, "needs a recipe or a compiled model, to know the optimizer"))
        return True

    # The untrained network where it can be rebuilt.
    fresh = subject.initial is not None and subject.steps != 0
    model = subject.initial() if fresh and subject.initial is not None else subject.model
    images, labels = subject.probe(min(recipe.batch_size if recipe else 32, 64))
    rises = bool(recipe and (recipe.warmup_epochs or isinstance(recipe.schedule, OneCycle)))
    if recipe is None:
        optimizer, rises = _at_first_rate(optimizer)
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))

    # Take the trial steps.
    losses, ratios = trial_steps(model, images, labels, optimizer)
    name = type(optimizer).__name__.removeprefix("Coupled")
    guess = math.log(subject.classes)
    zero = np.array([not weights.any() for weights in map(keras.ops.convert_to_numpy, _kernels(model))])
    change, words = _median_change(ratios[0], zero)
    seen = (
        f"at {digits(rate)} ({name}), {words}; in {len(losses) - 1} steps on {len(images)} images the loss goes from "
        f"{digits(losses[0])} to {digits(losses[-1])}"
    )

    # Too high if the loss rises or weights change too much, too low if nothing changes.
    values = {"learning_rate": rate, "update_to_weight": change, "losses": losses, "optimizer": name}
    start = max(losses[0], guess)
    settled = losses[len(losses) // 2 :]
    large = change > RATIO_HIGH and not getattr(optimizer, "normalize", False)  # Muon's steps are as large as kernels
    if not np.isfinite(losses).all() or min(settled) > 1.5 * start or large:
        evidence = f"{sentence(seen)}; 0.001 to 0.1 times is usual."
        lower = rate * min(0.1, 0.01 / max(change, 1e-12)) if np.isfinite(change) else rate / 100
        suggestion = f"lower the learning rate, to about {_rounded(lower)} first."
        diagnosis.findings.append(Finding(HIGH, (), evidence, values, suggestion))
        return False
    if change < RATIO_LOW and losses[-1] > 0.99 * losses[0] and not rises and not np.isinf(ratios[0][zero]).any():
        evidence = f"{sentence(seen)}; 0.001 to 0.1 times is usual."
        suggestion = f"raise the learning rate, to about {_rounded(min(rate * 0.005 / max(change, 1e-12), 1.0))} first."
        diagnosis.findings.append(Finding(LOW, (), evidence, values, suggestion))
        return False
    diagnosis.fine.append(Note(RATE, seen))
    return True


def _at_first_rate(optimizer: Any) -> tuple[Any, bool]:
    """An optimizer held at its schedule's first rate above 0, and whether the rate rises later, as in a warm-up."""
    config = optimizer.get_config()
    if not isinstance(config["learning_rate"], dict):
        return optimizer, False
    schedule = keras.optimizers.schedules.deserialize(config["learning_rate"])
    rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in (0, 1, 10, 100, 1_000, 10_000)]
    first = next((rate for rate in rates if rate > 0), rates[0])
    return type(optimizer).from_config({**config, "learning_rate": first}), max(rates) > first


def _kernels(model: keras.Model) -> list[Any]:
    return [kernel(layer) for _, layer in find_layers(model) if kernel(layer) is not None]


def _median_change(ratios: np.ndarray, zero: np.ndarray) -> tuple[float, str]:
    """The median of the changes of kernels (layers,), and what it means; NaN if all kernels start at zero.

    Kernels that start at `zero` (layers,) are left out: a step changes them by infinitely many times their size.
    """
    if zero.all():
        return math.nan, "all kernels start at zero"
    change = float(np.median(np.nan_to_num(ratios[~zero], nan=np.inf)))
    layers = "layers that do not start at zero" if zero.any() else "layers"
    return change, f"the first step changes weights by {digits(change)} times their size (median of {layers})"


def trial_optimizer(recipe: Recipe, images: int) -> keras.optimizers.Optimizer:
    """A recipe's optimizer, held at the learning rate of the first step of a training on some number of images."""
    recipe = recipe.resolved()
    factors = {
        name: {"factor": m.factor if m.first_epoch == 1 else 0.0, "decay": m.decay}
        for name, m in recipe.rate_multipliers.items()
    }
    without = {"schedule": "constant", "warmup_epochs": 0.0, "lookahead": None}
    optimizer = build_optimizer(recipe.override(**without, rate_multipliers=factors))
    optimizer.learning_rate = first_rate(recipe, -(-images // recipe.batch_size))
    return optimizer


def trial_steps(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, optimizer: Any, steps: int = STEPS
) -> tuple[list[float], np.ndarray]:
    """Train on one batch for a few steps, then restore the model bit for bit.

    Returns:
        The losses before each step and after the last, and the mean absolute change of each kernel divided by its mean
        absolute value: (steps, layers).
    """
    # Keep the variables.
    kernels = _kernels(model)
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.variables]

    # Measure the loss and the change of each kernel step by step.
    probe = LossProbe(model, images, labels, compiled=False)
    losses, ratios = [], []
    try:
        if isinstance(optimizer, Muon):
            optimizer.see(model)
        optimizer.build(model.trainable_variables)
        for _ in range(steps):
            loss, gradients = probe()
            losses.append(loss)
            if not math.isfinite(loss):
                break
            old = [np.array(keras.ops.convert_to_numpy(weight)) for weight in kernels]
            apply_once(optimizer, gradients)
            new = [keras.ops.convert_to_numpy(weight) for weight in kernels]
            with np.errstate(all="ignore"):
                ratios.append([np.abs(b - a).mean() / np.abs(a).mean() for a, b in zip(old, new, strict=True)])
        else:
            losses.append(probe().loss)
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
    return losses, np.asarray(ratios or [[math.nan] * len(kernels)], np.float64)


def _rounded(value: float) -> str:
    """The value with one digit, because the advice is not more precise."""
    return f"{float(f'{value:.0e}'):g}"
