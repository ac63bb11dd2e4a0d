"""Codecs that write a library's picture files: PNG, WebP, JPEG and AVIF by Pillow.

A lossless file gives the same pixels everywhere. How a lossy one is written, and the last bit of
how it is read, is the installed library's choice: memories are exact inverses on one machine, and
sets that travel hold their streams, not their pixels.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from PIL import Image, features
from torch import Tensor

from clbench.codecs.protocol import Shape, read_number, torn, write_number
from clbench.codecs.scaling import as_uint8, grown, scaled, shrunk
from clbench.errors import InputError

_MODES = {1: "L", 3: "RGB"}
_MOST_PIXELS = 1 << 28  # of one picture


@dataclass(frozen=True)
class PillowCodec:
    """Files of ``kind``: one mosaic of all images of a class, or one file for each image.

    A stream is the number of images and the files, each after its length.

    Attributes:
        kind: "png", "webp", "jpeg" or "avif".
        quality: the library's; None for PNG; 100 of WebP is lossless.
        mosaic: 1 or 0; the places of a mosaic that are left over repeat the last image.
        side: pixels of the longer side that is written; 0 keeps the images' size.
    """

    kind: str
    quality: int | None = None
    mosaic: int = 1
    side: int = 0

    def __post_init__(self) -> None:
        if not features.check({"png": "zlib", "jpeg": "jpg"}.get(self.kind, self.kind)):
            raise InputError(
                f"codec {self.kind}: expected a Pillow built with {self.kind}, found one without; "
                "install the wheel (pip install --force-reinstall pillow) or choose another codec"
            )

    @property
    def coarse(self) -> bool:
        """See `Codec`."""
        return not self._lossless

    @property
    def _lossless(self) -> bool:
        return self.quality is None or (self.kind == "webp" and self.quality == 100)

    @property
    def name(self) -> str:
        """See `Codec`."""
        told = [
            *([] if self.quality is None else [f"quality={self.quality}"]),
            *([] if self.mosaic else ["mosaic=0"]),
            *([f"side={self.side}"] if self.side else []),
        ]
        return ":".join(filter(None, [self.kind, ",".join(told)]))

    def check(self, shape: Shape) -> None:
        """See `Codec`."""
        if shape[0] not in _MODES:
            raise InputError(f"{self.name}: expected 1 or 3 channels, found {shape[0]}")
        if self.side > max(shape[1:]):
            raise InputError(
                f"{self.name}: expected a side of at most {max(shape[1:])} for images of "
                f"{shape[1]} x {shape[2]}, found {self.side}"
            )

    def grid(self, shape: Shape) -> Shape:
        """See `Codec`."""
        return scaled(shape, self.side or max(shape[1:]))

    def image_bytes(self, shape: Shape) -> None:
        """See `Codec`."""
        return None

    def reduced(self, images_NCHW: Tensor) -> Tensor:
        """See `Codec`."""
        _, h, w = self.grid(tuple(images_NCHW.shape[1:]))  # type: ignore[arg-type]
        return shrunk(images_NCHW, h, w)

    def rounded(self, grid_NChw: Tensor) -> Tensor:
        """See `Codec`; of a lossy kind, what comes back from the library."""
        pixels = as_uint8(grid_NChw)
        if self._lossless or not len(pixels):
            return pixels
        return self._read(self._written(pixels), tuple(pixels.shape[1:])).to(pixels.device)  # type: ignore[arg-type]

    def encode(self, grid_NChw: Tensor) -> bytes:
        """See `Codec`."""
        return self._written(grid_NChw)

    def decode(self, stream: bytes, shape: Shape) -> Tensor:
        """See `Codec`."""
        return self._read(stream, self.grid(shape))

    def enlarged(self, grid_NChw: Tensor, shape: Shape) -> Tensor:
        """See `Codec`."""
        return grown(grid_NChw, shape[1], shape[2])

    def _written(self, pixels_NChw: Tensor) -> bytes:
        pixels = as_uint8(pixels_NChw).cpu().permute(0, 2, 3, 1).numpy()
        if not len(pixels):
            return write_number(0)
        pictures = [_mosaic(pixels)] if self.mosaic else pixels
        files = [self._file(picture) for picture in pictures]
        parts = [write_number(len(file)) + file for file in files]
        return write_number(len(pixels)) + b"".join(parts)

    def _file(self, pixels_hwC: Any) -> bytes:
        picture = Image.fromarray(pixels_hwC[..., 0] if pixels_hwC.shape[2] == 1 else pixels_hwC)
        out = io.BytesIO()
        try:
            picture.save(out, self.kind.upper(), **self._options())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.name}: expected images that make one {self.kind}, found {picture.width} x "
                f"{picture.height} pixels ({error}); use mosaic=0, a smaller side or another codec"
            ) from None
        return out.getvalue()

    def _options(self) -> dict[str, Any]:
        if self.kind == "png":
            return {"optimize": True}
        if self.kind == "webp":
            # Method 6 takes twenty times as long for half a per cent.
            return {"lossless": self._lossless, "quality": self.quality, "method": 4}
        if self.kind == "jpeg":
            return {"quality": self.quality, "optimize": True}
        return {"quality": self.quality, "max_threads": 1, "autotiling": False}

    def _read(self, stream: bytes, grid: Shape) -> Tensor:
        num, start = read_number(self, stream)
        c, h, w = grid
        rows, columns = _layout(num) if self.mosaic else (1, 1)
        pictures = []
        for _ in range(min(num, 1) if self.mosaic else num):
            size, start = read_number(self, stream, start)
            file, start = stream[start : start + size], start + size
            if len(file) < size:
                raise torn(self, "it ends within a picture")
            pictures.append(self._picture(file, (c, rows * h, columns * w)))
        if start != len(stream):
            raise torn(self, "bytes after the last picture")
        if not pictures:
            return torch.zeros(0, c, h, w, dtype=torch.uint8)
        tiles = numpy.stack(pictures).reshape(-1, rows, h, columns, w, c)
        tiles = tiles.transpose(0, 1, 3, 5, 2, 4).reshape(-1, c, h, w)[:num]
        return torch.from_numpy(tiles.copy())

    def _picture(self, file: bytes, shape: Shape) -> Any:
        """(H, W, C) pixels of a file that is to hold just these."""
        c, h, w = shape
        if h * w > _MOST_PIXELS:
            raise torn(self, f"{h} x {w} pixels are no picture")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with Image.open(io.BytesIO(file), formats=[self.kind.upper()]) as opened:
                    if opened.size != (w, h):
                        raise torn(self, f"a picture of {opened.size[1]} x {opened.size[0]} pixels")
                    pixels = numpy.array(opened.convert(_MODES[c]))
        except InputError:
            raise
        except Exception as error:  # whatever a library says of bytes that are no picture
            raise torn(self, f"{type(error).__name__}: {error}") from None
        return pixels.reshape(h, w, c)


def _layout(num: int) -> tuple[int, int]:
    """Rows and columns of a mosaic of ``num`` images, nearly square."""
    columns = max(1, math.ceil(math.sqrt(num)))
    return math.ceil(num / columns), columns


def _mosaic(pixels_NhwC: Any) -> Any:
    """Lay (N, h, w, C) out as one picture (rows h, columns w, C)."""
    num, h, w, c = pixels_NhwC.shape
    rows, columns = _layout(num)
    last = numpy.repeat(pixels_NhwC[-1:], rows * columns - num, axis=0)
    tiles = numpy.concatenate([pixels_NhwC, last]).reshape(rows, columns, h, w, c)
    return numpy.ascontiguousarray(tiles.transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, c))
