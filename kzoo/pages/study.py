"""The page of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def study_page(study: Any, results: Any, path: str | Path) -> Path:
    """Write the page of a study."""
    raise NotImplementedError
