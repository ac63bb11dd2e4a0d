"""What a codec is.

Legend of shape suffixes: N images of one class, C channels, H and W height and width of an image, h
and w those of the *grid*, the pixels that are written for one image.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from clbench.errors import InputError

Shape = tuple[int, int, int]
"""(C, H, W)"""

MOST = 1 << 24  # images in a stream, or bytes of a picture; more in a header is no number


class Codec(Protocol):
    """Turns the images of one class into one stream of bytes and back.

    Images are scaled to the grid (`reduced`), written (`encode`), read again (`decode`), and scaled
    to their size (`enlarged`). ``decode(encode(x))`` is ``rounded(x)``, to the last bit. Pixels are
    uint8, or float32 on the 0..1 scale.
    """

    @property
    def name(self) -> str:
        """The canonical line that `clbench.codecs.parse` reads."""
        ...

    @property
    def coarse(self) -> bool:
        """Whether `rounded` is coarser than 256 levels, so that a distiller must see its result."""
        ...

    def check(self, shape: Shape) -> None:
        """Refuse images that cannot be written.

        Raises:
            InputError: naming what the codec expects.
        """
        ...

    def grid(self, shape: Shape) -> Shape:
        """Return (C, h, w) of what is written of an image of ``shape``."""
        ...

    def image_bytes(self, shape: Shape) -> int | None:
        """Return the bytes of each image, or None where they depend on the pixels."""
        ...

    def reduced(self, images_NCHW: Tensor) -> Tensor:
        """Return the images scaled to the grid (N, C, h, w); uint8 stays uint8, float float."""
        ...

    def rounded(self, grid_NChw: Tensor) -> Tensor:
        """Return what `decode` gives of the stream of these images, in the type that is stored."""
        ...

    def encode(self, grid_NChw: Tensor) -> bytes:
        """Return the stream of images of one class."""
        ...

    def decode(self, stream: bytes, shape: Shape) -> Tensor:
        """Return the pixels (N, C, h, w) of a stream; ``shape`` is that of an image.

        Raises:
            InputError: a stream that `encode` did not write.
        """
        ...

    def enlarged(self, grid_NChw: Tensor, shape: Shape) -> Tensor:
        """Return float pixels (N, C, h, w), on any scale, as images (N, C, H, W); linear."""
        ...


@runtime_checkable
class Levelled(Protocol):
    """A codec that writes one of few grey levels for every pixel, so that their bits are counted.

    Attributes:
        levels: how many.
    """

    levels: int

    def numbers(self, pixels: Tensor) -> Tensor:
        """Return the levels, 0 to ``levels`` - 1, of uint8 pixels that `Codec.rounded` gave."""
        ...


@runtime_checkable
class Beginning(Protocol):
    """A codec that reads the first images of a stream sooner than all of them."""

    def decode_first(self, stream: bytes, shape: Shape, most: int | None) -> Tensor:
        """Return what begins `Codec.decode`'s result, at most ``most`` images of it."""
        ...


def torn(codec: Codec, reason: str) -> InputError:
    """Return the error of a stream that ``codec`` did not write."""
    return InputError(
        f"expected a stream written by the codec {codec.name}, found another or a part of one "
        f"({reason}); distil or run anew"
    )


def write_number(number: int) -> bytes:
    """Return a whole number in 7 bits a byte, the lowest first (LEB128)."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def read_number(codec: Codec, stream: bytes, start: int = 0) -> tuple[int, int]:
    """Return a number of `write_number` and the position after it.

    Raises:
        InputError: no such number, or one over 2**24.
    """
    number = 0
    for place in range(4):
        if start + place >= len(stream):
            raise torn(codec, "it ends within a number")
        byte = stream[start + place]
        number |= (byte & 127) << 7 * place
        if byte < 128:
            if number > MOST or (place and not byte):
                raise torn(codec, f"{number} is no number of images or bytes")
            return number, start + place + 1
    raise torn(codec, "a number of more than 4 bytes")
