"""How each claim of a study stands: one verdict from the records of all budgets (no Keras)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kzoo.studies import metrics, selection
from kzoo.studies.budget import FULL
from kzoo.studies.results import Index, Results
from kzoo.studies.study import Claim, Study, Verdict

DECIDED = ("holds", "does not hold")
NO_RUN = "no run needed"
"""Stands for the budget of a claim that follows from the architectures alone."""
ANY = "any"
"""Stands for the budget where only figures are compared that no budget changes."""


@dataclass(frozen=True)
class Standing:
    """A claim and its verdict.

    Attributes:
        verdict: of the records of `group`.
        group: the label of their budget; `NO_RUN`, or empty where the study has no records.
        budget: the same as a reader should see it: `ANY`, or with `kzoo.studies.selection.OTHER` where that is so.
    """

    claim: Claim
    verdict: Verdict
    group: str
    budget: str

    @property
    def decided(self) -> bool:
        """Whether the claim holds or does not."""
        return self.verdict.status in DECIDED

    @property
    def small(self) -> bool:
        """Whether the verdict rests on runs at another budget than the report's."""
        return self.group not in (FULL, NO_RUN, "") and self.budget != ANY


def leaves(test: Any) -> list[Any]:
    """The single tests that a claim's test combines."""
    return [leaf for part in test.tests for leaf in leaves(part)] if hasattr(test, "tests") else [test]


def standings(study: Study, index: Index) -> list[Standing]:
    """Every claim of a study with its verdict at the full budget; if that decides nothing, at another that does.

    Of several other budgets the one with most records is taken.
    """
    nothing = Results(study)
    groups = sorted(index.groups.values(), key=lambda group: group.budget != FULL)
    return [_standing(claim, nothing, groups) for claim in study.claims]


def _standing(claim: Claim, nothing: Results, groups: list[Results]) -> Standing:
    bare = claim.test(nothing)
    if bare.status in DECIDED:
        return Standing(claim, bare, NO_RUN, NO_RUN)
    found = [(group, claim.test(group)) for group in groups]
    decided = [(group, verdict) for group, verdict in found if verdict.status in DECIDED]
    if not found:
        return Standing(claim, bare, "", "")
    group, verdict = (decided or found)[0]
    if all(getattr(test, "metric", "") in metrics.AT_ANY_BUDGET for test in leaves(claim.test)):
        return Standing(claim, verdict, group.budget, ANY)
    elsewhere = any(group.has(label) and group.on_other_images(label) for label in claim.labels)
    return Standing(claim, verdict, group.budget, f"{group.budget}, {selection.OTHER}" if elsewhere else group.budget)
