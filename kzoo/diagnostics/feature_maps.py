"""The feature maps of an image, channel by channel, and the kernels of the first convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kzoo.checks import whole
from kzoo.diagnostics.plots import DIVERGING, SEQUENTIAL, literal, new_figure
from kzoo.errors import InputError
from kzoo.introspection.gradients import layer_outputs
from kzoo.introspection.layers import check_channels_last, find_layer, find_layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def feature_maps(model: keras.Model, image: np.ndarray, layers: Sequence[Any]) -> dict[str, np.ndarray]:
    """The feature maps of one image in some layers.

    Args:
        model: a built Keras model with one input, nested and subclassed models included.
        image: (h, w, c) as the model takes it, or (1, h, w, c).
        layers: paths, names or layers (see `kzoo.introspection.layers.find_layers`).

    Returns:
        Maps by path, float32 (h, w, channels).

    Raises:
        InputError: the image does not fit, or a layer is unknown or has no map.

    Example:
        >>> {name: maps.shape for name, maps in kzoo.feature_maps(model, images[0], ["block1_conv"]).items()}
        {'block1_conv': (8, 8, 32)}
    """
    check_channels_last(model)
    image = np.asarray(image)
    if image.ndim == 4 and len(image) != 1:
        raise InputError(f"image of shape {image.shape}: one image (height, width, channels) is needed")
    paths = [find_layer(model, layer)[0] for layer in layers]
    if not paths:
        raise InputError("layers is empty: at least one is needed")
    outputs = layer_outputs(model, paths, image if image.ndim == 4 else image[None])
    for path, output in zip(paths, outputs, strict=True):
        if output.ndim != 4:
            raise InputError(
                f"layer {path!r} gives {output.shape[1:]} for an image: "
                "one with a map (height, width, channels) is needed"
            )
    return {path: output[0] for path, output in zip(paths, outputs, strict=True)}


def plot_feature_maps(
    model: keras.Model, image: np.ndarray, layers: Sequence[Any] | None = None, channels: int = 12
) -> Figure:
    """A row for each layer and a column for each of its first channels, each map with the full colour range.

    Args:
        model: see `feature_maps`.
        image: see `feature_maps`.
        layers: by default, the convolutions with a map of 2x2 or more; if there are more than six, six that are evenly
            spaced.
        channels: largest number of channels to show.
    """
    channels = whole("channels", channels)

    # By default, use a selection of the convolutions.
    if layers is None:
        convolutions = [path for path, layer in find_layers(model) if _is_convolution(layer)]
        every = feature_maps(model, image, convolutions) if convolutions else {}
        shown = [path for path, maps_of_layer in every.items() if min(maps_of_layer.shape[:2]) > 1]
        if not shown:
            raise InputError(f"model {model.name!r} has no convolution with a map: give layers")
        indices = np.unique(np.linspace(0, len(shown) - 1, 6).round().astype(int))
        maps = {shown[index]: every[shown[index]] for index in indices}
    else:
        maps = feature_maps(model, image, layers)

    # One row for each layer.
    columns = min(channels, max(each.shape[-1] for each in maps.values()))
    figure = new_figure(0.9 * columns + 1.2, 1.0 * len(maps) + 0.3)
    grid = figure.subplots(len(maps), columns, squeeze=False)
    for row, (path, maps_of_layer) in zip(grid, maps.items(), strict=True):
        for channel, axes in enumerate(row):
            _bare(axes)
            if channel < maps_of_layer.shape[-1]:
                axes.imshow(maps_of_layer[..., channel], cmap=SEQUENTIAL)
        count = f"{min(columns, maps_of_layer.shape[-1])} of {maps_of_layer.shape[-1]}"
        label = f"{literal(path)}\n{maps_of_layer.shape[0]}x{maps_of_layer.shape[1]}, {count}"
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    return figure


def plot_kernels(model: keras.Model, layer: Any = None, kernels: int = 64) -> Figure:
    """A convolution's kernels as pictures, all on the same colour scale, with zero in the middle.

    Kernels over three channels are shown in colour, kernels over one channel in shades, and others as their mean.

    Args:
        model: a built Keras model.
        layer: a two-dimensional convolution; by default, the first one.
        kernels: largest number of kernels to show.

    Raises:
        InputError: the layer does not exist or is not a two-dimensional convolution, or `kernels` is below 1.
    """
    from matplotlib.colors import Normalize

    # Choose the convolution.
    if layer is None:
        path, chosen = next(((p, x) for p, x in find_layers(model) if _is_convolution(x)), (None, None))
        if chosen is None:
            raise InputError(f"model {model.name!r} has no two-dimensional convolution")
    else:
        path, chosen = find_layer(model, layer)
        if not _is_convolution(chosen):
            raise InputError(f"layer {path!r} is a {type(chosen).__name__}: a two-dimensional convolution is needed")

    # One picture for each kernel, all on the same scale.
    values = np.asarray(keras.ops.convert_to_numpy(chosen.kernel), np.float32)  # (rows, columns, in, out)
    count, columns = min(whole("kernels", kernels), values.shape[-1]), 8
    largest = float(np.abs(values).max()) or 1.0
    rows = -(-count // columns)
    figure = new_figure(0.8 * columns + 1.2, 0.8 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        _bare(axes)
    shown: Any = None
    for axes, kernel in zip(grid.flat, np.moveaxis(values, -1, 0)[:count], strict=False):
        if kernel.shape[-1] == 3:
            axes.imshow(0.5 + kernel / (2 * largest))
        else:
            shown = axes.imshow(kernel.mean(-1), cmap=DIVERGING, norm=Normalize(-largest, largest))
    if shown is not None:
        figure.colorbar(shown, ax=grid, shrink=0.8)
    figure.suptitle(
        f"{literal(path)}: {count} of {values.shape[-1]} kernels {'x'.join(map(str, values.shape[:3]))}", fontsize=11
    )
    return figure


def _is_convolution(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Conv2D) and layer.built and len(layer.kernel.shape) == 4


def _bare(axes: Any) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
