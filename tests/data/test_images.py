"""Reading and resizing image files."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, features

from kzoo.data.images import read_image, read_images, resize, resize_all
from kzoo.errors import InputError


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def test_files_keep_their_channels_unless_asked_for_others(tmp_path: Path, colour: np.ndarray) -> None:
    Image.fromarray(colour).save(tmp_path / "rgb.png")
    Image.fromarray(colour[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.png"), colour)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), colour[..., :1])
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", channels=3), colour[..., :1].repeat(3, axis=2))
    expected = np.asarray(Image.fromarray(colour).convert("L"))[..., None]
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.png", channels=1), expected)


@pytest.mark.parametrize(("mode", "channels"), [("P", 3), ("RGBA", 3), ("1", 1), ("LA", 1), ("CMYK", 3)])
def test_other_modes_become_grey_or_rgb(tmp_path: Path, colour: np.ndarray, mode: str, channels: int) -> None:
    path = tmp_path / "image.tif"
    Image.fromarray(colour).convert(mode).save(path)
    assert read_image(path).shape == (6, 9, channels)
    assert read_image(path).dtype == np.uint8


def test_a_turned_photo_comes_out_upright(tmp_path: Path, colour: np.ndarray) -> None:
    orientation = Image.Exif()
    orientation[0x0112] = 6  # the camera was held upright: turn clockwise to view
    Image.fromarray(colour).save(tmp_path / "photo.png", exif=orientation)
    np.testing.assert_array_equal(read_image(tmp_path / "photo.png"), np.rot90(colour, -1))


def test_broken_and_missing_files_are_named(tmp_path: Path, colour: np.ndarray) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(colour).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:60])
    (tmp_path / "text.png").write_text("not an image")
    for name in ("cut.png", "text.png", "missing.png"):
        with pytest.raises(InputError, match=f"cannot read image .*{name}"):
            read_image(tmp_path / name)


def test_resizing_is_bilinear_and_antialiased(colour: np.ndarray) -> None:
    expected = np.asarray(Image.fromarray(colour).resize((4, 4), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(colour, 4), expected)
    stripes = np.zeros((8, 8, 1), np.uint8)
    stripes[:, ::2] = 200
    # without an anti-aliasing filter, every other column or none would survive
    np.testing.assert_allclose(resize(stripes, 2), 100, atol=26)
    np.testing.assert_array_equal(resize(colour[:6, :6], 6), colour[:6, :6])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_images_and_any_channels(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, channels), np.uint8)
    result = resize_all(images, 12)
    assert result.shape == (3, 12, 12, channels)
    for index in range(3):
        for channel in range(channels):
            plane = Image.fromarray(images[index, ..., channel]).resize((12, 12), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(result[index, ..., channel], np.asarray(plane))


# --- files as users have them


def saved(tmp_path: Path, image: Image.Image, name: str, **options: Any) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_transparent_images_are_laid_over_white_or_the_named_colour(tmp_path: Path) -> None:
    # A black drawing on a transparent background of black pixels: without the transparency, the image is blank.
    drawing = np.zeros((4, 4, 4), np.uint8)
    drawing[1, 1:3, 3] = 255
    drawing[2, 2] = (200, 0, 0, 51)
    path = saved(tmp_path, Image.fromarray(drawing), "drawing.png")
    expected = np.full((4, 4, 3), 255, np.uint8)
    expected[1, 1:3] = 0
    expected[2, 2] = (244, 204, 204)  # a fifth of the color, four fifths white
    np.testing.assert_allclose(read_image(path), expected, atol=1)
    assert read_image(path, background=(0, 0, 255))[0, 0].tolist() == [0, 0, 255]
    assert read_image(path, background=None).max() == 200
    assert read_image(path, channels=1)[0, 0, 0] == 255


@pytest.mark.parametrize("mode", ["LA", "P", "1", "L", "RGB", "PA"])
def test_every_kind_of_transparency_counts(tmp_path: Path, mode: str) -> None:
    clear = np.zeros((4, 4), bool)
    clear[1:3, 1:3] = True
    black = Image.new("RGB", (4, 4))
    grey = np.where(clear, 0, 90).astype(np.uint8)
    options: dict[str, Any] = {}
    if mode in ("LA", "PA"):
        image = Image.merge(
            "LA", [Image.new("L", (4, 4), 90), Image.fromarray(np.where(clear, 0, 255).astype(np.uint8))]
        )
        name = "image.png" if mode == "LA" else "image.tif"
    elif mode == "P":
        image = Image.fromarray(clear.astype(np.uint8))
        image = image.convert("P")
        image.putpalette([90, 90, 90, 0, 0, 0])
        name, options = "image.gif", {"transparency": 1}
    else:
        image = Image.fromarray(grey if mode != "1" else ~clear).convert(mode)
        name, options = "image.png", {"transparency": (0, 0, 0) if mode == "RGB" else 0}
    pixels = read_image(saved(tmp_path, image, name, **options))
    assert black.size == pixels.shape[:2]
    assert (pixels[clear] == 255).all()
    assert (pixels[~clear] == (255 if mode == "1" else 90)).all()
    assert read_image(tmp_path / name, background=(10, 20, 30))[clear].tolist() == [[10, 20, 30]] * 4


def png(depth: int, colours: int, row: bytes, clear: bytes, width: int) -> bytes:
    """A PNG file of one row with a transparent colour, which Pillow does not write for every depth."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, 1, depth, colours, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"tRNS", clear) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


DEEP_COLOUR = struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(2, 0, bytes([0b00011011]), struct.pack(">H", 1), 4), [0, 255, 170, 255]),
        (png(4, 0, bytes([0x50]), struct.pack(">H", 5), 2), [255, 0]),
        (png(16, 2, DEEP_COLOUR + bytes(6), DEEP_COLOUR, 2), [255, 255, 255, 0, 0, 0]),
    ],
    ids=["2 bits", "4 bits", "16 bits of colours"],
)
def test_a_transparent_colour_counts_at_every_depth(content: bytes, expected: list[int]) -> None:
    assert read_image(BytesIO(content)).ravel().tolist() == expected


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif", "deep.pgm", "deep.jp2"):
        options = {"irreversible": False} if name.endswith("jp2") else {}
        path = saved(tmp_path, Image.fromarray(values), name, **options)
        with pytest.warns(UserWarning, match=rf"1 image has 16 bits a channel, scaled to 8 .*{name}"):
            np.testing.assert_array_equal(read_image(path)[..., 0], [[0, 1, 128, 255]])
    dark = saved(tmp_path, Image.fromarray(values), "key.png", transparency=0)
    with pytest.warns(UserWarning, match="16 bits"):
        np.testing.assert_array_equal(read_image(dark)[..., 0], [[255, 1, 128, 255]])


def test_sixteen_bits_may_count_from_white(tmp_path: Path) -> None:
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    path = saved(tmp_path, Image.fromarray(values), "white.tif")
    black, white = (struct.pack("<HHIHH", 0x0106, 3, 1, zero, 0) for zero in (1, 0))
    path.write_bytes(path.read_bytes().replace(black, white))
    with pytest.warns(UserWarning, match="16 bits"):
        np.testing.assert_array_equal(read_image(path)[..., 0], [[255, 254, 127, 0]])


def test_thirty_two_bits_are_refused_as_nobody_knows_what_is_white(tmp_path: Path) -> None:
    values = np.array([[0, 257, 32768, 65535]])
    for array, name in ((values.astype(np.int32), "i.tif"), (values.astype(np.float32), "f.tif"), (None, "f.pfm")):
        image = Image.fromarray(values.astype(np.float32) if array is None else array)
        path = saved(tmp_path, image, name)
        with pytest.raises(InputError, match=rf"{name}.*32 bits a channel \(Pillow mode [IF], values 0 to 65535\)"):
            read_image(path)


def sixteen_bit_png(values: np.ndarray) -> bytes:
    """A PNG file of uint16, which Pillow cannot write: (H, W, 2) is grey with alpha, 3 channels RGB, 4 RGBA."""
    height, width, channels = values.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_sixteen_bits_of_colours_and_transparency(tmp_path: Path) -> None:
    colours = np.array([[[0, 257, 32768], [65535, 300, 12345]]], np.uint16)
    alpha = np.array([[[65535], [0]]], np.uint16)
    grey = np.array([[[40000], [0]]], np.uint16)
    path = tmp_path / "deep.png"
    path.write_bytes(sixteen_bit_png(colours))
    np.testing.assert_array_equal(read_image(path), [[[0, 1, 128], [255, 1, 48]]])
    path.write_bytes(sixteen_bit_png(np.concatenate([colours, alpha], 2)))
    np.testing.assert_array_equal(read_image(path), [[[0, 1, 128], [255, 255, 255]]])
    path.write_bytes(sixteen_bit_png(np.concatenate([grey, alpha], 2)))
    assert {tuple(pixel) for pixel in read_image(path)[0].reshape(2, -1)} == {(156, 156, 156), (255, 255, 255)}


ODD = {"LAB": "tif", "RGBX": "tif", "PA": "tif", "I;16": "tif", "YCbCr": "jp2"}


@pytest.mark.parametrize("mode", ODD)
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_every_mode_that_files_have_is_read_as_any_channels(tmp_path: Path, mode: str, channels: int | None) -> None:
    image = Image.new("RGB", (4, 4), (200, 200, 200))
    if mode == "LAB":
        lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        image = ImageCms.applyTransform(image, lab)
    elif mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 200 * 257, np.uint16))
    else:
        image = image.convert(mode)
    path = saved(tmp_path, image, f"odd.{ODD[mode]}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "1 image has 16 bits")
        pixels = read_image(path, channels=channels)
    assert pixels.shape == (4, 4, channels or (1 if mode == "I;16" else 3))
    np.testing.assert_allclose(pixels, 200, atol=4)


def test_other_colours_and_single_bits_come_out_right(tmp_path: Path) -> None:
    for mode, name in (("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("YCbCr", "b.jpg")):
        path = saved(tmp_path, Image.new("RGB", (8, 8), (250, 20, 30)).convert(mode), name)
        np.testing.assert_allclose(read_image(path)[4, 4], (250, 20, 30), atol=4)
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    red = ImageCms.applyTransform(Image.new("RGB", (8, 8), (250, 20, 30)), lab)
    path = saved(tmp_path, red, "lab.tif")
    np.testing.assert_allclose(read_image(path)[4, 4], (250, 20, 30), atol=6)
    np.testing.assert_allclose(read_image(path, channels=1)[4, 4], 90, atol=6)
    bits = np.array([[True, False], [False, True]])
    path = saved(tmp_path, Image.fromarray(bits), "bits.png")
    np.testing.assert_array_equal(read_image(path)[..., 0], [[255, 0], [0, 255]])


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("pages", [1, 2])
def test_rotated_tiff_files_come_out_upright(tmp_path: Path, mode: str, compression: str | None, pages: int) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    image = Image.fromarray(values.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(values).convert(mode)
    options: dict[str, Any] = {"save_all": True, "append_images": [image]} if pages == 2 else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # 16 bits, several frames
        stored = read_image(saved(tmp_path, image, "stored.tif"))
        for turn, upright in ((3, np.rot90(stored, 2)), (6, np.rot90(stored, -1))):
            exif = Image.Exif()
            exif[0x112] = turn
            path = saved(tmp_path, image, "turned.tif", exif=exif, compression=compression, **options)
            np.testing.assert_array_equal(read_image(path), upright)


def test_signed_values_are_refused_as_such(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.array([[0, 9]], np.uint16)), "signed.tif", tiffinfo={339: 2})
    with pytest.raises(InputError, match=r"signed 16 bits a channel .*: save it with unsigned values"):
        read_image(path)


def test_the_first_of_several_frames_is_used_and_this_is_reported(tmp_path: Path) -> None:
    frames = [Image.new("L", (5, 5), value) for value in (10, 200)]
    for name in ("two.gif", "two.tif", "two.png", "two.webp"):
        options: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
        frames[0].convert("RGB").save(
            tmp_path / name, save_all=True, append_images=[frames[1].convert("RGB")], **options
        )
    with pytest.warns(UserWarning, match="frames") as caught:
        images = read_images([tmp_path / name for name in ("two.gif", "two.tif", "two.png", "two.webp")])
    assert all((image == 10).all() for image in images)
    (message,) = (str(warning.message) for warning in caught)
    assert message.startswith("4 images have several frames, of which the first is taken (e.g. '")


def test_the_format_is_recognised_by_content_not_by_name(tmp_path: Path, colour: np.ndarray) -> None:
    image = Image.fromarray(colour)
    image.save(tmp_path / "none", "PNG")
    image.save(tmp_path / "wrong.jpg", "BMP")
    for name in ("none", "wrong.jpg"):
        np.testing.assert_array_equal(read_image(tmp_path / name), colour)
    for name in ("photo.jfif", "photo.jpe", "photo.avif") if features.check("avif") else ("photo.jfif", "photo.jpe"):
        image.save(tmp_path / name, "AVIF" if name.endswith("avif") else "JPEG", quality=100)
        assert read_image(tmp_path / name).shape == colour.shape


def test_all_broken_files_are_named_at_once(tmp_path: Path, colour: np.ndarray) -> None:
    files = []
    for index in range(12):
        files.append(saved(tmp_path, Image.fromarray(colour), f"{index:02}.png"))
        if index:
            files[-1].write_bytes(files[-1].read_bytes()[: 40 * (index > 1)])
    with pytest.raises(InputError) as caught:
        read_images(files)
    text = str(caught.value)
    assert text.startswith(f"11 images cannot be read: '{files[1]}' (it is empty), '{files[2]}' (")
    assert text.endswith(" and 1 more")
    assert all(f"/{index:02}.png'" in text for index in range(1, 11))
    assert "\n" not in text


def test_folders_and_huge_images_get_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="it is a folder: give its files"):
        read_image(tmp_path)
    path = saved(tmp_path, Image.new("L", (30, 30)), "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(InputError, match=r"large\.png.* has more pixels than the 800 that Pillow decodes"):
        read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert read_image(path).shape == (30, 30, 1)  # Pillow only warns


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 4}, "channels must be 1 for grey, 3 for RGB, or None for the file's own, not 4"),
        ({"background": 0}, r"background must be \(red, green, blue\), each 0-255, or None, not 0"),
        ({"background": (0, 0, 256)}, "background must be"),
    ],
)
def test_arguments_are_not_taken_for_the_files_faults(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGBA", (3, 3)), "clear.png")
    with pytest.raises(InputError, match=message):
        read_image(path, **options)
    assert (read_image(path, background=[255, 0, 0])[0, 0] == [255, 0, 0]).all()  # type: ignore[arg-type]


def test_random_exif_never_loses_an_image(tmp_path: Path, colour: np.ndarray) -> None:
    check_random_exif(tmp_path, colour, 100)


@pytest.mark.slow
def test_two_thousand_random_exif_blocks(tmp_path: Path, colour: np.ndarray) -> None:
    check_random_exif(tmp_path, colour, 2000)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_orientation_next_to_damaged_exif_entries_is_applied(tmp_path: Path, colour: np.ndarray, form: str) -> None:
    notes = Image.Exif()
    notes[0x0112], notes[0x011A], notes[0x010F] = 6, 72.0, "A maker whose name is long"
    whole = notes.tobytes()
    cut = whole[: 6 + 8 + 2 + 3 * 12 + 4]  # the entries, without the values that they refer to
    assert b"maker" in whole
    assert b"maker" not in cut
    path = tmp_path / f"photo.{form.lower()}"
    Image.fromarray(colour).save(path, form, exif=cut, lossless=True)
    np.testing.assert_array_equal(read_image(path), np.rot90(colour, -1))


def check_random_exif(folder: Path, colour: np.ndarray, count: int) -> None:
    """Write random bytes or damaged EXIF data where a camera writes EXIF data; every image must be read."""
    rng = np.random.default_rng(0)
    notes = Image.Exif()
    notes[0x0112], notes[0x011A], notes[0x010F] = 6, (72, 1), "Maker"
    good = notes.tobytes()
    turned = np.rot90(colour, -1)
    for index in range(count):
        block = bytearray(good)
        if index % 3 == 0:
            block = bytearray(good[:6] + (b"II*\0" if index % 2 else b"MM\0*") + rng.bytes(int(rng.integers(80))))
        elif index % 3 == 1:
            for position in rng.integers(6, len(block), 5):
                block[position] = rng.integers(256)
        else:
            del block[rng.integers(6, len(block)) :]
        form = ("PNG", "WEBP")[index % 2]
        path = folder / f"{index}.{form.lower()}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.fromarray(colour).save(path, form, exif=bytes(block), lossless=True)
        read = read_image(path)
        same = [np.array_equal(read, turn) for turn in eight_ways(colour)]
        assert any(same), path
    Image.fromarray(colour).save(folder / "good.png", exif=good)
    np.testing.assert_array_equal(read_image(folder / "good.png"), turned)


def eight_ways(pixels: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(side, turns) for side in (pixels, pixels[:, ::-1]) for turns in range(4)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_does(tmp_path: Path, colour: np.ndarray, orientation: int) -> None:
    notes = Image.Exif()
    notes[0x0112] = orientation
    for name in ("photo.png", "photo.tif"):
        path = saved(tmp_path, Image.fromarray(colour), name, exif=notes)
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_image(path), np.asarray(ImageOps.exif_transpose(image)))


FORMATS = ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000", "TGA", "ICO", "AVIF", "PCX", "SGI", "QOI"]


@pytest.mark.parametrize("form", [*FORMATS, "DIB", "SPIDER"])
def test_every_format_is_read_whatever_its_name(tmp_path: Path, form: str) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    smooth = np.add.outer(np.arange(0, 160, 10), np.arange(0, 80, 5))[..., None].repeat(3, 2).astype(np.uint8)
    if form == "SPIDER":  # 32 bits per channel
        Image.fromarray(smooth[..., 0].astype(np.float32)).save(tmp_path / "image", form)
        with pytest.raises(InputError, match="32 bits a channel"):
            read_image(tmp_path / "image")
        return
    image = Image.fromarray(smooth)
    (image.quantize(256) if form == "GIF" else image).save(tmp_path / "image", form)
    pixels = read_image(tmp_path / "image")
    assert pixels.shape == smooth.shape
    np.testing.assert_allclose(pixels.astype(int), smooth, atol=8)


def test_damaged_images_are_read_or_named(tmp_path: Path, colour: np.ndarray) -> None:
    check_damaged(tmp_path, colour, 8)


@pytest.mark.slow
def test_two_thousand_eight_hundred_damaged_images(tmp_path: Path, colour: np.ndarray) -> None:
    check_damaged(tmp_path, colour, 200)


def check_damaged(folder: Path, colour: np.ndarray, count: int) -> None:
    """Cut images short and change bytes anywhere or in the header, `count` times for each of 14 formats."""
    rng = np.random.default_rng(1)
    outcomes: Counter[str] = Counter()
    messages = []
    for form in FORMATS:
        if form == "AVIF" and not features.check("avif"):
            continue
        content = BytesIO()
        Image.fromarray(colour).convert("P" if form == "GIF" else "RGB").save(content, form)
        for index in range(count):
            damaged = bytearray(content.getvalue())
            if index % 3 == 0:
                del damaged[rng.integers(len(damaged)) :]
            else:
                reach = len(damaged) if index % 3 == 1 else min(64, len(damaged))
                for position in rng.integers(reach, size=rng.integers(1, 12)):
                    damaged[position] = rng.integers(256)
            path = folder / f"damaged.{form.lower()}"
            path.write_bytes(damaged)
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "1 image has")
                    image = read_image(path)
            except InputError as error:
                outcomes["named"] += 1
                messages.append(str(error).partition(f"cannot read image '{path}': "))
            else:
                outcomes["read"] += 1
                assert image.dtype == np.uint8
                assert image.shape[2] in (1, 3)
    assert min(outcomes.values()) > count
    assert all(not before and named and reason and "\n" not in reason for before, named, reason in messages)
