"""What a learner sees of images that are being learnt: what their codec reads back.

A distiller moves the pixels of the codec's grid. Where the codec is coarse (few levels, lossy
files), rounding has no gradient, and the straight-through estimator takes it for the identity
(Bengio, Leonard & Courville, "Estimating or Propagating Gradients Through Stochastic Neurons",
2013, arXiv 1308.3432): forward what is written, backward as if nothing had been rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clbench.codecs.protocol import Codec
from clbench.codecs.scaling import as_floats
from clbench.types import ImageSpec


@dataclass(frozen=True)
class Decoding:
    """From normalised pixels of the grid to normalised images.

    Attributes:
        codec: what the images will be written by.
        spec: shape and moments.
        counts: images of each class, in the order of the grid.
    """

    codec: Codec
    spec: ImageSpec
    counts: Sequence[int]

    def __call__(self, grid_NChw: Tensor) -> Tensor:
        """Return images (N, C, H, W); differentiable in the grid."""
        if self.codec.coarse:
            grid_NChw = grid_NChw + (self.written(grid_NChw) - grid_NChw).detach()
        return self.codec.enlarged(grid_NChw, self.spec.shape)

    def while_fixed(self, grid_NChw: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the same for a grid that keeps its values meanwhile: it is rounded here, once."""
        if not self.codec.coarse:
            return self
        moved = (self.written(grid_NChw) - grid_NChw).detach()
        return lambda grid: self.codec.enlarged(grid + moved, self.spec.shape)

    @torch.no_grad()
    def written(self, grid_NChw: Tensor) -> Tensor:
        """Return the normalised pixels that are read back."""
        pixels = self.spec.denormalise(grid_NChw).clamp(0, 1)
        parts = [as_floats(self.codec.rounded(part)) for part in pixels.split(list(self.counts))]
        return self.spec.normalise(torch.cat(parts))
