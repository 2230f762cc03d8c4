"""Boxes whose area and aspect are drawn at random: for random erasing and random resized crops."""

from __future__ import annotations

from kzoo.lazy import np

ATTEMPTS = 10
"""Boxes drawn for each image, of which the first that fits is used (as in Zhong et al. 2017 and in torchvision)."""

Range = tuple[float, float]


def check_box(area: Range, aspect: Range) -> None:
    """Refuse ranges from which no box can be drawn.

    Raises:
        ValueError: `area` is not within 0-1, `aspect` is not positive, or a range is upside down.
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"area must be (smallest, largest) with 0 < smallest <= largest <= 1, not {area}")
    if not 0 < aspect[0] <= aspect[1]:
        raise ValueError(f"aspect must be (smallest, largest) with 0 < smallest <= largest, not {aspect}")


def draw_boxes(
    count: int, sides: tuple[int, int], area: Range, aspect: Range, rng: np.random.Generator, *, largest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sides of one box for each image.

    Args:
        count: number of images.
        sides: height and width of the images.
        area: smallest and largest share of the image, drawn uniformly.
        aspect: smallest and largest height / width, drawn log-uniformly.
        rng: source of the random numbers.
        largest: how many pixels the sides of a box may be longer than those of the image: 0, or -1 for less than whole.

    Returns:
        Height and width, int (count,), rounded to whole pixels, at least one; and whether the box fits, bool (count,).
    """
    areas = sides[0] * sides[1] * rng.uniform(*area, (count, ATTEMPTS))
    aspects = np.exp(rng.uniform(np.log(aspect[0]), np.log(aspect[1]), (count, ATTEMPTS)))
    heights = np.maximum(np.rint(np.sqrt(areas * aspects)), 1).astype(np.int64)
    widths = np.maximum(np.rint(np.sqrt(areas / aspects)), 1).astype(np.int64)
    fits = (heights <= sides[0] + largest) & (widths <= sides[1] + largest)
    first = np.arange(count), fits.argmax(axis=1)
    return heights[first], widths[first], np.any(fits, axis=1)
