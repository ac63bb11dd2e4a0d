"""``levels:side=S,levels=L[,blur=B]``: few grey levels, arithmetic-coded with contexts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from clbench.codecs.contexts import decode_levels, encode_levels
from clbench.codecs.protocol import Shape, read_number, torn, write_number
from clbench.codecs.scaling import area_sums, as_floats, blurred, grown, scaled, shrunk
from clbench.errors import InputError


@dataclass(frozen=True)
class LevelsCodec:
    """Images of S x S pixels in L equidistant levels; a channel is coded after the one before it.

    A stream is the number of images (one byte up to 127) and `clbench.codecs.contexts`'s bits.

    Attributes:
        side: S; the shorter side has fewer pixels where images are not square.
        levels: L.
        blur: standard deviation, in pixels of the image, of a Gaussian after up-scaling.
    """

    side: int
    levels: int
    blur: float = 0.0
    coarse = True

    @property
    def name(self) -> str:
        """See `Codec`."""
        more = f",blur={self.blur:g}" if self.blur else ""
        return f"levels:side={self.side},levels={self.levels}{more}"

    def check(self, shape: Shape) -> None:
        """See `Codec`."""
        if self.side > max(shape[1:]):
            raise InputError(
                f"{self.name}: expected a side of 1 to {max(shape[1:])} for images of "
                f"{shape[1]} x {shape[2]}, found {self.side}"
            )

    def grid(self, shape: Shape) -> Shape:
        """See `Codec`."""
        return scaled(shape, self.side)

    def image_bytes(self, shape: Shape) -> None:
        """See `Codec`."""
        return None

    def reduced(self, images_NCHW: Tensor) -> Tensor:
        """See `Codec`; uint8 images come back rounded to levels, in integer arithmetic."""
        _, h, w = self.grid(tuple(images_NCHW.shape[1:]))  # type: ignore[arg-type]
        if images_NCHW.dtype != torch.uint8:
            return shrunk(images_NCHW, h, w)
        sums, sizes = area_sums(images_NCHW.cpu(), h, w)
        whole = 255 * sizes
        levels = (2 * sums * (self.levels - 1) + whole) // (2 * whole)
        return self._pixels(levels).to(images_NCHW.device)

    def rounded(self, grid_NChw: Tensor) -> Tensor:
        """See `Codec`."""
        top = self.levels - 1
        if grid_NChw.dtype == torch.uint8:
            return self._pixels(self.numbers(grid_NChw))
        return self._pixels((as_floats(grid_NChw).clamp(0, 1) * top).round().to(torch.int64))

    def encode(self, grid_NChw: Tensor) -> bytes:
        """See `Codec`."""
        levels = self.numbers(self.rounded(grid_NChw).cpu()).numpy()
        return write_number(len(levels)) + encode_levels(levels, self.levels)

    def decode(self, stream: bytes, shape: Shape) -> Tensor:
        """See `Codec`."""
        return self.decode_first(stream, shape, None)

    def decode_first(self, stream: bytes, shape: Shape, most: int | None) -> Tensor:
        """See `Beginning`; None is all images."""
        num, start = read_number(self, stream)
        # A pixel costs 1 / 65,536 of a bit at least, and a stream of nothing has no bits.
        if num * numpy.prod(self.grid(shape)) > 2**17 * 8 * (len(stream) - start + 1):
            raise torn(self, f"{len(stream)} bytes hold no {num} images")
        try:
            levels = decode_levels(stream[start:], num, self.grid(shape), self.levels, most)
        except ValueError as error:
            raise torn(self, str(error)) from None
        return self._pixels(torch.from_numpy(levels))

    def enlarged(self, grid_NChw: Tensor, shape: Shape) -> Tensor:
        """See `Codec`."""
        return blurred(grown(grid_NChw, shape[1], shape[2]), self.blur)

    def _pixels(self, levels: Tensor) -> Tensor:
        top = self.levels - 1
        return ((2 * 255 * levels + top) // (2 * top)).to(torch.uint8)

    def numbers(self, pixels: Tensor) -> Tensor:
        """Return the levels, 0 to L - 1, of uint8 pixels."""
        top = self.levels - 1
        return (2 * top * pixels.to(torch.int64) + 255) // 510
