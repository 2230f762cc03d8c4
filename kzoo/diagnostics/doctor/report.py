"""The doctor's report: findings with their evidence, checks that were fine, and checks not done (no Keras)."""

from __future__ import annotations

import dataclasses
import textwrap
from dataclasses import dataclass, field
from typing import Any

from kzoo import notebook
from kzoo.files import finite

KINDS: dict[str, str] = {
    "inputs out of range": "Pixels are on a different scale than the network expects.",
    "labels not explained by pixels": "A linear classifier does no better than guessing.",
    "class never occurs": "The network has an output for a class that no image shows.",
    "indistinguishable classes": "Two classes cannot be distinguished, although all others can.",
    "constant layer": "All units of a layer have the same weights, often zero, so they compute the same value.",
    "dead units": "Units with a ReLU return zero for every image, so no gradient reaches their weights.",
    "vanishing gradients": "Gradients shrink from the last layer to the first until the first ones learn nothing.",
    "exploding gradients": "Gradients or outputs grow from layer to layer until a step destroys the weights.",
    "BatchNorm statistics": "The moving averages of BatchNorm differ from the data, or cannot follow them.",
    "learning rate too high": "A step changes the weights by about their own size, or the loss rises.",
    "learning rate too low": "A step changes the weights and the loss by almost nothing.",
    "loss not finite": "The loss, its gradients or the weights are not finite.",
    "loss not moving": "The training loss stays at the level of guessing.",
    "train/validation gap": "The network is much more accurate on its training images than on others.",
}
"""Every kind of finding and its meaning, in the order of the report: causes before their effects."""


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        kind: one of `KINDS`.
        layers: paths of the affected layers, in the order of computation; empty if it concerns no particular layer.
        evidence: what the doctor saw, in words and numbers.
        values: the same numbers as data.
        suggestion: one change to try first.
    """

    kind: str
    layers: tuple[str, ...]
    evidence: str
    values: dict[str, Any]
    suggestion: str

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind


@dataclass(frozen=True)
class Note:
    """A check without a finding: its name, and the value that is fine, or why the check was not done."""

    check: str
    text: str


@dataclass
class Diagnosis:
    """The doctor's report on one network.

    Attributes:
        subject: what was examined, in words.
        findings: what is wrong, in the order of `KINDS`.
        fine: checks without a finding.
        unchecked: checks that were not done, and what they need.
    """

    subject: str
    findings: list[Finding] = field(default_factory=list)
    fine: list[Note] = field(default_factory=list)
    unchecked: list[Note] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the findings, each once."""
        return tuple(dict.fromkeys(finding.kind for finding in self.findings))

    def to_dict(self) -> dict[str, Any]:
        """As JSON data: subject, healthy, findings, fine, unchecked; None replaces numbers that are not finite."""
        return {
            "subject": self.subject,
            "healthy": self.healthy,
            "findings": [finite(dataclasses.asdict(one)) for one in self.findings],
            "fine": [dataclasses.asdict(note) for note in self.fine],
            "unchecked": [dataclasses.asdict(note) for note in self.unchecked],
        }

    def __repr__(self) -> str:
        kinds = ", ".join(self.kinds) or "healthy"
        return f"Diagnosis({self.subject!r}: {kinds}, {len(self.fine)} checks fine, {len(self.unchecked)} not done)"

    def _repr_html_(self) -> str:
        rows = [(f.kind, f.evidence, shortened(f.layers), sentence(f.suggestion)) for f in self.findings]
        text = ", ".join(self.kinds) or "healthy"
        parts = [notebook.heading(self.subject, text)]
        if rows:
            parts.append(notebook.table(("finding", "seen", "layers", "try"), rows, left=(0, 1, 2, 3)))
        for title, notes in (("Fine", self.fine), ("Not checked", self.unchecked)):
            if notes:
                parts.append(notebook.table((title, ""), [(n.check, n.text) for n in notes], left=(0, 1)))
        return "".join(parts)

    def __str__(self) -> str:
        count = len(self.findings)
        lines = [f"{self.subject}: {'healthy' if not count else f'{count} finding' + 's' * (count > 1)}"]
        for number, finding in enumerate(self.findings, 1):
            lines.append(f"\n{number}. {sentence(finding.kind)}")
            lines += _wrapped("Seen:   ", finding.evidence)
            if finding.layers:
                lines += _wrapped("Layers: ", shortened(finding.layers))
            lines += _wrapped("Try:    ", sentence(finding.suggestion))
        for title, notes in (("Fine", self.fine), ("Not checked", self.unchecked)):
            if notes:
                lines.append(f"\n{title}:")
                for text in dict.fromkeys(note.text for note in notes):  # notes with the same reason share a line
                    checks = ", ".join(note.check for note in notes if note.text == text)
                    lines += _wrapped("- ", f"{checks}: {text}")
        return "\n".join(lines)


def shortened(layers: tuple[str, ...], most: int = 4) -> str:
    """Layer names as text; if there are many, the first ones, the last one and their number."""
    if len(layers) <= most:
        return ", ".join(layers)
    return f"{', '.join(layers[: most - 1])} ... {layers[-1]} ({len(layers)} in all)"


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def digits(value: float) -> str:
    """A number with three significant digits."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e7 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share as a percentage; only exact values read 100% or 0%."""
    if 0 < share < 0.001 or 0.999 < share < 1:
        return "under 0.1%" if share < 0.5 else "over 99.9%"
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}" if share < 0.995 or share == 1 else f"{share:.1%}"


def _wrapped(label: str, text: str) -> list[str]:
    indent = "   " if label[0] != "-" else "  "
    return textwrap.wrap(
        text, 100, initial_indent=indent + label, subsequent_indent=indent + " " * len(label), break_long_words=False
    )
