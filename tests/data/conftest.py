"""Fixtures for the data tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def cache() -> Path:
    """The test's own cache folder."""
    return Path(os.environ["KZOO_CACHE"])


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without data, and no variable that names a data folder."""
    for variable in ("KZOO_DATA_DIR", "TFDS_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def photos() -> np.ndarray:
    """Twelve images of 7 x 6 pixels, 3 channels: odd, even and not square on purpose."""
    return np.random.default_rng(7).integers(0, 256, (12, 7, 6, 3), np.uint8)
