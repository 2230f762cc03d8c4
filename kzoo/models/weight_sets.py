"""Sets of trained weights: folders described by a ``set.json`` and checked by sha256 when they are read (no Keras).

A set is called ``MODEL:TAG``, e.g. ``lenet2-average:emnist``; the tag is the dataset's name unless its maker chose
another. The small ones come with the package; others are folders or URLs of a ``set.json``. A folder holds

- ``set.json``: a `WeightSet`;
- ``model.weights.h5``: the weights as Keras writes them;
- ``record.json``: the record of the run that made them;
- ``README.md``: a model card.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import urllib.parse
import warnings
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from kzoo.cache_folder import cache_folder, described, folder_for
from kzoo.errors import InputError, first_line, unknown
from kzoo.files import names_keras_file, user_path, write_atomically
from kzoo.schemas import check_version

SCHEMA_VERSION = 1
PACKAGED = Path(__file__).with_name("sets")
DESCRIPTION = "set.json"
WEIGHTS, RECORD, CARD = "model.weights.h5", "record.json", "README.md"
SECONDS = 30.0
"""Seconds that a download may stall."""


class WeightSet(BaseModel):
    """The content of ``set.json``.

    Attributes:
        schema_version: version of this schema; a newer one is refused.
        model: the registered model's name.
        tag: names the set among the model's.
        options: of the model's builder, in addition to the variant's.
        class_names: by label.
        input_shape: (height, width, channels) of the images that it was trained on.
        mean, std: subtrahend and divisor of the model's first layer, in units of pixels / 255; None for raw pixels.
        outline: of the trained model, see `kzoo.models.trained.outline`: a model must match it to take the weights.
        parameters: trainable ones.
        dtype: of the numbers in the weights file; the model's own is float32 in any case.
        size, sha256: of the weights file.
        metrics: test and best validation accuracy (shares), and losses, from the record; also with test-time
            augmentation if the run has it, and without validation if none was held out.
        epochs: completed epochs of training.
        images: training images, expansions included.
        digest: the run's identity.
        recipe: the run's resolved recipe.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # most commands read none
    schema_version: int = SCHEMA_VERSION
    model: str
    tag: str
    options: dict[str, Any]
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    outline: dict[str, list[Any]]
    parameters: int
    dtype: Literal["float32", "float16"] = "float32"
    size: int
    sha256: str
    metrics: dict[str, float]
    epochs: int
    images: int
    digest: str
    recipe: dict[str, Any]

    @property
    def name(self) -> str:
        """``MODEL:TAG``."""
        return f"{self.model}:{self.tag}"


def list_weights(pattern: str = "*") -> list[str]:
    """Names ``MODEL:TAG`` of the weight sets in the package.

    Args:
        pattern: wildcard for names; without a colon, for models.

    Example:
        >>> kzoo.list_weights("vgg08")
        ['vgg08:cifar10', 'vgg08:cifar100']
    """
    names = [f"{path.parent.parent.name}:{path.parent.name}" for path in PACKAGED.glob(f"*/*/{DESCRIPTION}")]
    return sorted(fnmatch.filter(names, pattern if ":" in pattern else f"{pattern}:*"))


def full_name(model: str, weights: str) -> str:
    """A set's reference, with a bare tag completed by the model's name."""
    return weights if is_file(weights) or is_reference(weights) else f"{model}:{weights}"


def is_file(weights: str) -> bool:
    """Whether `weights` means a weights file, which has no description."""
    return weights.endswith(".weights.h5") or names_keras_file(weights)


def is_reference(source: str) -> bool:
    """Whether `source` is written as a set's full name, folder, ``set.json`` or URL."""
    return _is_url(source) or "/" in source or ":" in source or Path(source, DESCRIPTION).is_file()


def open_set(source: str) -> tuple[WeightSet, Path]:
    """A set and its verified weights file.

    Args:
        source: ``MODEL:TAG``; a folder; the path or URL (http, https, file) of a ``set.json``.

    Returns:
        The set's description, and the path of its weights file after a check of size and sha256.

    Raises:
        InputError: there is no such set, it cannot be downloaded, or a file of it is missing or damaged.
    """
    folder = find_set(source)
    weight_set = describe(folder, source)
    _verify(weight_set, folder / WEIGHTS)
    return weight_set, folder / WEIGHTS


def find_set(source: str) -> Path:
    """The folder of a set, downloaded if need be; `source` as for `open_set`.

    Raises:
        InputError: there is no such set, or it cannot be downloaded.
    """
    if _is_url(source):
        return _downloaded(source)
    path = user_path(source)
    if ":" in source and not path.exists():
        return _packaged(source)
    if "/" in source or (path / DESCRIPTION).is_file() or path.is_file():
        return path.parent if path.name == DESCRIPTION else path
    raise InputError(f"weights={source!r}: a set's name is MODEL:TAG; there are {_names()}")


def describe(folder: Path, source: str) -> WeightSet:
    """The content of a folder's ``set.json``.

    Raises:
        InputError: the file is missing, damaged, or of a newer schema; the message names `source`.
    """
    path = folder / DESCRIPTION
    try:
        content = path.read_bytes()
    except OSError:
        is_run = (folder / "recipe.json").is_file()
        hint = f"; it is a run, and kzoo weights save {folder} makes a set of it" if is_run else ""
        raise InputError(
            f"weights={source!r}: there is no readable {str(path)!r}, so this is not a set of weights{hint}"
        ) from None
    return _parsed(content, source)


def _parsed(content: bytes, source: str) -> WeightSet:
    try:
        fields = json.loads(content)
        check_version(fields, f"set of weights {source!r}", SCHEMA_VERSION)
        return WeightSet(**fields)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(
            f"weights={source!r}: its {DESCRIPTION} is damaged ({first_line(error)}): get the set again"
        ) from None


def _verify(weight_set: WeightSet, path: Path) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"weights file {str(path)!r} cannot be read ({error.strerror}): get the set again") from None
    _check(content, weight_set, repr(str(path)))


def _check(content: bytes, weight_set: WeightSet, what: str) -> None:
    if len(content) != weight_set.size:
        raise InputError(f"weights file {what} has {len(content):,} bytes, not {weight_set.size:,}: get the set again")
    if hashlib.sha256(content).hexdigest() != weight_set.sha256:
        raise InputError(f"weights file {what} was changed: its sha256 is not {weight_set.sha256}; get the set again")


def _names() -> str:
    return ", ".join(list_weights()) or "none"


def _packaged(name: str) -> Path:
    model, _, tag = name.partition(":")
    if name not in list_weights():
        tags = [known.partition(":")[2] for known in list_weights(model)]
        if tags:
            raise unknown(f"weights of model {model!r}", tag, tags)
        raise InputError(f"weights={name!r}: no set of weights of {model!r} comes with kzoo; there are {_names()}")
    return PACKAGED / model / tag


def _is_url(source: str) -> bool:
    try:
        return urllib.parse.urlsplit(source).scheme in ("http", "https", "file")
    except ValueError as error:
        raise InputError(f"weights={source!r} is not a valid URL ({error})") from None


def _downloaded(url: str) -> Path:
    """The folder in the cache that holds a URL's set, downloaded first if it is missing.

    A set is downloaded once, because the content of a URL is assumed not to change; again only if its files in the
    cache are damaged.
    """
    names = "weights", hashlib.sha256(url.encode()).hexdigest()[:16]
    kept = cache_folder()
    if kept is not None and os.path.isfile(kept.joinpath(*names, DESCRIPTION)):
        cached = kept.joinpath(*names)
        try:
            _verify(describe(cached, url), cached / WEIGHTS)
            return cached
        except InputError as error:
            warnings.warn(f"the cached set of {url!r} is damaged, so it is downloaded again: {error}", stacklevel=2)
    if PurePosixPath(urllib.parse.urlsplit(url).path).name != DESCRIPTION:
        raise InputError(f"weights={url!r}: a URL must end in {DESCRIPTION}")
    description = _fetch(url, url)
    content = _fetch(urllib.parse.urljoin(url, WEIGHTS), url)
    _check(content, _parsed(description, url), repr(urllib.parse.urljoin(url, WEIGHTS)))
    folder = folder_for(*names)
    for name in (RECORD, CARD):
        with contextlib.suppress(InputError):  # a set can be used without its record and card
            _write(folder / name, _fetch(urllib.parse.urljoin(url, name), url))
    _write(folder / WEIGHTS, content)
    # The description comes last: a folder that has one is complete.
    _write(folder / DESCRIPTION, description)
    return folder


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda stream: stream.write(content))


def _fetch(url: str, source: str) -> bytes:
    # Imported here because they are slow to load, and every command needs this module.
    import http.client
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, urllib.error.URLError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"weights={source!r}: {url!r} cannot be downloaded ({reason}) and is not complete in the cache "
            f"({described()}). Offline, give the path of a copied folder"
        ) from None
