"""Reads the description of a prepared dataset without tensorflow-datasets: parts, features, files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kzoo.data.part_names import EVALUATION, TEST, TRAIN, VALIDATION, part_name
from kzoo.errors import InputError, some

PARTS = (TRAIN, VALIDATION, TEST)
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


class Damaged(InputError):
    """A description that lacks required entries."""


@dataclasses.dataclass(frozen=True)
class Description:
    """A prepared dataset, by its description.

    Attributes:
        file_format: of its files, such as ``"tfrecord"``.
        splits: the name of the split for each part.
        lengths: examples in each file, by the name of the split.
        sizes: bytes, by the name of the split.
        left_out: names of splits that are not parts.
        image: the image feature, as ``"image"`` or ``"inner/image"``.
        label: the label feature likewise.
        varying: whether images may have several sizes.
        notes: what was guessed, a line each.
    """

    file_format: str
    splits: dict[str, str]
    lengths: dict[str, list[int]]
    sizes: dict[str, int]
    left_out: tuple[str, ...]
    image: str
    label: str
    varying: bool
    notes: tuple[str, ...]


def describe(prepared: Path, *, called: str, image: str | None = None, label: str | None = None) -> Description:
    """Read the description of a prepared dataset.

    Raises:
        Damaged: the description is incomplete.
        InputError: the features are not those of image classification, or there are several to choose from.
        OSError: a file cannot be read.
    """
    try:
        return _described(prepared, called, image, label)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # JSON, but not of the right kind
        raise Damaged(f"its description is damaged ({error})") from None


def _described(prepared: Path, called: str, image: str | None, label: str | None) -> Description:
    try:
        info = json.loads((prepared / "dataset_info.json").read_text(encoding="utf-8"))
        lengths = {split["name"]: [int(n) for n in split.get("shardLengths", ())] for split in info["splits"]}
        sizes = {split["name"]: int(split.get("numBytes", 0)) for split in info["splits"]}
        declared = _declared(info)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise Damaged(f"its dataset_info.json is damaged ({why})") from None
    splits, left_out = parts_of([name for name, counts in lengths.items() if sum(counts)], called)

    # The features; of several of a kind, the requested one or the one that the dataset declares.
    if not (prepared / "features.json").is_file():
        raise Damaged("its features.json is missing")
    try:
        content = json.loads((prepared / "features.json").read_text(encoding="utf-8"))
        features = dict(_features(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"its features.json is damaged ({error})") from None
    images = [name for name, feature in features.items() if "image" in feature]
    labels = [name for name, feature in features.items() if "classLabel" in feature]
    chosen_image, guess = _chosen("image", image, images, images, declared.get("image"), features, called)
    numbers = [name for name, feature in features.items() if _is_number(feature)]
    chosen_label, other_guess = _chosen(
        "label", label, labels, [*labels, *numbers], declared.get("label"), features, called
    )
    dimensions = features[chosen_image]["image"].get("shape", {}).get("dimensions", [])
    return Description(
        file_format=str(info.get("fileFormat", "tfrecord")),
        splits=splits,
        lengths=lengths,
        sizes=sizes,
        left_out=left_out,
        image=chosen_image,
        label=chosen_label,
        varying=len(dimensions) != 3 or any(int(size) < 1 for size in dimensions),
        notes=(*guess, *other_guess),
    )


def parts_of(splits: list[str], called: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The splits that are parts, by part, and the names of the others.

    A part is the split with exactly its name, else the one with a usual name of the part.

    Raises:
        InputError: several splits have usual names of one part, none of them the exact one.
    """
    chosen = {part: part for part in PARTS if part in splits}
    usual: dict[str, list[str]] = {}
    for name in splits:
        part, rest = part_name(name)
        if part is not None and not rest and not any(sign.isdigit() for sign in name):
            usual.setdefault(part, []).append(name)
    if EVALUATION in usual:
        usual.setdefault(VALIDATION if TEST in usual else TEST, []).extend(usual[EVALUATION])
    for part in PARTS:
        names = usual.get(part, [])
        if part not in chosen and len(names) > 1:
            raise InputError(f"dataset {called!r} has several splits for the {part} part: {some(names)}")
        if part not in chosen and names:
            chosen[part] = names[0]
    return chosen, tuple(name for name in splits if name not in chosen.values())


def _features(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every feature with its path, including those in dictionaries but not those in sequences."""
    for name, feature in content["featuresDict"]["features"].items():
        if "featuresDict" in feature:
            yield from _features(feature, f"{prefix}{name}/")
        else:
            yield prefix + name, feature


def _is_number(feature: Mapping[str, Any]) -> bool:
    """Whether a feature is a single whole number, which can serve as a label if the user chooses it."""
    tensor = feature.get("tensor")
    if not isinstance(tensor, Mapping):
        return False
    return not tensor.get("shape", {}).get("dimensions") and tensor.get("dtype") in _INTEGERS


def _declared(info: Mapping[str, Any]) -> dict[str, str]:
    """The features that the dataset declares as input and target of supervised learning."""
    items = info.get("supervisedKeys", {}).get("tuple", {}).get("items", [])
    keys = [item.get("featureKey") for item in items[:2]]
    return dict(zip(("image", "label"), keys, strict=True)) if len(keys) == 2 and all(keys) else {}


def _chosen(
    kind: str,
    requested: str | None,
    candidates: list[str],
    possible: list[str],
    declared: str | None,
    features: Mapping[str, Any],
    called: str,
) -> tuple[str, tuple[str, ...]]:
    """The feature to take, and a line if it was guessed."""
    other = "label=..." if kind == "image" else "image=..."
    if requested is not None:
        if requested not in possible:
            raise InputError(
                f"dataset {called!r} has no {kind} feature {requested!r}: allowed are {some(possible) or 'none'}; it "
                f"has {_with_kinds(features)}"
            )
        return requested, ()

    # The only one, or the declared one; several or none are errors.
    if len(candidates) == 1:
        return candidates[0], ()
    if declared in candidates:
        rest = some(name for name in candidates if name != declared)
        return str(declared), (f"dataset {called!r}: {kind} feature {declared!r} is taken, not {rest} (?{kind}=...)",)
    if candidates:
        raise InputError(
            f"dataset {called!r} has several {kind} features, {some(candidates)}: choose one, as in "
            f"'tfds:{called}?{kind}={candidates[0]}' (add &{other} to choose both)"
        )
    hint = f"; whole numbers that can serve as labels, with ?label=...: {some(possible)}" if possible else ""
    raise InputError(
        f"dataset {called!r} has no {kind} feature, so it is not for image classification: it has "
        f"{_with_kinds(features)}{hint}"
    )


def _with_kinds(features: Mapping[str, Any]) -> str:
    """``"image (Image), label (Text)"``: the kinds show why a feature cannot be taken."""
    classes = {n: f.get("pythonClassName", "") if isinstance(f, Mapping) else "" for n, f in features.items()}
    kinds = {name: str(path).rpartition(".")[2] for name, path in classes.items()}
    return some(f"{name} ({kind})" if kind else name for name, kind in kinds.items())
