"""The options of a run that do not affect its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
from rich.console import Console

from kzoo.training.build import Data
from kzoo.training.extending import Extended


@dataclass(frozen=True)
class Options:
    """The arguments of `kzoo.train` apart from the recipe and the model.

    Attributes:
        data_dir, progress, checkpoint_minutes, diagnostics: as for `kzoo.train`.
        callbacks: as for `kzoo.train`; if None, those of a finished run are not compared.
        data: the recipe's data, if it is loaded already.
        test: whether to read the test part at the end. A search does not: it would read it once per trial.
        until: end after this many of the recipe's epochs.
        begin: the run that this new one extends.
    """

    data_dir: str | Path | None = None
    callbacks: Sequence[keras.callbacks.Callback] | None = ()
    progress: bool | Console = True
    checkpoint_minutes: float = 3.0
    diagnostics: bool = True
    data: Data | None = None
    test: bool = True
    until: int | None = None
    begin: Extended | None = None
