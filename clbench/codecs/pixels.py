"""Codecs that write pixels as they are: raw, float32, and tiles (down-scaled pixels)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor

from clbench.codecs.protocol import Shape, torn
from clbench.codecs.scaling import as_floats, as_uint8, grown, shrunk
from clbench.errors import NO_PIXELS, Diverged, InputError


@dataclass(frozen=True)
class Pixels:
    """uint8 or float32 pixels, one after the other.

    Attributes:
        factor: height and width are divided by it, rounded down; 1 keeps the size. With 2, four
            images take the bytes of one: the multi-formation of IDC (Kim et al., "Dataset
            Condensation via Efficient Synthetic-Data Parameterization", ICML 2022, section 4).
        floats: float32 at four bytes a pixel, instead of uint8.
    """

    factor: int = 1
    floats: bool = False
    coarse = False

    @property
    def name(self) -> str:
        """See `Codec`."""
        if self.floats:
            return "float32"
        return "raw" if self.factor == 1 else f"tiles:factor={self.factor}"

    def check(self, shape: Shape) -> None:
        """See `Codec`."""
        if self.factor > min(shape[1:]):
            raise InputError(
                f"{self.name}: expected a factor of 1 to {min(shape[1:])} for images of "
                f"{shape[1]} x {shape[2]}, found {self.factor}"
            )

    def grid(self, shape: Shape) -> Shape:
        """See `Codec`."""
        return shape[0], shape[1] // self.factor, shape[2] // self.factor

    def image_bytes(self, shape: Shape) -> int | None:
        """See `Codec`."""
        return self._num_bytes(shape)

    def reduced(self, images_NCHW: Tensor) -> Tensor:
        """See `Codec`; averages in floats, as IDC does."""
        if self.factor == 1:
            return images_NCHW
        _, h, w = self.grid(tuple(images_NCHW.shape[1:]))  # type: ignore[arg-type]
        small = shrunk(as_floats(images_NCHW), h, w)
        return as_uint8(small) if images_NCHW.dtype == torch.uint8 else small

    def rounded(self, grid_NChw: Tensor) -> Tensor:
        """See `Codec`."""
        return as_floats(grid_NChw) if self.floats else as_uint8(grid_NChw)

    def encode(self, grid_NChw: Tensor) -> bytes:
        """See `Codec`; floats are little-endian."""
        values = self.rounded(grid_NChw).cpu().contiguous().numpy()
        return bytes(values.astype(self._type).tobytes())

    def decode(self, stream: bytes, shape: Shape) -> Tensor:
        """See `Codec`."""
        each = self._num_bytes(shape)
        if len(stream) % each:
            raise torn(self, f"{len(stream)} bytes are no multiple of {each}")
        values = numpy.frombuffer(stream, self._type).reshape(-1, *self.grid(shape))
        pixels = torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))
        if self.floats and not (pixels.isfinite().all() and _on_scale(pixels)):
            raise Diverged(NO_PIXELS)
        return pixels

    def enlarged(self, grid_NChw: Tensor, shape: Shape) -> Tensor:
        """See `Codec`."""
        return grown(grid_NChw, shape[1], shape[2])

    def _num_bytes(self, shape: Shape) -> int:
        return math.prod(self.grid(shape)) * (4 if self.floats else 1)

    @property
    def _type(self) -> Any:
        return numpy.dtype("<f4" if self.floats else "u1")


def _on_scale(pixels: Tensor) -> bool:
    if not pixels.numel():
        return True
    low, high = pixels.aminmax()
    return bool(low >= -ROUNDING and high <= 1 + ROUNDING)


# Learnt images come back from a normalised scale in single precision.
ROUNDING = 1e-4
RAW = Pixels()


def tiles(factor: int) -> Pixels:
    """Make ``tiles:factor=F``."""
    return Pixels(factor)
