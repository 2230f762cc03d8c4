"""Weights of one network for another: whether they fit, which are taken, and which layers start from random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError, counted
from kzoo.introspection.layers import find_layers, give_weights
from kzoo.introspection.outputs import read_outputs
from kzoo.models.structure import IDLE, Structure, entry_difference, essential, with_layers

AFFINE = ("BatchNormalization", "PReLU")
"""Layers that may follow a classifier's last dense layer or convolution, with weights for each class."""

Scaling = tuple[np.ndarray, np.ndarray]
"""Factor and summand, each a number or one per channel."""


@dataclass
class Transfer:
    """The result of a transfer.

    Attributes:
        taken: names of the target's layers that got weights.
        initialized: names of its layers with weights that kept their initial ones.
        notes: further remarks, a sentence each.
    """

    taken: list[str] = field(default_factory=list)
    initialized: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def line(self, source: str) -> str:
        """The result in one line."""
        parts = [f"weights of {source}: {counted(len(self.taken), 'layer')} taken"]
        if self.initialized:
            parts[0] += f" ({_shortened(self.taken)}), {len(self.initialized)} start from random weights"
            parts[0] += f" ({_shortened(self.initialized)})"
        return "; ".join([*parts, *self.notes])


def transfer(
    source: keras.Model,
    target: keras.Model,
    *,
    what: str,
    source_names: Sequence[str] | None = None,
    target_names: Sequence[str] | None = None,
    partial: bool = False,
    same_pixels: bool = False,
) -> Transfer:
    """Copy weights from one model to another of the same structure, whatever the names of their layers.

    The classifier is taken class by class, by name: classes that the source does not know start from random
    weights, and so do all classes if their numbers differ and either model has no class names.

    Args:
        source: the trained model.
        target: the one to fill.
        what: names the weights in errors.
        source_names, target_names: the classes' names by label, where they are known.
        partial: take the layers that fit, by name, or, if no name fits, from the first one on.
        same_pixels: refuse a target that scales the pixels differently, because it would answer wrongly without
            further training; otherwise a note reports the difference.

    Raises:
        InputError: the structures differ and `partial` is False, the pixels are scaled differently and `same_pixels`
            is True, or nothing fits.
    """
    # Compare the structures.
    structures = [with_layers(model) for model in (source, target)]
    trained, wanted = map(essential, structures)
    _add_paths(trained, source)
    _add_paths(wanted, target)
    heads = [_head(part, model) for part, model in ((trained, source), (wanted, target))]
    done = Transfer()
    whole, pairs = True, list(zip(range(len(wanted)), range(len(trained)), strict=False))
    if partial:
        pairs, whole, by_position = _fitting(trained, wanted, heads)
        if by_position and pairs:
            done.notes.append("no layer fits one of its own name, so they are matched by position from the first on")
    elif other := _difference(wanted, trained, heads):
        raise InputError(
            f"{what} belong to another network than {target.name!r}: {other}; to take the layers that fit, set "
            "initial_weights_partial=true"
        )

    # The scaling of pixels, which may differ if training continues.
    theirs, ours = map(pixel_scaling, structures)
    if not same_scaling(theirs, ours):
        note = f"they were trained with pixels {_in_words(theirs)}, {target.name!r} takes pixels {_in_words(ours)}"
        if same_pixels:
            raise InputError(f"{what} belong to another network than {target.name!r}: {note}: give it the same")
        done.notes.append(note)

    # Labels that exclude each other are no independent ones.
    kinds = [_kind(model) for model in (source, target)] if same_pixels else []
    if set(kinds) == {"softmax", "sigmoids"}:
        raise InputError(
            f"{what} belong to another network than {target.name!r}: they were trained with a {kinds[0]} end, it has a "
            f"{kinds[1]} end"
        )

    # Copy all but the classifier as it is, then the classifier by class names.
    head, taken = set(heads[1]), set()
    for index, from_index in pairs:
        if wanted[index]["weights"] and index not in head:
            give_weights(wanted[index]["layer"], trained[from_index]["layer"].get_weights())
            taken.add(id(wanted[index]["layer"]))
    index_of = dict(pairs)
    if whole and head and all(index in index_of for index in head):
        chosen, note = _class_rows(source, target, source_names, target_names)
        done.notes += [note] if note else []
        for index in heads[1] if chosen else ():
            _set_rows(wanted[index]["layer"], trained[index_of[index]]["layer"], chosen or [])
            taken.add(id(wanted[index]["layer"]))

    # Record what was taken; a layer that is called several times counts once.
    names = {id(entry["layer"]): entry["path"] for entry in wanted if entry["weights"]}
    done.taken = [name for layer, name in names.items() if layer in taken]
    done.initialized = [name for layer, name in names.items() if layer not in taken]
    if not done.taken:
        raise InputError(f"{what}: no layer of {target.name!r} fits them, so nothing was taken")
    return done


def _kind(model: keras.Model) -> str | None:
    """The kind of a classifier's outputs; None if it is no classifier."""
    try:
        return read_outputs(model).kind
    except InputError:
        return None


def _add_paths(entries: Structure, model: keras.Model) -> None:
    """Add a unique ``path`` to each entry: the layer's name, with those of the models it is in if others have it."""
    layers: dict[str, set[int]] = {}
    for entry in entries:
        layers.setdefault(entry["name"], set()).add(id(entry["layer"]))
    paths = {id(layer): path for path, layer in find_layers(model)}
    for entry in entries:
        shared = len(layers[entry["name"]]) > 1
        entry["path"] = paths.get(id(entry["layer"]), entry["name"]) if shared else entry["name"]


def _head(entries: Structure, model: keras.Model) -> list[int]:
    """The classifier: the last layer with weights, if it has as many outputs as the model; and `AFFINE` ones after."""
    shape = model.output_shape
    count, head = shape[-1] if len(shape) == 2 else None, []
    for index in reversed([i for i, entry in enumerate(entries) if entry["weights"]]):
        shapes = entries[index]["weights"]
        if any(shape[-1] != count for shape in shapes):
            break
        head.append(index)
        if entries[index]["class"] not in AFFINE:
            return head[::-1]
    return []


def _difference(wanted: Structure, trained: Structure, heads: list[list[int]]) -> str:
    for index, (one, other) in enumerate(zip(wanted, trained, strict=False)):
        text = entry_difference(one, other, outputs=index not in heads[1] or index not in heads[0])
        if text:
            return f"layer {one['name']!r} has {text}"
    if len(wanted) > len(trained):
        return f"it has a layer {wanted[len(trained)]['name']!r} that they were not trained with"
    if len(wanted) < len(trained):
        left = trained[len(wanted)]["name"]
        return f"it lacks {len(trained) - len(wanted)} of their layers ({left!r} and what follows)"
    return ""


def _fitting(trained: Structure, wanted: Structure, heads: list[list[int]]) -> tuple[list[tuple[int, int]], bool, bool]:
    """Pairs of calls that fit, whether the classifiers do, and whether calls are paired by position, not by name."""
    heads_match = bool(heads[0]) and len(heads[0]) == len(heads[1])

    def fits(index: int, other: int) -> bool:
        one, two = {**wanted[index], "inputs": []}, {**trained[other], "inputs": []}
        as_head = heads_match and index in heads[1] and other in heads[0]
        return not entry_difference(one, two, outputs=not as_head)

    by_path = {entry["path"]: index for index, entry in enumerate(trained)}
    pairs = [(i, by_path[e["path"]]) for i, e in enumerate(wanted) if e["weights"] and e["path"] in by_path]
    pairs = [pair for pair in pairs if fits(*pair)]
    by_position = not pairs
    if by_position:
        for index in range(min(len(trained), len(wanted))):
            if not fits(index, index):
                break
            pairs.append((index, index))
    return pairs, heads_match and all(index in dict(pairs) for index in heads[1]), by_position


def _class_rows(
    source: keras.Model, target: keras.Model, source_names: Sequence[str] | None, target_names: Sequence[str] | None
) -> tuple[list[tuple[int, int]] | None, str]:
    """Pairs (class of the target, of the source) whose rows are copied, or None to leave the classifier; and a note."""
    # Without names on both sides only the number of classes counts.
    counts = [model.output_shape[-1] for model in (source, target)]
    named = source_names is not None and target_names is not None
    known = named and len(source_names or ()) == max(counts[0], 2) == max(counts[0], len(source_names or ()))
    if not known:
        if counts[0] != counts[1]:
            return None, f"they have {counts[0]} classes, so the classifier starts from random weights"
        return [(i, i) for i in range(counts[1])], "class names are missing, so the classes are taken in order"
    assert source_names is not None
    assert target_names is not None

    # A single output fits only the same two classes.
    if counts[0] == counts[1] == 1 and read_outputs(target).kind == "sigmoid":  # the second class's probability
        if list(source_names) == list(target_names):
            return [(0, 0)], ""
        return None, "their classes differ or are in another order, so the classifier starts from random weights"
    if 1 in counts:
        return None, "the classifier starts from random weights: one of the two has a single output"

    # Match the classes by name.
    index_of = {name: index for index, name in enumerate(source_names)}
    rows = [(index, index_of[name]) for index, name in enumerate(target_names) if name in index_of]
    fresh = [name for name in target_names if name not in index_of]
    if not rows:
        return None, "they know none of the classes, so the classifier starts from random weights"
    notes = []
    if fresh:
        notes.append(f"{len(fresh)} classes that they do not know start from random weights ({_shortened(fresh)})")
    if any(a != b for a, b in rows):
        notes.append(
            f"the classifier's {len(rows)} other classes are taken by name" if fresh else "classes are taken by name"
        )
    return rows, "; ".join(notes)


def _set_rows(layer: Any, trained: Any, rows: list[tuple[int, int]]) -> None:
    """Copy the weights of some outputs of a trained layer to another layer's."""
    to, of = (list(part) for part in zip(*rows, strict=True))
    values = []
    for current, new in zip(layer.get_weights(), trained.get_weights(), strict=True):
        value = np.array(current)
        value[..., to] = new[..., of]
        values.append(value)
    give_weights(layer, values)


def _shortened(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(map(str, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def pixel_scaling(entries: Sequence[Mapping[str, Any]]) -> Scaling:
    """The scaling that the layers at a structure's input apply, taken together."""
    scale, offset = np.array(1.0), np.array(0.0)
    pixels: list[int | None] = [None]
    for index, entry in enumerate(entries):
        if len(entry["inputs"]) != 1 or entry["inputs"][0] not in pixels:
            continue
        if entry["class"] == "Rescaling":
            factor = np.asarray(entry["config"]["scale"], float)
            scale, offset = scale * factor, offset * factor + np.asarray(entry["config"]["offset"], float)
        if entry["class"] in ("Rescaling", *IDLE):
            pixels.append(index)
    return scale, offset


def same_scaling(one: Scaling, other: Scaling) -> bool:
    """Whether two scalings agree, up to rounding."""
    try:
        return all(np.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(one, other, strict=True))
    except ValueError:  # the numbers of channels differ
        return False


def _in_words(scaling: Scaling) -> str:
    """``"times 0.0039 plus -0.5"``, or ``"as they are"``."""
    scale, offset = (", ".join(f"{value:.4g}" for value in np.unique(part)) for part in scaling)
    if (scale, offset) == ("1", "0"):
        return "as they are"
    return f"times {scale}" if offset == "0" else f"times {scale} plus {offset}"
