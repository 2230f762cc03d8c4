"""What a study is: a question, its runs, the reported values and the claims (plain data, no Keras)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kzoo import notebook
from kzoo.errors import InputError
from kzoo.recipes import get_recipe
from kzoo.recipes.schema import Recipe
from kzoo.studies import metrics
from kzoo.studies.record_files import RESERVED

if TYPE_CHECKING:
    from kzoo.studies.records import BudgetRecords

Status = Literal["holds", "does not hold", "not enough runs", "too small a budget", "inconclusive"]
HOLDS: Status = "holds"
REFUTED: Status = "does not hold"
NOT_ENOUGH: Status = "not enough runs"
TOO_SMALL: Status = "too small a budget"
INCONCLUSIVE: Status = "inconclusive"
DECIDED = (HOLDS, REFUTED)
SCORES = ("train_accuracy", "val_accuracy", "best_val_accuracy", "test_accuracy", "gap")
"""Columns that many studies begin with."""


@dataclass(frozen=True)
class Verdict:
    """What the records of one budget say about a claim.

    Attributes:
        status: ``"holds"`` or ``"does not hold"``. ``"not enough runs"`` if more runs could decide;
            ``"too small a budget"`` if longer training could; ``"inconclusive"`` if no number of runs would settle the
            claim.
        evidence: the values that the verdict rests on, with the number of runs.
    """

    status: Status
    evidence: str


@dataclass(frozen=True)
class Entry:
    """One run of a study.

    Attributes:
        recipe: the recipe that the run trains; its seed is the first of the seeds.
        label: the run's name within the study.
        reported: the report's values, by the names of `kzoo.studies.metrics`.
        note: a remark for readers of the values.
        why: the reason why our value at the full budget differs from the reported one by more than the number of test
            images explains, or what was tried to find the reason; see `kzoo.studies.differences`.

    Example:
        >>> kzoo.Entry(kzoo.get_recipe("rescue/bn"), "BN", {"val_accuracy": 0.4616}).label
        'BN'
    """

    recipe: Recipe
    label: str
    reported: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    why: str = ""


def entries(
    recipes: Mapping[str, str],
    reported: Mapping[str, Mapping[str, float]] | None = None,
    notes: Mapping[str, str] | None = None,
) -> tuple[Entry, ...]:
    """Entries from names of recipes.

    Args:
        recipes: by label, the name of a recipe.
        reported: by label, the report's values; labels that are not among `recipes` are ignored.
        notes: by label, remarks for readers of the values.
    """
    values, remarks = reported or {}, notes or {}
    return tuple(
        Entry(get_recipe(name), label, values.get(label, {}), remarks.get(label, "")) for label, name in recipes.items()
    )


@dataclass(frozen=True)
class Claim:
    """One claim in words.

    Attributes:
        text: the claim, in our words.
        source: where the report makes it, e.g. ``"report a, section 4.2"``.
        test: returns the verdict of the records of one budget; see `kzoo.studies.claims`.

    Example:
        >>> kzoo.get_study("rescue").claims[0].source
        'report a, section 3'
    """

    text: str
    source: str
    test: Callable[[BudgetRecords], Verdict]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the runs that the test reads, as far as it lists them."""
        return tuple(getattr(self.test, "labels", ()))

    @property
    def parts(self) -> tuple[Any, ...]:
        """The single tests that the claim's test combines."""
        return tuple(getattr(self.test, "parts", (self.test,)))


def claims(by_source: Mapping[str, Mapping[str, Callable[[BudgetRecords], Verdict]]]) -> tuple[Claim, ...]:
    """Claims from their tests, by source and text."""
    return tuple(Claim(text, source, test) for source, tests in by_source.items() for text, test in tests.items())


@dataclass(frozen=True)
class Study:
    """A question, and the runs that answer it.

    Attributes:
        name: the name that commands take.
        report: the letter of the report, or ``"ours"``.
        question: one sentence that ends in a question mark.
        entries: the runs.
        claims: what the report claims about the runs.
        columns: the metrics that tables show; see `kzoo.studies.metrics`.
        notes: remarks for readers of the tables.

    Example:
        >>> entries = [kzoo.Entry(kzoo.get_recipe(f"rescue/{name}"), name) for name in ("vgg08", "vgg38")]
        >>> kzoo.Study("depth", report="ours", question="Does depth help?", entries=tuple(entries)).labels
        ('vgg08', 'vgg38')
    """

    name: str
    report: str
    question: str
    entries: tuple[Entry, ...]
    claims: tuple[Claim, ...] = ()
    columns: tuple[str, ...] = ("val_accuracy", "best_val_accuracy", "test_accuracy")
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that labels are unique and that all labels and metrics exist.

        Raises:
            InputError: a check fails, or there are no entries, or the name is reserved; the message names the study.
        """
        what = f"study {self.name!r}"
        if self.name in RESERVED:
            raise InputError(f"{what}: the directories {' and '.join(RESERVED)} of results hold other measurements")
        if not self.entries:
            raise InputError(f"{what} has no entries")

        # Labels
        labels = self.labels
        for label in labels:
            if labels.count(label) > 1:
                raise InputError(f"{what} has two entries labelled {label!r}")
        for claim in self.claims:
            for label in claim.labels:
                if label not in labels:
                    raise InputError(f"{what}: claim {claim.text!r} is about {label!r}, which is not an entry")

        # Metrics
        for name in [*self.columns, *(name for entry in self.entries for name in entry.reported)]:
            metrics.metric(name)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the entries, in order."""
        return tuple(entry.label for entry in self.entries)

    def entry(self, label: str) -> Entry:
        """The entry with a label.

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
            recipe = entry.recipe
            reported = metrics.write_all(entry.reported) or None
            rows.append((entry.label, recipe.name, recipe.model, recipe.dataset, f"{recipe.epochs:,}", reported))
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
