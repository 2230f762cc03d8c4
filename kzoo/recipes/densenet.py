"""Recipes of DenseNets to compare with report a's networks, as its authors planned (conclusions of reports a and b).

They train like report a's baseline and final model, so that only the network differs. (Huang et al. 2017 trained with
SGD for 300 epochs.) Initial weights are He et al.'s, as in the paper.
"""

from __future__ import annotations

from kzoo.recipes.vgg38 import BN_RESIDUAL, ERASING_L2

MODELS = ("densenet-40-12", "densenet-bc-40-16", "densenet-bc-100-12")

DENSENET = tuple(BN_RESIDUAL.derive(f"densenet/{model}", model=model) for model in MODELS)
DENSENET_FINAL = tuple(ERASING_L2.derive(f"densenet/{model}-erasing-l2", model=model) for model in MODELS[1:])

RECIPES = (*DENSENET, *DENSENET_FINAL)
