"""Checks of the weights alone: finite, not all the same, and BatchNorm's moving averages."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kzoo.diagnostics.doctor.report import Diagnosis, Finding, Note, digits, percent, sentence
from kzoo.diagnostics.doctor.signal import GRADIENT_IMAGES
from kzoo.diagnostics.doctor.subject import Subject
from kzoo.errors import InputError
from kzoo.introspection.gradients import layer_outputs, parameter_gradients
from kzoo.introspection.graph import calls
from kzoo.introspection.layers import find_layers, kernel

CONSTANT, FINITE, BATCH_NORM = "constant layer", "loss not finite", "BatchNorm statistics"
SLOWEST = 0.9999
"""From this momentum on, the moving averages need ten thousand steps or more."""
FASTEST = 0.5
"""Below this momentum, they are little more than the statistics of the last batch."""


def check_finite(subject: Subject, diagnosis: Diagnosis) -> bool:
    """Look for weights that are not finite; returns whether all are."""
    every = [(path, weight) for path, layer in find_layers(subject.model) for weight in layer.weights]
    bad = [(path, weight.name) for path, weight in every if not np.isfinite(_array(weight)).all()]
    if not bad:
        return True
    names = ", ".join(f"{path} ({name})" for path, name in bad[:3]) + (" ..." if len(bad) > 3 else "")
    evidence = f"Values that are not finite in {len(bad)} of {len(every)} arrays of weights: {names}."
    diagnosis.findings.append(
        Finding(
            FINITE,
            tuple(dict.fromkeys(path for path, _ in bad)),
            evidence,
            {"weights": [f"{path}/{name}" for path, name in bad]},
            "these weights are lost: go back to an earlier checkpoint or start again, with a learning rate ten times "
            "lower or gradients clipped (clipnorm=1).",
        )
    )
    return False


def check_constant(subject: Subject, diagnosis: Diagnosis) -> None:
    """Look for layers in which all units have the same weights."""
    # Layers with identical units, except where these are harmless.
    layers = [(path, layer) for path, layer in find_layers(subject.model) if kernel(layer) is not None]
    skipped = harmless(subject.model, layers)
    constant = []
    for path, layer in layers:
        units = _by_unit(layer)
        if units.shape[0] < 2 or path in skipped:
            continue
        largest = float(np.abs(units).max())
        same = float(np.abs(units - units[0]).max()) <= 1e-6 * largest
        if largest == 0 and not type(layer).__module__.startswith("keras.") and _will_differ(subject, layer):
            continue  # as the tokens and embeddings of a vision transformer
        if same and (largest == 0 or not _depthwise(layer)):
            constant.append((path, units.shape[0], largest, float(units[0].mean())))

    # Report the first of them.
    if not constant:
        diagnosis.fine.append(Note(CONSTANT, f"the units of all {len(layers)} layers with a kernel differ"))
        return
    path, count, largest, mean = constant[0]
    value = "all zero" if largest == 0 else f"the same for all units (mean {digits(mean)})"
    others = len(constant) - 1
    more = f", like {'those' if others > 1 else 'that'} of {others} other layer{'s' * (others > 1)}" if others else ""
    evidence = (
        f"The kernel of {path} is {value}{more}: its {count} units compute the same thing, and if they get the same "
        "gradient, they will never differ."
    )
    values = {"layers": [{"layer": p, "units": n, "largest": big} for p, n, big, _ in constant]}
    suggestion = "give kernels a random initializer (he_normal with ReLU, glorot_uniform otherwise), and biases zeros."
    diagnosis.findings.append(Finding(CONSTANT, tuple(p for p, *_ in constant), evidence, values, suggestion))


def _will_differ(subject: Subject, layer: Any) -> bool:
    """Whether the units of a layer get different gradients."""
    weight = kernel(layer)
    gradients = parameter_gradients(subject.model, *subject.probe(GRADIENT_IMAGES)).gradients
    of_layer = {id(v): g for v, g in zip(subject.model.trainable_variables, gradients, strict=True)}.get(id(weight))
    if of_layer is None:  # frozen
        return False
    units = np.moveaxis(of_layer, -1, 0).reshape(of_layer.shape[-1], -1)
    return bool(np.isfinite(units).all() and np.abs(units - units[0]).max() > 1e-6 * np.abs(units).max())


def harmless(model: keras.Model, layers: list[tuple[str, Any]]) -> set[str]:
    """Layers that may start at zero: the classifier, whose outputs get different gradients, and ends of branches.

    The ends of branches are added to another branch (Zhang et al. 2019a start residual branches at zero).
    """
    ends = {layers[-1][0]} if layers else set()
    try:
        steps = calls(model)
    except InputError:
        return ends
    users: dict[int, list[Any]] = {}
    for call in steps:
        for number in call.inputs:
            users.setdefault(number, []).append(call)
    paths = {id(layer): path for path, layer in layers}
    for call in steps:
        if id(call.layer) not in paths:
            continue
        following = users.get(call.outputs[0], [])
        while len(following) == 1 and isinstance(following[0].layer, keras.layers.BatchNormalization):
            following = users.get(following[0].outputs[0], [])
        if following and all(_adds(user.layer) for user in following):
            ends.add(paths[id(call.layer)])
    return ends


def _adds(layer: Any) -> bool:
    """Whether it is an `Add` layer, or the operation ``x + y``, whose class has no public name."""
    return isinstance(layer, keras.layers.Add) or type(layer).__name__ == "Add"


def _depthwise(layer: Any) -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)


def _by_unit(layer: Any) -> np.ndarray:
    """The kernel as an array (units, everything else)."""
    values = _array(kernel(layer))
    if isinstance(layer, keras.layers.Conv1DTranspose | keras.layers.Conv2DTranspose | keras.layers.Conv3DTranspose):
        values = np.moveaxis(values, -2, -1)
    elif _depthwise(layer):
        values = values.reshape(*values.shape[:-2], -1)
    return np.moveaxis(values, -1, 0).reshape(values.shape[-1], -1)


def check_batch_norm(subject: Subject, diagnosis: Diagnosis) -> None:
    """Look for moving averages that cannot follow the data, or did not."""
    # Settings that keep the averages from following the data.
    layers = [(p, one) for p, one in find_layers(subject.model) if isinstance(one, keras.layers.BatchNormalization)]
    if not layers:
        diagnosis.fine.append(Note(BATCH_NORM, "the network has no BatchNorm"))
        return
    if _check_settings(subject, layers, diagnosis):
        return

    # Whether the network was trained.
    moved = [path for path, layer in layers if _moved(layer)]
    learned = all(_learned(layer) for _, layer in layers)
    trained = bool(subject.steps) or (subject.steps is None and (bool(moved) or learned))
    if not trained:
        text = f"momentum is fine ({layers[0][1].momentum:g}); the averages are still those of an untrained network"
        diagnosis.fine.append(Note(BATCH_NORM, text))
        return

    # Averages that training did not move.
    still = [path for path, layer in layers if not _moved(layer)]
    if still:
        evidence = (
            f"The network was trained, but the moving averages of {len(still)} of {len(layers)} BatchNorm layers "
            "still have their initial values (mean 0, variance 1): at inference they normalise by values that have "
            "nothing to do with the data."
        )
        suggestion = (
            "check that the layers are trainable and called with training=True in training; to repair the averages, "
            "run training batches through the network with a learning rate of zero."
        )
        diagnosis.findings.append(
            Finding(BATCH_NORM, tuple(still), evidence, {"still": len(still), "layers": len(layers)}, suggestion)
        )
        return
    _check_modes(subject, layers, diagnosis)


def _check_settings(subject: Subject, layers: list[tuple[str, Any]], diagnosis: Diagnosis) -> bool:
    # Layers with each fault.
    slow = [(path, layer.momentum) for path, layer in layers if layer.momentum >= SLOWEST]
    fast = [(path, layer.momentum) for path, layer in layers if layer.momentum < FASTEST]
    broken = [path for path, layer in layers if (_array(layer.moving_variance) < 0).any()]
    frozen = [path for path, layer in layers if not layer.trainable and not _moved(layer)]

    # Report the most serious fault.
    if slow:
        worst = max(momentum for _, momentum in slow)
        if worst >= 1:
            effect = "they never move from mean 0 and variance 1"
        else:
            effect = f"they need about {1 / (1 - worst):,.0f} steps to follow the data"
        evidence = (
            f"In {len(slow)} of {len(layers)} BatchNorm layers momentum, the share of the old value that averages keep "
            f"at each step, is {worst:.7g}: {effect}, and the network in use is not the one that was trained."
        )
        _append(diagnosis, slow, evidence, worst, "set momentum to 0.9 (PyTorch's 0.1) or 0.99 (Keras's default).")
    elif fast:
        worst = min(momentum for _, momentum in fast)
        evidence = (
            f"In {len(fast)} of {len(layers)} BatchNorm layers momentum is {worst:g}: their moving averages remember "
            f"about {1 / (1 - worst):.1f} batches, so the network in use depends on the last few images it saw."
        )
        suggestion = f"set momentum to {1 - worst:g}: PyTorch's momentum is one minus Keras's."
        _append(diagnosis, fast, evidence, worst, suggestion)
    elif broken:
        evidence = f"In {len(broken)} of {len(layers)} BatchNorm layers moving variances are below zero."
        suggestion = "load the weights again: the order of BatchNorm's four arrays was probably mixed up."
        _append(diagnosis, [(path, 0.0) for path in broken], evidence, None, suggestion)
    elif frozen and any(layer.trainable for _, layer in find_layers(subject.model)):
        evidence = (
            f"Frozen BatchNorm layers: {len(frozen)} of {len(layers)}, with the initial moving averages (mean 0, "
            "variance 1). Frozen layers use these in training too, and normalise nothing."
        )
        suggestion = "set trainable=True on them, or load weights whose averages come from data."
        _append(diagnosis, [(path, 0.0) for path in frozen], evidence, None, suggestion)
    return bool(slow or fast or broken or frozen)


def _append(
    diagnosis: Diagnosis, layers: list[tuple[str, float]], evidence: str, momentum: float | None, suggestion: str
) -> None:
    values = {"layers": len(layers)} | ({} if momentum is None else {"momentum": momentum})
    diagnosis.findings.append(Finding(BATCH_NORM, tuple(p for p, _ in layers), evidence, values, suggestion))


def _check_modes(subject: Subject, layers: list[tuple[str, Any]], diagnosis: Diagnosis) -> None:
    """Compare the trained network on training images in its two modes."""
    if subject.images is None or subject.labels is None:
        diagnosis.unchecked.append(Note(BATCH_NORM, subject.needs_images))
        return

    # Accuracy in both modes.
    images, labels = subject.probe(128)
    last = find_layers(subject.model)[-1][1]
    share = {}
    for training in (True, False):
        (outputs,) = layer_outputs(subject.model, [last], images, training=training)
        if outputs.shape != (len(images), subject.classes):
            diagnosis.unchecked.append(Note(BATCH_NORM, f"the model's last layer, {last.name}, returns no classes"))
            return
        share[training] = float((outputs.argmax(-1) == labels).mean())

    # Report the difference.
    shown = (
        f"of {len(images)} training images, {percent(share[True])} are classified correctly with the statistics of the "
        f"batch and {percent(share[False])} with the moving averages, as at inference"
    )
    if share[True] - share[False] < 0.2:
        diagnosis.fine.append(Note(BATCH_NORM, shown))
        return
    if subject.lagging:  # BatchNorm's averages follow the trained weights
        diagnosis.unchecked.append(Note(BATCH_NORM, f"{subject.lagging} ({shown})"))
        return
    values = {"batch": share[True], "moving": share[False], "images": len(images)}
    suggestion = (
        "lower momentum (0.9), train longer at a lower rate at the end, or run training batches through the network "
        "once more with a learning rate of zero, so that the averages catch up."
    )
    evidence = f"{sentence(shown)}: the averages do not fit the weights."
    diagnosis.findings.append(Finding(BATCH_NORM, tuple(p for p, _ in layers), evidence, values, suggestion))


def _moved(layer: Any) -> bool:
    """Whether the moving averages are no longer 0 and 1."""
    return bool(np.any(_array(layer.moving_mean) != 0) or np.any(_array(layer.moving_variance) != 1))


def _learned(layer: Any) -> bool:
    gamma, beta = getattr(layer, "gamma", None), getattr(layer, "beta", None)
    values = [_array(gamma) - _array(gamma)[0] if gamma is not None else 0, _array(beta) if beta is not None else 0]
    return any(np.any(np.abs(value) > 0) for value in values)


def _array(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)
