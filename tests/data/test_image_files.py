from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clbench.data import image_files
from clbench.data.folders import RULE
from clbench.data.image_files import ImageRule, decode, header
from clbench.errors import InputError
from tests.data import pictures


def saved(image: Image.Image, kind: str = "PNG", **extra: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **extra)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    found = decode(pictures.image(1, 12, 12, kind=kind), RULE, 3, 12)
    assert np.array_equal(found, pictures.pixels(1, 12, 12).transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_close(kind: str) -> None:
    found = decode(pictures.image(1, 64, 64, kind=kind), RULE, 3, 64)
    expected = pictures.pixels(1, 64, 64).transpose(2, 0, 1)
    assert np.abs(found.astype(int) - expected).mean() < 12


@given(st.integers(8, 60), st.integers(8, 60), st.integers(8, 40))
def test_the_centre_is_what_is_kept(height: int, width: int, side: int) -> None:
    """An image that is bright in its central square and dark outside becomes bright."""
    values = np.zeros((height, width, 3), np.uint8)
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    values[top : top + short, left : left + short] = 255
    found = decode(saved(Image.fromarray(values)), RULE, 3, side)
    assert found.shape == (3, side, side)
    # Half a pixel at either edge may come from outside, where the margin is odd.
    assert found[:, 2:-2, 2:-2].min() == 255


def test_resizing_is_a_resize_of_the_shorter_side_and_a_centre_crop() -> None:
    smooth = Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    found = decode(saved(smooth), RULE, 3, 30)
    resized = smooth.resize((45, 30), Image.Resampling.BILINEAR)
    expected = np.asarray(resized)[:, 7:37].transpose(2, 0, 1).astype(int)
    shifted = np.asarray(resized)[:, 8:38].transpose(2, 0, 1).astype(int)
    error = np.abs(found - (expected + shifted) / 2)  # the margin is 7.5 pixels
    assert error.mean() < 3


def test_modes_of_few_bits() -> None:
    checks = Image.fromarray((np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)).convert("1")
    assert header(saved(checks), RULE).grey
    assert np.unique(decode(saved(checks), RULE, 1, 8)).tolist() == [0, 255]
    palette = Image.fromarray(pictures.pixels(3, 8, 8)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert not header(saved(palette), RULE).grey
    assert np.array_equal(
        decode(saved(palette), RULE, 3, 8), np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    )
    assert decode(pictures.image(1, 8, 8, mode="CMYK", kind="TIFF"), RULE, 3, 8).shape == (3, 8, 8)


def test_photographs_stand_upright() -> None:
    values = np.zeros((16, 16), np.uint8)
    values[:8] = 255
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    found = decode(saved(Image.fromarray(values), exif=turned), RULE, 1, 16)
    assert np.array_equal(found[0], values[::-1])


def test_opaque_alpha_is_dropped_and_transparency_refused() -> None:
    values = pictures.pixels(1, 8, 8, 4).copy()
    values[:, :, 3] = 255
    assert np.array_equal(
        decode(saved(Image.fromarray(values)), RULE, 3, 8), values[:, :, :3].transpose(2, 0, 1)
    )
    values[0, 0, 3] = 254
    with pytest.raises(InputError, match="expected opaque pixels"):
        decode(saved(Image.fromarray(values)), RULE, 3, 8)
    with pytest.raises(InputError, match="expected opaque pixels"):
        grey = Image.fromarray(np.zeros((8, 8), np.uint8))
        decode(saved(grey, transparency=0), RULE, 1, 8)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_refused(mode: str) -> None:
    kind = "TIFF"
    with pytest.raises(InputError, match="expected 8 bits per channel, found pixels of "):
        header(saved(Image.new(mode, (8, 8)), kind), RULE)


def test_the_limit_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pictures.image(1, 10, 10)
    monkeypatch.setattr(image_files, "MAX_PIXELS", 100)
    assert not header(content, RULE).grey
    monkeypatch.setattr(image_files, "MAX_PIXELS", 99)
    with pytest.raises(InputError, match="at most 99 pixels, found 10 x 10; cut it into tiles"):
        header(content, RULE)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_garbage_is_never_more_than_one_line(noise: bytes, cut: int) -> None:
    whole = pictures.image(2, 16, 16)
    for content in (noise, whole[:cut] + noise):
        try:
            decode(content, RULE, 3, 16)
        except InputError as error:
            assert "\n" not in str(error) and str(error).startswith("expected")


def png_of(bits: int, colour: int, width: int = 4, height: int = 4) -> bytes:
    """A PNG of any bit depth, written by hand: Pillow writes no colours of 16 bits."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + -(-width * channels * bits // 8))

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = zlib.compress(row * height)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_sixteen_bits_of_a_png_are_refused_whatever_its_colours(colour: int) -> None:
    with pytest.raises(InputError, match="expected 8 bits per channel, found .*16"):
        decode(png_of(16, colour), RULE, 3, 4)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_few_bits_is_read(bits: int) -> None:
    assert decode(png_of(bits, 0), RULE, 1, 4).shape == (1, 4, 4)


def test_colours_of_sixteen_bits_in_a_tiff_are_refused() -> None:
    """A TIFF of 2 x 2 pixels, three channels of 16 bits, little-endian (TIFF 6.0, section 6)."""
    tags = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, 300), (277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, 24)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    content = content.ljust(200, b"\0") + struct.pack("<HHH", 16, 16, 16)
    with pytest.raises(InputError, match="expected 8 bits per channel, found 16 bits; convert"):
        header(content.ljust(324, b"\0"), RULE)


def test_of_a_photograph_with_a_preview_the_first_picture_is_taken() -> None:
    first, second = (Image.fromarray(pictures.pixels(n, 16, 16)) for n in (1, 2))
    out = io.BytesIO()
    first.save(out, "MPO", save_all=True, append_images=[second], quality=95)
    rule = ImageRule(("JPEG",), first_of_two=True)
    assert header(out.getvalue(), rule) == (False, True)
    found = decode(out.getvalue(), rule, 3, 16).transpose(1, 2, 0).astype(int)
    assert abs(found - np.asarray(first).astype(int)).mean() < 20
    with pytest.raises(InputError, match="expected a JPEG image, found MPO"):
        header(out.getvalue(), ImageRule(("JPEG",)))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_moving_pictures_are_refused(kind: str) -> None:
    frames = [Image.fromarray(pictures.pixels(n, 16, 16)) for n in (1, 2)]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="expected one image, found 2 in one file|found GIF"):
        header(out.getvalue(), RULE)
