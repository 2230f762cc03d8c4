"""The verdict on each claim of a study, from the records of all budgets (no Keras)."""

from __future__ import annotations

from dataclasses import dataclass

from kzoo.studies import metrics, selection
from kzoo.studies.budget import FULL
from kzoo.studies.records import BudgetRecords, StudyRecords
from kzoo.studies.study import DECIDED, Claim, Study, Verdict

NO_RUN = "no run needed"
"""Replaces the budget of a claim that follows from the architectures alone."""
ANY = "any"
"""Replaces the budget if the claim compares only metrics that no budget changes, of runs with the entries' settings."""


@dataclass(frozen=True)
class Standing:
    """A claim and its verdict.

    Attributes:
        claim: the claim.
        verdict: the verdict of the records at `group`.
        group: the label of their budget; `NO_RUN`, or empty if the study has no records.
        budget: the budget as shown to readers: `ANY`, or `group`, with `kzoo.studies.selection.OTHER` if the runs
            used a different selection of the dataset.
    """

    claim: Claim
    verdict: Verdict
    group: str
    budget: str

    @property
    def decided(self) -> bool:
        """Whether the claim holds or does not hold."""
        return self.verdict.status in DECIDED

    @property
    def small(self) -> bool:
        """Whether the verdict rests on runs at a budget other than the report's."""
        return self.group not in (FULL, NO_RUN, "") and self.budget != ANY


def standings(study: Study, records: StudyRecords) -> list[Standing]:
    """Every claim of a study with its verdict at the full budget; if that is undecided, at another one that decides.

    Of several other budgets, the first one in `StudyRecords.budgets` counts.
    """
    nothing = BudgetRecords(study)
    groups = sorted(records.budgets.values(), key=lambda group: group.budget != FULL)
    return [_standing(claim, nothing, groups) for claim in study.claims]


def _standing(claim: Claim, nothing: BudgetRecords, groups: list[BudgetRecords]) -> Standing:
    without_runs = claim.test(nothing)
    if without_runs.status in DECIDED:
        return Standing(claim, without_runs, NO_RUN, NO_RUN)
    if not groups:
        return Standing(claim, without_runs, "", "")

    # The first budget that decides, otherwise the first one.
    verdicts = [(group, claim.test(group)) for group in groups]
    decided = [(group, verdict) for group, verdict in verdicts if verdict.status in DECIDED]
    group, verdict = (decided or verdicts)[0]
    read = [getattr(part, "metric", "") for part in claim.parts]
    unlimited = all(name and metrics.metric(name).any_budget for name in read)
    if unlimited and all(map(group.with_its_settings, claim.labels)):
        return Standing(claim, verdict, group.budget, ANY)
    elsewhere = any(group.has(label) and group.on_other_images(label) for label in claim.labels)
    return Standing(claim, verdict, group.budget, f"{group.budget}, {selection.OTHER}" if elsewhere else group.budget)
