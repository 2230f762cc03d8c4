"""What a run's directory holds of the network itself: weights over epochs, and its architecture as a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kzoo.pages.charts import Chart
from kzoo.pages.document import Absent
from kzoo.training.records import Result

if TYPE_CHECKING:
    from kzoo.training.saved_run import Run


@dataclass(frozen=True)
class Drawing:
    """The architecture: a sentence, and the drawing as the address of an SVG with a text in its place."""

    text: str
    source: str
    alt: str


def weight_charts(run: Run | None) -> list[Chart] | Absent:
    """Histograms of weights over epochs."""
    return Absent("The run keeps no histograms of its weights.")


def architecture(record: Result, run: Run | None) -> Drawing | Absent:
    """The layers of the network and how they are joined."""
    return Absent("The network cannot be built from the record alone.")
