"""Records of how far a trained run's answers survive when the test images are moved or turned (no Keras).

benchmarks/invariance.py writes them to ``results/invariance/``, one a run; `kzoo.diagnostics.invariance` says what is
measured. They belong to the run of their digest, at whatever budget it was trained.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from kzoo.errors import InputError
from kzoo.schemas import check_version

SCHEMA_VERSION = 1
FOLDER = "invariance"
"""Folder of `results/` with these records."""


class InvarianceRecord(BaseModel):
    """What was measured on one run.

    Attributes:
        schema_version: version of this schema; a newer one is refused.
        name, digest: of the run whose best weights were asked.
        images: test images that were asked.
        fill: what comes in from outside the image: ``"edge"`` or ``"black"``.
        shifts: pixels; `shift_accuracy` and `shift_agreement` (shares, by shift) are means over four directions.
        angles: degrees; `angle_accuracy` and `angle_agreement` (shares, by angle) are means over both senses.
        versions, backend, hardware, git_commit: with what it was measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int = SCHEMA_VERSION
    name: str
    digest: str
    images: int
    fill: Literal["edge", "black"]
    shifts: tuple[int, ...]
    shift_accuracy: tuple[float, ...]
    shift_agreement: tuple[float, ...]
    angles: tuple[float, ...]
    angle_accuracy: tuple[float, ...]
    angle_agreement: tuple[float, ...]
    versions: dict[str, str]
    backend: str
    hardware: dict[str, Any]
    git_commit: str | None

    def at(self, measure: str, change: str, size: float) -> float | None:
        """A share after a change; None where it was not measured.

        Args:
            measure: ``"accuracy"``, or ``"agreement"`` with the answers to the images as they are.
            change: ``"shift"`` or ``"angle"``.
            size: pixels or degrees.
        """
        sizes = getattr(self, f"{change}s")
        return getattr(self, f"{change}_{measure}")[sizes.index(size)] if size in sizes else None


def read_invariance(path: Path) -> InvarianceRecord:
    """The record in a file.

    Raises:
        InputError: it is damaged, of a newer schema, or its parts do not fit each other.
    """
    what = f"record of invariance {str(path)!r}"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        check_version(fields, what, SCHEMA_VERSION)
        record = InvarianceRecord(**fields)
    except (OSError, ValueError, TypeError, AttributeError, ValidationError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what} cannot be read ({str(error).splitlines()[0]}): restore it or measure anew") from None
    for change in ("shift", "angle"):
        sizes = getattr(record, f"{change}s")
        for measure in ("accuracy", "agreement"):
            if len(getattr(record, f"{change}_{measure}")) != len(sizes):
                raise InputError(f"{what} was changed: it has {len(sizes)} {change}s and another number of figures")
    return record
