"""Tests that compare two runs, or one run with each of several; the rule is in `kzoo.studies.claims` (no Keras)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from kzoo.errors import InputError
from kzoo.studies import metrics
from kzoo.studies.budget import FULL
from kzoo.studies.claims.base import AllOf, ClaimTest, verdict
from kzoo.studies.margin import ENOUGH_SEEDS, at_chance, exceeds, left_out, margin, value_text, values_text
from kzoo.studies.study import DECIDED, HOLDS, INCONCLUSIVE, NOT_ENOUGH, REFUTED, TOO_SMALL, Verdict

if TYPE_CHECKING:
    from kzoo.studies.records import BudgetRecords


class Higher(ClaimTest):
    """Run `a` has a higher value than run `b`, by more than `minimum` if stated."""

    sign: ClassVar[int] = 1

    def __init__(self, a: str, b: str, *, metric: str = "test_accuracy", minimum: float | None = None) -> None:
        super().__init__((a, b), metric)
        self.a, self.b, self.minimum = a, b, minimum

    def missing(self, records: BudgetRecords) -> Verdict | None:
        """As for every test, but a failed run decides."""
        return self.unrecorded(records) or self.failed(records) or self.unmeasured(records)

    @property
    def better(self) -> str:
        """The run that the claim calls better; empty if the metric has no better direction."""
        return {1: self.a, -1: self.b, 0: ""}[self.sign * metrics.metric(self.metric).better]

    def failed(self, records: BudgetRecords) -> Verdict | None:
        """The verdict if exactly one of the two runs failed and the other has a value: the failed one is worse."""
        failed = [label for label in self.labels if records.failed(label)]
        if len(failed) != 1 or not self.better:
            return None
        other = self.b if failed == [self.a] else self.a
        if not records.values(other, self.metric):
            return None
        text = f"{failed[0]} failed: its loss became NaN or infinite"
        if failed == [self.better]:
            return self.checked(records, Verdict(REFUTED, text))
        if at_chance(records, other, self.metric):
            return Verdict(TOO_SMALL, f"{text}; {other} has learned nothing yet")
        return self.checked(records, Verdict(HOLDS, text))

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare the means, which leave out the worst runs: undecided if that favours one of the two."""
        return self.checked(records, self.compare(records))

    def checked(self, records: BudgetRecords, found: Verdict) -> Verdict:
        """A verdict, undecided if it favours a run whose mean leaves out the worst seeds."""
        if found.status not in DECIDED or not self.better:
            return found
        a_is_better = (found.status == HOLDS) == (self.better == self.a)
        left = left_out(records, self.a if a_is_better else self.b, self.metric)
        return Verdict(NOT_ENOUGH, f"{found.evidence}; {left}") if left else found

    def compare(self, records: BudgetRecords) -> Verdict:
        """Compare the means."""
        text = values_text(records, self.labels, self.metric)
        larger = self.a if self.sign > 0 else self.b
        if at_chance(records, larger, self.metric):
            return Verdict(TOO_SMALL, f"{text}: {larger} has learned nothing yet")

        # Beyond the margin the difference decides; within it, the number of seeds.
        claimed = self.sign * (records.mean(self.a, self.metric) - records.mean(self.b, self.metric))
        needed = margin(records, self.a, self.b, self.metric, self.minimum)
        if exceeds(claimed, needed):
            return Verdict(HOLDS, text)
        seeds = min(len(records.values(label, self.metric)) for label in self.labels)
        if exceeds(-claimed, needed) or seeds >= ENOUGH_SEEDS or metrics.metric(self.metric).kind == "count":
            return Verdict(REFUTED, text)
        return Verdict(NOT_ENOUGH, f"{text}: within the margin of {metrics.write(self.metric, needed)}")


class Lower(Higher):
    """Run `a` has a lower value than run `b`, by more than `minimum` if stated."""

    sign = -1


class Faster(Lower):
    """Run `a` reaches a validation accuracy of `percent` in fewer epochs than run `b`, which may never reach it."""

    def __init__(self, a: str, b: str, *, percent: int) -> None:
        super().__init__(a, b, metric=f"epochs_to_{percent}")
        self.percent = percent

    def failed(self, records: BudgetRecords) -> Verdict | None:
        """The verdict if exactly one of the runs failed, or if one or (at a shortened budget) both never reached it."""
        never = [label for label in self.labels if not records.values(label, self.metric)]
        decided = super().failed(records)
        if len(never) == 2 and records.budget != FULL and any(map(records.completed, never)):
            return Verdict(TOO_SMALL, f"neither {self.a} nor {self.b} reached {self.percent}% yet")
        if decided or len(never) != 1:
            return decided
        reached = self.a if never == [self.b] else self.b
        text = f"{never[0]} never reached {self.percent}%; {value_text(records, reached, self.metric)}"
        return self.checked(records, Verdict(HOLDS if reached == self.a else REFUTED, text))


class OverfitsMore(Higher):
    """The training accuracy of run `a` exceeds its test accuracy by more than that of run `b`."""

    def __init__(self, a: str, b: str) -> None:
        super().__init__(a, b, metric="gap")


class OverfitsSooner(Lower):
    """The validation loss of run `a` is lowest at an earlier epoch than that of run `b`."""

    def __init__(self, a: str, b: str) -> None:
        super().__init__(a, b, metric="lowest_loss_epoch")

    def judge(self, records: BudgetRecords) -> Verdict:
        """Undecided if the loss is lowest at the last epoch of every run: they would have to train for longer."""
        runs = [record for label in self.labels for record in records.completed(label)]
        turns = [(metrics.metric(self.metric).read(record), len(record.history.get("val_loss", ()))) for record in runs]
        if all(turn == epochs for turn, epochs in turns):
            text = f"{values_text(records, self.labels, self.metric)}: the last epoch of each, so none overfits yet"
            return Verdict(INCONCLUSIVE if records.budget == FULL else TOO_SMALL, text)
        return super().judge(records)


class NoGain(Lower):
    """Run `a` is not higher than run `b`, or by no more than the margin."""

    def failed(self, records: BudgetRecords) -> Verdict | None:
        """A failed run decides nothing."""
        return None

    def compare(self, records: BudgetRecords) -> Verdict:
        """Compare the means."""
        difference = records.mean(self.a, self.metric) - records.mean(self.b, self.metric)
        needed = margin(records, self.a, self.b, self.metric, self.minimum)
        text = values_text(records, self.labels, self.metric)
        return self.untrained(records) or verdict(not exceeds(difference, needed), text)


class Ranking(AllOf):
    """Each run is higher than the next one in the list; lower, with ``by=Lower``."""

    def __init__(self, labels: Sequence[str], *, metric: str = "test_accuracy", by: type[Higher] = Higher) -> None:
        super().__init__(*(by(a, b, metric=metric) for a, b in itertools.pairwise(labels)))


class Best(AllOf):
    """A run is higher than each of the others, which may include itself."""

    def __init__(self, label: str, others: Sequence[str], *, metric: str = "test_accuracy") -> None:
        super().__init__(*(Higher(label, other, metric=metric) for other in others if other != label))


class PeakAt(Best):
    """Along an axis (a rate, a depth), a run is higher than its neighbours."""

    def __init__(self, label: str, along: Sequence[str], *, metric: str = "test_accuracy") -> None:
        if label not in along:
            raise InputError(f"PeakAt: run {label!r} is not one of the runs along the axis: {', '.join(along)}")
        index = list(along).index(label)
        super().__init__(label, along[max(index - 1, 0) : index + 2], metric=metric)
