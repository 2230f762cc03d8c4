"""What a test of a claim is, alone or combined with others, and the tests that read no records (no Keras)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kzoo.errors import InputError
from kzoo.studies import metrics
from kzoo.studies.budget import FULL
from kzoo.studies.margin import at_chance, left_out, values_text
from kzoo.studies.study import HOLDS, INCONCLUSIVE, NOT_ENOUGH, REFUTED, TOO_SMALL, Verdict

if TYPE_CHECKING:
    from kzoo.studies.records import BudgetRecords


class ClaimTest:
    """Base class: a function of the records of one budget. Two tests with the same arguments are equal.

    Attributes:
        labels: the runs whose records the test reads.
        metric: the metric that it reads; empty if there is no single one.
    """

    def __init__(self, labels: Sequence[str] = (), metric: str = "") -> None:
        """Read `metric` of the runs `labels`."""
        self.labels = tuple(labels)
        self.metric = metric

    def __call__(self, records: BudgetRecords) -> Verdict:
        """The verdict of these records."""
        return self.missing(records) or self.judge(records)

    def missing(self, records: BudgetRecords) -> Verdict | None:
        """The verdict if records or values are missing, otherwise None."""
        return self.unrecorded(records) or self.unmeasured(records)

    def judge(self, records: BudgetRecords) -> Verdict:
        """The verdict if nothing is missing."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[Any, ...]:
        """The single tests that this one combines."""
        return (self,)

    def unrecorded(self, records: BudgetRecords) -> Verdict | None:
        """Not enough runs, if a run has no record."""
        absent = [label for label in self.labels if not records.has(label)]
        return Verdict(NOT_ENOUGH, f"not recorded: {', '.join(absent)}") if absent else None

    def unmeasured(self, records: BudgetRecords) -> Verdict | None:
        """Not enough runs, or too small a budget for the metric, if a run has no value of it."""
        absent = [label for label in self.labels if self.metric and not records.values(label, self.metric)]
        if not absent:
            return None
        definition = metrics.metric(self.metric)
        shortened = records.budget != FULL and definition.needs_epochs and any(map(records.completed, absent))
        return Verdict(TOO_SMALL if shortened else NOT_ENOUGH, f"{definition.title}: no value for {', '.join(absent)}")

    def untrained(self, records: BudgetRecords) -> Verdict | None:
        """Too small a budget, if all runs still guess: nothing follows from their being alike."""
        if not all(at_chance(records, label, self.metric) for label in self.labels):
            return None
        text = values_text(records, self.labels, self.metric)
        return Verdict(TOO_SMALL, f"{text}: none of them has learned anything yet")

    def decide(self, records: BudgetRecords, parts: Iterable[bool | None], evidence: str) -> Verdict:
        """The verdict from parts that must all be true; None is a part that depends on runs that the means leave out.

        A false part refutes the claim, whatever the others are.
        """
        found = set(parts)
        if None not in found or False in found:
            return verdict(found <= {True}, evidence)
        left = (left_out(records, label, self.metric) for label in self.labels)
        return Verdict(NOT_ENOUGH, "; ".join([evidence, *dict.fromkeys(filter(None, left))]))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.labels, self.metric))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class AllOf(ClaimTest):
    """Every one of the tests holds."""

    def __init__(self, *tests: Callable[[BudgetRecords], Verdict]) -> None:
        """Combine one or more tests.

        Raises:
            InputError: there are none, as for a `Best` or `Ranking` of a single run.
        """
        if not tests:
            raise InputError(f"{type(self).__name__} combines no tests: it needs a run to compare with")
        super().__init__(list(dict.fromkeys(label for test in tests for label in getattr(test, "labels", ()))))
        self.tests = tests

    @property
    def parts(self) -> tuple[Any, ...]:
        """The single tests, without combinations."""
        return tuple(part for test in self.tests for part in getattr(test, "parts", (test,)))

    def __call__(self, records: BudgetRecords) -> Verdict:
        """The first status in this order that any of the tests has, with the evidence of the tests that have it."""
        verdicts = [test(records) for test in self.tests]
        statuses = {verdict.status for verdict in verdicts}
        status = next(s for s in (TOO_SMALL, REFUTED, INCONCLUSIVE, NOT_ENOUGH, HOLDS) if s in statuses)
        evidence = [verdict.evidence for verdict in verdicts if verdict.status == status]
        return Verdict(status, "; ".join(dict.fromkeys(evidence)))


class NotRecorded(ClaimTest):
    """No record can decide the claim; `why` says what would have to be measured."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why

    def judge(self, records: BudgetRecords) -> Verdict:
        """Inconclusive, whatever the records."""
        return Verdict(INCONCLUSIVE, self.why)


class Computed(ClaimTest):
    """The claim follows from the architectures alone; `compute` returns whether it holds, and the evidence."""

    def __init__(self, compute: Callable[[], tuple[bool, str]]) -> None:
        super().__init__()
        self.compute = compute

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compute; the records are not used."""
        return verdict(*self.compute())


def verdict(holds: bool, evidence: str) -> Verdict:
    """The verdict of a test that can only hold or not hold."""
    return Verdict(HOLDS if holds else REFUTED, evidence)
