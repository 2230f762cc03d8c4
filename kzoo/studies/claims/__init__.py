"""Claims as tests on records, and the rule that decides them (no Keras).

`Higher`, `Lower` and the tests built on them compare the means of two runs over their seeds. The difference counts when
it exceeds a margin:

- If either run has two seeds or more: twice the standard error of the difference, from the standard deviations over
  seeds. A run with one seed is assumed to vary as much as the other.
- If both have one seed: for accuracies and other shares, twice the standard error due to the number of images, and at
  least one point; for losses 0.05; for everything else 5% of the smaller value (nothing for parameter counts).
- If the claim itself states a `minimum`: the minimum if both have one seed, otherwise the larger of it and the margin.

A difference beyond the margin in the claimed direction means "holds"; beyond it in the other direction, "does not
hold". Within the margin, the claim "does not hold" if both runs have three seeds or more; otherwise there are "not
enough runs". A failed run (its loss became NaN or infinite) counts as worse than one that completed, if the
metric has a better direction (accuracies, losses, epochs to an accuracy). If only some seeds of a run failed, or never
reached the accuracy, its mean leaves out the worst and decides nothing in its favour, nor anything that these seeds
could change. A claim that no number of runs would settle is "inconclusive".

At a shortened budget, a claim on accuracies is "too small a budget" while the network that should be better, or should
learn, is still at chance. At chance means below 1.5 times the accuracy of guessing and, for few classes, below guessing
plus a tenth of the remaining range. The same holds if no run is long enough to overfit, to reach the accuracy of the
claim, or to have the epochs that it names.

The tests that state their own bounds (`Between`, `Ratio`, `GroupsDiffer`, ...) add no margin.
"""

from kzoo.studies.claims.base import AllOf, ClaimTest, Computed, NotRecorded
from kzoo.studies.claims.bounds import (
    Alike,
    AtChance,
    Between,
    ConvergedBy,
    GroupsDiffer,
    HardestClasses,
    Learns,
    Ratio,
    WithinSpread,
)
from kzoo.studies.claims.comparisons import (
    Best,
    Faster,
    Higher,
    Lower,
    NoGain,
    OverfitsMore,
    OverfitsSooner,
    PeakAt,
    Ranking,
)

__all__ = ["AllOf", "ClaimTest", "Computed", "NotRecorded"]
__all__ += ["Best", "Faster", "Higher", "Lower", "NoGain", "OverfitsMore", "OverfitsSooner", "PeakAt", "Ranking"]
__all__ += ["Alike", "AtChance", "Between", "Learns", "Ratio"]
__all__ += ["ConvergedBy", "GroupsDiffer", "HardestClasses", "WithinSpread"]
