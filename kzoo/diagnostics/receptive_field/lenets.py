"""Effective receptive fields of report d's LeNets, with pooling and with dilation."""

from __future__ import annotations

from collections.abc import Sequence

from kzoo.diagnostics.receptive_field.effective import EffectiveField, effective_field, mean_field
from kzoo.models.lenet import LeNet
from kzoo.seeds import seed_keras

LENET_SIZE = 64
"""Side of the images that `lenet_fields` uses, large enough for all fields."""


def lenet_fields(
    reductions: Sequence[str] = ("average", "dilated"),
    layers: Sequence[int] = (1, 2, 3, 4),
    *,
    draws: int = 5,
    count: int = 8,
    seed: int = 0,
) -> dict[str, list[EffectiveField]]:
    """Effective fields of report d's LeNets before their classifier, by reduction, one for each number of layers.

    Args:
        reductions: see `kzoo.LeNet`.
        layers: numbers of blocks.
        draws: number of draws of initial weights, over which the mean is taken.
        count: number of random images for each draw.
        seed: seed of the first draw and its images.
    """

    def field(reduction: str, blocks: int, draw: int) -> EffectiveField:
        seed_keras(draw)
        model = LeNet(
            layers=blocks,
            reduction=reduction,
            include_top=False,
            input_shape=(LENET_SIZE, LENET_SIZE, 1),
            name=f"lenet{blocks}-{reduction}",
        )
        return effective_field(model, model.layers[-1].name, count=count, seed=draw)

    return {
        reduction: [
            mean_field([field(reduction, blocks, draw) for draw in range(seed, seed + draws)]) for blocks in layers
        ]
        for reduction in reductions
    }
