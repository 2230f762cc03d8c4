"""What a study is: a question, a named list of recipes, the reported figures, the claims (plain data, no Keras)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kzoo import notebook
from kzoo.errors import InputError
from kzoo.recipes.schema import Recipe
from kzoo.studies import metrics

if TYPE_CHECKING:
    from kzoo.studies.results import Results

Status = Literal["holds", "does not hold", "not enough runs", "too small a budget"]


@dataclass(frozen=True)
class Verdict:
    """What the records of one budget say of a claim.

    Attributes:
        status: ``"holds"``, ``"does not hold"``, ``"not enough runs"``, or ``"too small a budget"``, where a network
            that the claim says to learn is itself at chance in shortened runs.
        evidence: the figures that it rests on, with the number of runs.
    """

    status: Status
    evidence: str


@dataclass(frozen=True)
class Entry:
    """One run of a study.

    Attributes:
        recipe: what is trained; its own seed is the first of the seeds.
        label: names the run within the study.
        reported: the report's figures, by the names of `kzoo.studies.metrics`.
        note: what a reader of the figures should know.
        why: why our figure at the full budget is further from the reported one than the number of test images
            explains, or what was tried to find out; see `kzoo.studies.differences`.
    """

    recipe: Recipe
    label: str
    reported: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    why: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim in words.

    Attributes:
        text: the claim, in our words.
        source: where it is made, e.g. ``"report a, section 4.2"``.
        test: gives the verdict from the records of one budget, see `kzoo.studies.claims`.
    """

    text: str
    source: str
    test: Callable[[Results], Verdict]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the runs that the test looks at, as far as it says so."""
        return tuple(getattr(self.test, "labels", ()))


@dataclass(frozen=True)
class Study:
    """A question, and the runs that answer it.

    Attributes:
        name: as commands take it.
        report: letter of the report, or ``"ours"``.
        question: one sentence that ends in a question mark.
        entries: the runs.
        claims: what the report says of them.
        columns: metrics that tables show, see `kzoo.studies.metrics`.
        notes: what a reader of the tables should know.
    """

    name: str
    report: str
    question: str
    entries: tuple[Entry, ...]
    claims: tuple[Claim, ...] = ()
    columns: tuple[str, ...] = ("val_accuracy", "best_val_accuracy", "test_accuracy")
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be a study: labels given twice, unknown labels or metrics.

        Raises:
            InputError: names the study and what is wrong.
        """
        what = f"study {self.name!r}"
        if not self.entries:
            raise InputError(f"{what} has no entries")
        labels = self.labels
        for label in labels:
            if labels.count(label) > 1:
                raise InputError(f"{what} has two entries labelled {label!r}")
        for claim in self.claims:
            for label in claim.labels:
                if label not in labels:
                    raise InputError(f"{what}: claim {claim.text!r} is about {label!r}, which is no entry of it")
        for name in [*self.columns, *(name for entry in self.entries for name in entry.reported)]:
            metrics.check(name)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the entries, in order."""
        return tuple(entry.label for entry in self.entries)

    def entry(self, label: str) -> Entry:
        """The entry of a label.

        Raises:
            InputError: there is none.
        """
        for entry in self.entries:
            if entry.label == label:
                return entry
        raise InputError(f"study {self.name!r} has no entry {label!r}: it has {', '.join(map(repr, self.labels))}")

    def __repr__(self) -> str:
        return f"Study({self.name!r}: {len(self.entries)} runs, {len(self.claims)} claims; {self.question})"

    def _repr_html_(self) -> str:
        rows = []
        for entry in self.entries:
            told = "; ".join(f"{metrics.metric(k).title} {metrics.write(k, v)}" for k, v in entry.reported.items())
            recipe = entry.recipe
            rows.append((entry.label, recipe.name, recipe.model, recipe.dataset, f"{recipe.epochs:,}", told or None))
        header = ("run", "recipe", "model", "dataset", "epochs", "reported")
        claims = notebook.table(("claim", "source"), [(c.text, c.source) for c in self.claims], left=(0, 1))
        table = notebook.table(header, rows, left=(0, 1, 2, 3, 5))
        return notebook.heading(self.name, self.question) + table + (claims if self.claims else "")

    def to_dict(self) -> dict[str, Any]:
        """The study as JSON data; recipes by name."""
        return {
            "name": self.name,
            "report": self.report,
            "question": self.question,
            "entries": [
                {"label": e.label, "recipe": e.recipe.name, "reported": dict(e.reported), "note": e.note}
                for e in self.entries
            ],
            "claims": [{"text": c.text, "source": c.source} for c in self.claims],
            "columns": list(self.columns),
            "notes": list(self.notes),
        }
