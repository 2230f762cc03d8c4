"""The doctor: why a network does not learn, in words, with the evidence and one change to try first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kzoo.diagnostics.doctor import labels as label_checks
from kzoo.diagnostics.doctor import signal, training, weights
from kzoo.diagnostics.doctor.input_check import admit
from kzoo.diagnostics.doctor.report import KINDS, Diagnosis, Finding, Note
from kzoo.diagnostics.doctor.subject import Subject
from kzoo.recipes.schema import Recipe

__all__ = ["KINDS", "Diagnosis", "Finding", "Note", "doctor"]

FLOW: dict[str, Callable[[Subject, Diagnosis], bool]] = {
    signal.DEAD: signal.check_dead,
    signal.GRADIENTS: signal.check_gradients,
    training.RATE: training.check_steps,
}
"""Checks in causal order: a fault found by one causes faults in the later ones."""


def doctor(
    target: Any,
    *,
    dataset: str | None = None,
    images: Any = None,
    labels: Any = None,
    recipe: Recipe | str | None = None,
    data_dir: str | Path | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Examine a network, its training and its data.

    The examination changes nothing: weights, moving averages and generators are restored bit for bit.

    Args:
        target: a `Run` or a run's directory, finished or not; a Keras model or a ``.keras`` file; or the name of a
            model or recipe, which is examined before training.
        dataset: name of the dataset that a model is or will be trained on; its training part is examined.
        images: training images (n, height, width, channels) instead of a dataset, exactly as the model receives them.
        labels: their classes, integers (n,).
        recipe: the recipe that trains the model, for its optimizer and learning rate. Without one, a compiled model's
            optimizer is used.
        data_dir: as for `train`.
        seed: seed of a named model's initial weights and of all random draws.

    Returns:
        The findings, the checks that were fine, and the checks that were not done.

    Raises:
        InputError: the target is something else, is not built, has nothing to train or has several inputs, or images
            and labels do not fit it.

    Example:
        >>> kzoo.doctor(run).healthy
        True
    """
    subject = admit(target, dataset=dataset, images=images, labels=labels, recipe=recipe, data_dir=data_dir, seed=seed)
    diagnosis = Diagnosis(subject.title)
    training.check_history(subject, diagnosis)
    finite = weights.check_finite(subject, diagnosis)
    weights.check_constant(subject, diagnosis)
    if finite:
        _examine_flow(subject, diagnosis)
    else:
        for name in (signal.INPUTS, weights.BATCH_NORM, *FLOW):
            diagnosis.unchecked.append(Note(name, "the weights are not finite"))
    label_checks.check_labels(subject, diagnosis)
    diagnosis.findings.sort(key=lambda finding: list(KINDS).index(finding.kind))
    return diagnosis


def _examine_flow(subject: Subject, diagnosis: Diagnosis) -> None:
    """Run the checks that send images through the network; after a cause, the checks of its effects are skipped."""
    cause = "constant layer" if "constant layer" in diagnosis.kinds else None
    left_out = []
    if not signal.check_inputs(subject, diagnosis):
        cause = signal.INPUTS
        left_out.append(weights.BATCH_NORM)
    else:
        weights.check_batch_norm(subject, diagnosis)
    for name, check in FLOW.items():
        if cause is not None:
            left_out.append(name)
        elif not check(subject, diagnosis):
            cause = diagnosis.findings[-1].kind
    for name in left_out:
        diagnosis.unchecked.append(Note(name, f"left out, as it would show the effects of the finding {cause!r}"))
