"""Image files to arrays, and resizing (Pillow)."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from kzoo.data.background import WHITE, Colour, checked_colour
from kzoo.data.orientation import upright
from kzoo.errors import InputError, some

Source = str | Path | BinaryIO

_GREY = ("1", "L", "LA", "La")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 0x0102, 0x0106, 0
# Formats with a signature that no other data has by chance; Pillow guesses other formats from less.
_SIGNED = frozenset({"AVIF", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "TIFF", "WEBP"})
# Pillow recognises these but needs other software to decode them.
_NAMED_ONLY = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", *(() if sys.platform == "win32" else ("WMF",))})

FRAMES = "several frames, of which the first is taken"
DEEP = "16 bits a channel, scaled to 8"


class UnreadableImage(InputError):
    """An image file that cannot be read: `path`, `reason`, and whether it is not an image at all (`foreign`)."""

    def __init__(self, path: Source, reason: str, *, foreign: bool = False) -> None:
        super().__init__(f"cannot read image{_called(path)}: {reason}")
        self.path, self.reason, self.foreign = path, reason, foreign


class Decoded(NamedTuple):
    """Pixels, uint8 (H, W, 1 or 3), and remarks on how the file was read (`FRAMES`, `DEEP`)."""

    pixels: np.ndarray
    remarks: tuple[str, ...]


def read_image(path: Source, *, channels: int | None = None, background: Colour | None = WHITE) -> np.ndarray:
    """One image file, upright.

    Args:
        path: a file that Pillow can read, or its content as a stream. The first frame of an animation is read, and
            16 bits a channel are scaled to 8.
        channels: 1 for grey, 3 for RGB, or None for what the file holds (palettes become RGB, also of greys only).
        background: RGB, 0-255, that transparent images are laid over; None drops the transparency.

    Returns:
        uint8 (H, W, 1) or (H, W, 3).

    Raises:
        InputError: the file is missing, broken, or has 32 bits a channel; or another argument is not allowed.
    """
    return read_images([path], channels=channels, background=background)[0]


def read_images(
    paths: Sequence[Source], *, channels: int | None = None, background: Colour | None = WHITE
) -> list[np.ndarray]:
    """Several image files: see `read_image`.

    Raises:
        InputError: some files cannot be read; the first ten are named.
    """
    images, broken, remarks = [], [], Remarks()
    for path in paths:
        try:
            decoded = decode(path, channels=channels, background=background)
        except UnreadableImage as error:
            broken.append(error)
        else:
            images.append(decoded.pixels)
            remarks.add(path, decoded)
    if broken:
        raise all_broken(broken)
    for line in remarks.lines():
        warnings.warn(line, stacklevel=3)
    return images


def all_broken(errors: Sequence[UnreadableImage], total: int | None = None) -> InputError:
    """One error for all files, out of `total`, that cannot be read: their number and the first ten names."""
    if len(errors) == 1:
        return errors[0]
    named = some([f"{str(error.path)!r} ({error.reason})" for error in errors])
    return InputError(f"{len(errors)}{'' if total is None else f' of {total}'} images cannot be read: {named}")


class Remarks:
    """Counts the remarks on decoded files, so that one line reports each kind."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def add(self, path: Source, decoded: Decoded) -> None:
        """Count a file's remarks."""
        for remark in decoded.remarks:
            self._files.setdefault(remark, []).append(_called(path))

    def lines(self) -> list[str]:
        """A line for each kind of remark, with a count and an example."""
        lines = []
        for remark, files in self._files.items():
            example = f" (e.g.{files[0]})" if files[0] else ""
            lines.append(f"{len(files)} image{'s have' if len(files) > 1 else ' has'} {remark}{example}")
        return lines


def decode(path: Source, *, channels: int | None = None, background: Colour | None = WHITE) -> Decoded:
    """One image file with remarks: see `read_image`.

    Raises:
        UnreadableImage: the file cannot be read; the error gives the reason.
    """
    if channels not in (None, 1, 3):
        raise InputError(f"channels must be 1 for grey, 3 for RGB, or None for the file's own, not {channels!r}")
    background = checked_colour(background)
    if isinstance(path, str | Path) and os.path.isdir(path):
        raise UnreadableImage(path, "it is a folder: give its files", foreign=True)
    form = None
    # For broken files, Pillow's plugins raise nearly any exception, and warn.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # As a stream: from a path, Pillow maps uncompressed TIFF files to memory and reads rotated ones wrongly.
            with _stream(path) as stream, Image.open(stream, formats=_formats()) as file:
                form = file.format
                _scale_clear(file)
                file.load()
                pixels, deep = _pixels(file, channels, background)
                pixels = upright(pixels, file)  # before the frames are counted: Pillow then reads the tags again
                remarks = (*((FRAMES,) if _frames(file) else ()), *((DEEP,) if deep else ()))
                return Decoded(pixels, remarks)
        except Exception as error:
            named = isinstance(path, str | Path) and Path(path).suffix.lower() in suffixes()
            foreign = not named and form not in _SIGNED and not isinstance(error, FileNotFoundError | PermissionError)
            raise UnreadableImage(path, _reason(path, error), foreign=foreign) from None


def _stream(path: Source) -> contextlib.AbstractContextManager[BinaryIO]:
    return open(path, "rb") if isinstance(path, str | Path) else contextlib.nullcontext(path)


def is_image(path: str | Path) -> bool:
    """Whether a file has the suffix or the beginning of an image."""
    if Path(path).suffix.lower() in suffixes():
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path, formats=_formats()):
                return True
        except Exception:  # see `decode`
            return False


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.OPEN if name not in _NAMED_ONLY)


@functools.cache
def suffixes() -> frozenset[str]:
    """The suffixes of image files, in lower case: a file that has one but holds no image counts as broken."""
    readable = _formats()
    return frozenset(suffix for suffix, form in Image.registered_extensions().items() if form in readable)


def _called(path: Source) -> str:
    """A file's name for messages; a stream has none."""
    return f" {str(path)!r}" if isinstance(path, str | Path) else ""


def _reason(path: Source, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more pixels than the {2 * (Image.MAX_IMAGE_PIXELS or 0):,} that Pillow decodes"
    try:
        if isinstance(path, str | Path) and not Path(path).stat().st_size:
            return "it is empty"
    except (OSError, ValueError):
        pass
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is not an image in a format that Pillow reads"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def _frames(file: Image.Image) -> bool:
    if file.format == "MPO":  # a photograph with a second view or a preview of itself
        return False
    try:
        return int(getattr(file, "n_frames", 1)) > 1
    except Exception:  # the first frame is whole, later ones are not
        return True


def _scale_clear(file: Image.Image) -> None:
    """Scale the transparent colour of a PNG file that is not loaded yet, as Pillow scales its pixels."""
    tiles = getattr(file, "tile", None)
    raw = tiles[0][3] if file.format == "PNG" and tiles else None
    factor = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}.get(raw) if isinstance(raw, str) else None
    clear = file.info.get("transparency")
    if factor and isinstance(clear, int):
        file.info["transparency"] = int(clear * factor)
    elif factor and isinstance(clear, tuple):
        file.info["transparency"] = tuple(int(value * factor) for value in clear)


def _pixels(image: Image.Image, channels: int | None, background: Colour | None) -> tuple[np.ndarray, bool]:
    """The pixels as uint8 (H, W, 1 or 3), and whether they had 16 bits."""
    # Pillow reads 16 bits of a PNG or PGM file as 32. In other files of 32 bits, the values of black and white are
    # unknown, and one file cannot show them: a dark image of 16 bits has the values of an image of 8.
    if image.mode.startswith("F") or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        low, high = (f"{value:g}" for value in image.getextrema())
        signed = image.mode == "I" and _bits(image) == 16
        raise ValueError(
            f"it has {'signed 16' if signed else '32'} bits a channel (Pillow mode {image.mode}, values {low} to "
            f"{high}), so that black and white are unknown: save it with {'unsigned values' if signed else '8 or 16'}"
        )
    deep = image.mode.startswith("I")
    if image.mode == "LAB":
        image = image.convert("RGB")  # by its colour profile; Pillow cannot convert it to grey
    grey = image.mode in _GREY or deep
    clear = None
    if deep:
        image, clear = _eight_bits(image)
    elif image.has_transparency_data and background is not None:
        image = image.convert("RGBA")
        clear = image.getchannel("A")

    # Composed in RGB; a grey image stays grey if the background is grey.
    if clear is not None and background is not None:
        ground = Image.new("RGB", image.size, background)
        ground.paste(image.convert("RGB"), mask=clear)
        image = ground
        grey = grey and len(set(background)) == 1
    grey = channels == 1 if channels else grey
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return (pixels[..., None] if pixels.ndim == 2 else pixels), deep


def _bits(image: Image.Image) -> int:
    """The bits of a value in a TIFF file; 16 in others."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
    return int(bits[0] if isinstance(bits, tuple) else bits)


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A grey image of more than 8 bits a pixel converted to 8, and the mask of its transparent value, if it has one."""
    values = np.asarray(image).astype(np.int64)
    most = 2 ** _bits(image) - 1
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow applies this only at 1 and 8 bits
        values = most - values
    eight = np.clip((values * 255 + most // 2) // most, 0, 255).astype(np.uint8)
    clear = image.info.get("transparency")
    mask = None if not isinstance(clear, int) else Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
    return Image.fromarray(eight), mask


def resize(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """One image scaled to size x size, bilinearly and without aliasing; the aspect ratio is not kept.

    Args:
        image: uint8 (H, W, C).
        size: pixels a side, or (height, width).
    """
    height, width = (size, size) if isinstance(size, int) else size
    if image.shape[:2] == (height, width):
        return image
    # Channel by channel, since Pillow knows only a few channel counts and treats a fourth as transparency.
    scaled = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), Image.Resampling.BILINEAR))
        for plane in np.moveaxis(image, 2, 0)
    ]
    return np.stack(scaled, axis=2)


def resize_all(images: np.ndarray, size: int) -> np.ndarray:
    """Every image of uint8 (N, H, W, C) scaled to size x size: see `resize`."""
    result = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    for index, image in enumerate(images):
        result[index] = resize(image, size)
    return result
