"""One image file: checked by its header before a pixel is decoded, then decoded to one size.

The rule for sizes: the largest centred square, resized to the wanted side (Pillow's bilinear
filter, which averages where it shrinks); that is a resize of the shorter side and a centre crop. A
square image of the wanted side keeps its pixels. The rule for colours: a set whose images are all
grey has one channel; otherwise all have three, and a grey image has the same in each. Transparency
and more than 8 bits per channel are refused: what they should look like is the owner's to say. The
bits are those of the file's header, because Pillow opens colours of 16 bits as if they had 8. So
are files of several pictures, except for the JPEG of two that telephones write (MPO: the photograph
first, then a preview or the other eye's view).
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from clbench.errors import InputError

Pixels = npt.NDArray[np.uint8]

# 8192 x 8192; a scan of a whole slide is cut into tiles first.
MAX_PIXELS = 2**26
# Formats that are looked for; Pillow knows many more, each with a decoder of its own to attack.
_KNOWN = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
_GREY, _COLOUR = ("1", "L"), ("P", "RGB", "CMYK", "YCbCr")
# Modes that are known and refused, in words.
_WIDE = {"I": "I (32 bits)", "F": "F (32-bit floats)", "LAB": "LAB colours", "HSV": "HSV colours"}
_WIDE |= dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), "I;16 (16 bits)")
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclass(frozen=True)
class ImageRule:
    """What every image of a set must be.

    Attributes:
        formats: as Pillow calls them.
        size: (width, height) in pixels; None for any.
        mode: Pillow's mode; None for any of at most 8 bits per channel.
        first_of_two: of a JPEG file with several pictures (MPO) the first one is taken.
    """

    formats: tuple[str, ...]
    size: tuple[int, int] | None = None
    mode: str | None = None
    first_of_two: bool = False


class Header(NamedTuple):
    """What the header of an image says.

    Attributes:
        grey: it has one channel.
        several: it holds several pictures, of which the first one is taken.
    """

    grey: bool
    several: bool


def header(content: bytes, rule: ImageRule) -> Header:
    """Check an image by its header alone.

    Raises:
        InputError: not an image of the rule's formats, size or mode, or too large.
    """
    image = _opened(content, rule)
    return Header(image.mode in _GREY, image.format == "MPO")


def decode(content: bytes, rule: ImageRule, channels: int, side: int) -> Pixels:
    """The pixels of an image, (channels, side, side) uint8; see the module for the rules.

    Raises:
        InputError: as `header`; broken pixels, or transparent ones.
    """
    image = _opened(content, rule)
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        _check_opaque(upright)
        plain = upright.convert("RGB" if channels == 3 else "L")
        if plain.size != (side, side):
            plain = ImageOps.fit(plain, (side, side), Image.Resampling.BILINEAR)
    except InputError:
        raise
    except Exception as error:
        raise _broken(error) from None
    pixels = np.asarray(plain, dtype=np.uint8)
    return np.ascontiguousarray(pixels.reshape(side, side, channels).transpose(2, 0, 1))


def _broken(error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"expected a whole image, found broken pixels ({reason}); get it again")


def _opened(content: bytes, rule: ImageRule) -> Any:
    kinds = " or ".join(rule.formats)
    if not content:
        raise InputError(f"expected a {kinds} image, found an empty file")
    try:
        with warnings.catch_warnings():
            # Our own limit follows; Pillow's, which is wider, is an error from the start.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_KNOWN)
        frames = getattr(image, "n_frames", 1)
    except Image.DecompressionBombError as error:
        raise InputError(f"expected at most {MAX_PIXELS:,} pixels, found more ({error})") from None
    # Decoders raise whatever a broken file makes them stumble over.
    except Exception:
        raise InputError(f"expected a {kinds} image, found something else") from None
    photograph = image.format == "MPO" and rule.first_of_two and "JPEG" in rule.formats
    if image.format not in rule.formats and not photograph:
        raise InputError(f"expected a {kinds} image, found {image.format}")
    _check_size(image.size, rule)
    _check_mode(image, rule)
    _check_bits(image, content)
    if frames != 1 and not photograph:
        raise InputError(f"expected one image, found {frames} in one file; take them apart")
    return image


def _check_size(size: tuple[int, int], rule: ImageRule) -> None:
    found = f"{size[0]:,} x {size[1]:,}"
    if rule.size is not None and size != rule.size:
        raise InputError(f"expected {rule.size[0]} x {rule.size[1]} pixels, found {found}")
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"expected at most {MAX_PIXELS:,} pixels, found {found}; cut it into tiles"
        )


def _check_mode(image: Any, rule: ImageRule) -> None:
    if rule.mode is not None and image.mode != rule.mode:
        raise InputError(f"expected {rule.mode} pixels, found {image.mode}; convert it")
    if image.mode not in (*_GREY, *_COLOUR, *_TRANSPARENT):
        raise InputError(
            f"expected 8 bits per channel, found pixels of {_WIDE.get(image.mode, image.mode)}; "
            "convert it to 8 bits, grey or RGB"
        )


def _check_bits(image: Any, content: bytes) -> None:
    """Refuse what Pillow would cut down to 8 bits, or read as what it is not, without a word."""
    if image.format == "PNG":
        bits, kind = content[24], "whole"  # of IHDR, the first chunk (PNG, 3rd edition, 11.2.1)
    elif image.format == "TIFF":
        numbers = [int(one) for one in image.tag_v2.get(258, (1,))]  # BitsPerSample
        kinds = image.tag_v2.get(339, (1,))  # SampleFormat: 1 is unsigned
        bits, kind = max(numbers), "whole" if set(kinds) <= {1, 4} else "signed or broken"
    else:
        return
    if bits > 8 or kind != "whole":
        found = f"{bits} bits" if kind == "whole" else f"{kind} numbers of {bits} bits"
        raise InputError(
            f"expected 8 bits per channel, found {found}; convert it to 8 bits: which value is "
            "white only you know"
        )


def _check_opaque(image: Any) -> None:
    if image.mode not in _TRANSPARENT and "transparency" not in image.info:
        return
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    if lowest < 255:
        raise InputError(
            "expected opaque pixels, found transparent ones; lay the image on a background first "
            "(only you know its colour)"
        )
