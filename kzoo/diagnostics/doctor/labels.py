"""Checks of the labels: do the pixels explain them, does every class occur, are two classes one?"""

from __future__ import annotations

import numpy as np

from kzoo.diagnostics.doctor.report import Diagnosis, Finding, Note, digits, percent
from kzoo.diagnostics.doctor.subject import Subject
from kzoo.diagnostics.linear_probe import LinearProbe, deviation, linear_probe

LABELS, MISSING, PAIRS = "labels not explained by pixels", "class never occurs", "indistinguishable classes"
ENOUGH = 200
"""Images below which a poor probe cannot be distinguished from chance."""
PAIR_IMAGES = 2000
"""Images of each class that are compared when two classes seem to be one."""
FEW, WELL = 3, 0.8
"""A pair is an outlier only if a linear probe separates all but `FEW` pairs in at least a share `WELL` of cases; in
natural images (CIFAR-100), many pairs are inseparable, so none is an outlier."""
ALIKE = 0.4
"""Two classes may be one if their accuracy minus 0.5 is below this share of the usual pair's accuracy minus 0.5."""
LUCK, POWER = 3.5, 4.0
"""In standard deviations: how far above 0.5 a probe can get by luck on one class under two names (folds share images,
so their errors are correlated: up to 2.7 in sixty random splits of a digit), and how far above 0.5 other pairs must
be."""


def check_labels(subject: Subject, diagnosis: Diagnosis) -> None:
    """Look for labels that are shuffled or missing, and for one class under two labels."""
    # Without enough labelled images there is nothing to check.
    if subject.images is None or subject.labels is None:
        for check in (LABELS, MISSING, PAIRS):
            diagnosis.unchecked.append(Note(check, subject.needs_images))
        return
    _check_missing(subject, diagnosis)
    lacking = None
    if len(subject.labels) < ENOUGH:
        lacking = f"needs {ENOUGH} images or more, there are {len(subject.labels)}"
    elif subject.images.ndim != 4:
        lacking = f"needs images (height, width, channels), not {subject.images.shape[1:]}"
    elif not subject.finite:
        lacking = "the pixels are not finite"
    if lacking is not None:
        for check in (LABELS, PAIRS):
            diagnosis.unchecked.append(Note(check, lacking))
        return

    # Compare a linear classifier with chance.
    probe = linear_probe(subject.images, subject.labels, seed=subject.seed)
    if probe is None or probe.images < ENOUGH:
        for check in (LABELS, PAIRS):
            diagnosis.unchecked.append(Note(check, f"needs {ENOUGH} images or more, of classes with at least ten each"))
        return
    seen = (
        f"A linear classifier finds the class of {percent(probe.accuracy)} of {probe.images:,} images it was not "
        f"fitted to; guessing the most frequent of {len(probe.classes)} classes finds {percent(probe.chance)}"
    )
    values = {
        "accuracy": probe.accuracy,
        "chance": probe.chance,
        "p_value": probe.p_value,
        "images": probe.images,
        "classes": len(probe.classes),
    }
    if probe.separation is not None:
        seen += (
            f"; it distinguishes this class from the others in {percent(probe.separation)} of cases, guessing in 50%"
        )
        values["separation"] = probe.separation

    # If pixels do not explain the labels, pairs mean nothing either.
    if not probe.better_than_chance:
        what = "accuracy" if probe.separation is None else "separation"
        evidence = f"{seen}: no better than chance (probability of this {what} by luck: {digits(probe.p_value)})."
        suggestion = (
            "look at some images and their labels. Usual causes: images and labels shuffled or filtered separately, "
            "labels shifted by one file, or labels that belong to another dataset."
        )
        diagnosis.findings.append(Finding(LABELS, (), evidence, values, suggestion))
        diagnosis.unchecked.append(Note(PAIRS, "the labels as a whole are not explained by the pixels"))
        return
    diagnosis.fine.append(Note(LABELS, f"{seen[0].lower()}{seen[1:]}"))
    _check_pairs(subject, probe, diagnosis)


def _check_missing(subject: Subject, diagnosis: Diagnosis) -> None:
    labels = subject.labels
    assert labels is not None
    counts = np.bincount(labels, minlength=subject.classes)
    # With this many images, a class of the usual frequency would be absent by luck about once in a thousand cases.
    needed = int(np.ceil(np.log(1e-3) / np.log(1 - 1 / subject.classes))) if subject.classes > 1 else 0
    if len(labels) < needed:
        text = f"{subject.classes} classes need {needed:,} images or more to judge, there are {len(labels):,}"
        diagnosis.unchecked.append(Note(MISSING, text))
        return

    # Classes without an image.
    absent = np.flatnonzero(counts == 0)
    if not len(absent):
        few = subject.name(int(counts.argmin()))
        text = f"all {subject.classes} occur in {len(labels):,} images, the rarest, {few}, {counts.min():,} times"
        diagnosis.fine.append(Note(MISSING, text))
        return

    # Name the missing classes and a class that is too large.
    names = ", ".join(subject.name(int(index)) for index in absent[:5]) + (" ..." if len(absent) > 5 else "")
    evidence = (
        f"The network has {subject.classes} outputs, but for {len(absent)} of them ({names}) there is no label "
        f"among {len(labels):,} images."
    )
    largest = int(counts.argmax())
    others = counts[counts > 0]
    if counts[largest] > 1.6 * np.median(others):
        evidence += (
            f" Class {subject.name(largest)} has {counts[largest]:,} images, {counts[largest] / np.median(others):.1f} "
            "times the usual number: perhaps two classes share its index."
        )
    suggestion = (
        "compare the table of class names and indices with the labels: two classes may have been given one index, "
        "or counting may start at 1; or else build the network with fewer classes."
    )
    values = {"classes": subject.classes, "missing": absent.tolist(), "images": len(labels), "largest": largest}
    diagnosis.findings.append(Finding(MISSING, (), evidence, values, suggestion))


def _check_pairs(subject: Subject, probe: LinearProbe, diagnosis: Diagnosis) -> None:
    count = len(probe.classes)
    if count < 3:
        diagnosis.unchecked.append(Note(PAIRS, "with two classes there is no other pair to compare with"))
        return

    # How well the probe separates most pairs.
    accuracies = probe.pair_accuracies()
    rows, columns = np.triu_indices(count, 1)
    ordered = np.sort(accuracies[rows, columns])
    usual = float(ordered[min(FEW, len(ordered) // 2)])

    # Check pairs that are far worse again, with more images.
    judged = 0
    alike = []
    for row, column in zip(rows, columns, strict=True):
        pair = (int(probe.classes[row]), int(probe.classes[column]))
        sizes = [int((probe.labels == index).sum()) for index in (row, column)]
        if usual < WELL or usual - 0.5 < POWER * deviation(*sizes):
            continue  # too few images: a pair that differs might look the same
        judged += 1
        if accuracies[row, column] - 0.5 < ALIKE * (usual - 0.5):
            again = _closer_look(subject, pair)
            if again is not None and again[0] - 0.5 < ALIKE * (usual - 0.5):
                alike.append((pair, *again))

    # Report the result.
    if not judged:
        text = (
            f"too many of {count} classes look alike to a linear classifier on {probe.images:,} images for one pair to "
            "stand out"
        )
        diagnosis.unchecked.append(Note(PAIRS, text))
    elif not alike:
        worst = np.nanargmin(accuracies)
        a, b = (subject.name(int(probe.classes[index])) for index in divmod(int(worst), count))
        text = f"the hardest pair is {a} and {b}, distinguished in {percent(float(np.nanmin(accuracies)))} of cases"
        median = percent(float(np.median(ordered)))
        diagnosis.fine.append(Note(PAIRS, f"{text} ({median} for the median pair)"))
    for pair, accuracy, images in alike:
        one, other = (subject.name(label) for label in pair)
        evidence = (
            f"Given an image of {one} and one of {other}, a linear classifier tells which is which in "
            f"{percent(accuracy)} of cases ({images:,} images), where guessing gives 50%; for almost all other "
            f"pairs it is {percent(usual)} or more."
        )
        suggestion = (
            f"look at images of {one} and {other}: if both show the same thing, give them one index (a class was split "
            "or has two names)."
        )
        values = {"classes": list(pair), "accuracy": accuracy, "usual": usual, "images": images}
        diagnosis.findings.append(Finding(PAIRS, (), evidence, values, suggestion))


def _closer_look(subject: Subject, pair: tuple[int, int]) -> tuple[float, int] | None:
    """Accuracy and images of a classifier for this pair alone, on more images; None if it distinguishes them."""
    assert subject.images is not None
    assert subject.labels is not None
    chosen = np.concatenate([np.flatnonzero(subject.labels == label)[:PAIR_IMAGES] for label in pair])
    probe = linear_probe(subject.images[chosen], subject.labels[chosen], limit=2 * PAIR_IMAGES, seed=subject.seed)
    if probe is None:
        return None
    accuracy = float(probe.pair_accuracies()[0, 1])
    sizes = np.bincount(probe.labels)
    return None if accuracy - 0.5 > LUCK * deviation(*sizes) else (accuracy, probe.images)
