"""Names of datasets of tensorflow-datasets: ``NAME[/CONFIG][?image=FEATURE&label=FEATURE]``."""

from __future__ import annotations

import re
from typing import NamedTuple

from kzoo.errors import InputError

PREFIX = "tfds:"
FORM = "tfds:NAME[/CONFIG][?image=FEATURE&label=FEATURE]"
_NAME = re.compile(r"[A-Za-z]\w*(/[\w.+-]+)?", re.ASCII)
_FEATURE = re.compile(r"[\w.-]+(/[\w.-]+)*")


class TfdsName(NamedTuple):
    """``dataset`` or ``dataset/config``, and the features to read; a None is looked up."""

    name: str
    image: str | None = None
    label: str | None = None


def parse(text: str) -> TfdsName:
    """Parse what follows ``tfds:``.

    Raises:
        InputError: the text is not of that form; the message shows the form.
    """
    name, mark, query = text.partition("?")
    if re.fullmatch(r".+:\d+\.\d+\.\d+", name):
        raise InputError(f"dataset 'tfds:{text}': a version cannot be chosen: the newest prepared one is read")
    if not _NAME.fullmatch(name):
        raise InputError(f"dataset 'tfds:{text}' must be of the form {FORM}")
    chosen: dict[str, str] = {}
    for pair in query.split("&") if mark else ():
        key, _, feature = pair.partition("=")
        if key not in ("image", "label") or key in chosen or not _FEATURE.fullmatch(feature):
            raise InputError(f"dataset 'tfds:{text}': {pair!r} must be image=FEATURE or label=FEATURE, each once")
        chosen[key] = feature
    return TfdsName(name, **chosen)
