"""Recipes that compare a fully connected network with convolutional ones on digits (future work of report a).

The classes are EMNIST's ten digits, at 32 pixels a side so that every network fits.
"""

from __future__ import annotations

from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import Adam, Cosine

MLP = Recipe(
    "fully-connected/mlp",
    model="mlp",
    dataset="emnist",
    class_names=tuple("0123456789"),
    image_size=32,
    augmentation=(),
    optimizer=Adam(learning_rate=1e-3),
    schedule=Cosine(),
    epochs=20,
    batch_size=100,
    ties="first",
)
RECIPES = (
    MLP,
    *(
        MLP.derive(f"fully-connected/{model}", model=model)
        for model in ("lenet2-max", "vgg08", "vgg38", "vgg38-bn-res")
    ),
)
