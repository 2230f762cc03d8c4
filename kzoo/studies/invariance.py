"""Records of how a trained run's predictions change when the test images are shifted or turned (no Keras).

benchmarks/invariance.py writes them to ``results/invariance/``, one for each run; `kzoo.diagnostics.invariance`
describes the measurement. A record belongs to the run with the same digest, at any budget.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from kzoo.errors import InputError
from kzoo.schemas import Frozen, read_record

SCHEMA_VERSION = 1
FOLDER = "invariance"
"""Directory in `results/` with these records."""


class InvarianceRecord(Frozen):
    """The measurements of one run.

    Attributes:
        schema_version: the version of this schema; newer ones are refused.
        name, digest: the run, measured with its best weights.
        images: the number of test images.
        fill: the value of pixels from outside the image: ``"edge"`` or ``"black"``.
        shifts: pixels; `shift_accuracy` and `shift_agreement` (shares, by shift) are means over four directions.
        angles: degrees; `angle_accuracy` and `angle_agreement` (shares, by angle) are means over both directions.
        versions, backend, hardware, git_commit: the environment of the measurement.
    """

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
        """The share after a change; None if it was not measured.

        Args:
            measure: ``"accuracy"``, or ``"agreement"`` with the predictions for the unchanged images.
            change: ``"shift"`` or ``"angle"``.
            size: pixels or degrees.
        """
        sizes = getattr(self, f"{change}s")
        return getattr(self, f"{change}_{measure}")[sizes.index(size)] if size in sizes else None


def read_invariance(path: Path) -> InvarianceRecord:
    """The record in a file.

    Raises:
        InputError: the record is damaged, of a newer schema, or its parts contradict each other.
    """
    what, advice = "record of invariance", ": restore it or measure again"
    record = read_record(path, InvarianceRecord, what, SCHEMA_VERSION, advice)
    for change in ("shift", "angle"):
        sizes = getattr(record, f"{change}s")
        for measure in ("accuracy", "agreement"):
            if len(getattr(record, f"{change}_{measure}")) != len(sizes):
                counts = f"it has {len(sizes)} {change}s but a different number of values"
                raise InputError(f"{what} {str(path)!r} was changed: {counts}")
    return record
