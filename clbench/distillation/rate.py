"""How many bits images cost that are being learnt, as a loss: the rate of rate-distortion.

What is learnt departs from what real images look like, and the codec's adaptive contexts then
predict it worse: at equal bytes fewer images fit. A rate term pulls every pixel towards the level
that is likely beside its neighbours.

Legend of shape suffixes: N images, C channels, h and w of the codec's grid, P pixels C * h * w of
an image, L grey levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.codecs.protocol import Codec, Levelled
from clbench.types import LabelledImages

MOST_REAL = 1000  # images of a class whose levels are counted
_POSITION_WEIGHT = 4.0  # of the chances without position, in counts of those with it
_AROUND = ((0, -1), (-1, 0), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True, eq=False)
class _Costs:
    """Bits of every level given its neighbours, in real images of one class.

    A pixel's neighbours before and after it are both known here, as in Besag's pseudo-likelihood
    ("Statistical Analysis of Non-Lattice Data", The Statistician, 1975): what a pixel costs so is
    roughly what changing it alone changes in the length of the stream.

    Attributes:
        bits: (contexts, P, L).
        num_levels: L.
    """

    bits: Tensor
    num_levels: int

    @staticmethod
    def counted(levels_NChw: Tensor, num_levels: int) -> _Costs:
        """Count the levels of real images."""
        context = _contexts(levels_NChw, num_levels).flatten(1)
        levels = levels_NChw.flatten(1)
        num_contexts, num_pixels = _num_contexts(num_levels), levels.shape[1]
        place = torch.arange(num_pixels, device=levels.device)
        cells = ((context * num_pixels + place) * num_levels + levels).flatten()
        shape = (num_contexts, num_pixels, num_levels)
        counts = torch.bincount(cells, minlength=num_contexts * num_pixels * num_levels)
        counts = counts.reshape(shape).float()
        everywhere = counts.sum(1, keepdim=True) + 1 / num_levels
        chances = everywhere / everywhere.sum(-1, keepdim=True)
        counts = counts + _POSITION_WEIGHT * chances
        return _Costs(-(counts / counts.sum(-1, keepdim=True)).log2(), num_levels)

    def slopes(self, levels_NChw: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, C, h, w): bits per level that a pixel is raised by, and bits of its own."""
        context = _contexts(levels_NChw, self.num_levels).flatten(1)
        place = torch.arange(context.shape[1], device=context.device)
        bits = self.bits[context, place]  # (N, P, L)
        level = levels_NChw.flatten(1)[..., None]
        below, above = (level - 1).clamp_min(0), (level + 1).clamp_max(self.num_levels - 1)
        rise = bits.gather(2, above) - bits.gather(2, below)
        slope = rise / (above - below)
        shape = levels_NChw.shape
        return slope.reshape(shape), bits.gather(2, level).reshape(shape)


def _steps(num_levels: int) -> tuple[int, int]:
    """How many neighbours a context tells, and in how many levels: 256 contexts at most."""
    return (8, 2) if num_levels == 2 else (4, min(num_levels, 4))


def _num_contexts(num_levels: int) -> int:
    num, told = _steps(num_levels)
    return int(told**num)


def _contexts(levels_NChw: Tensor, num_levels: int) -> Tensor:
    num, told = _steps(num_levels)
    padded = F.pad(levels_NChw * told // num_levels, (1, 1, 1, 1))
    h, w = levels_NChw.shape[2:]
    context = torch.zeros_like(levels_NChw)
    for dy, dx in _AROUND[:num]:
        context = context * told + padded[..., 1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
    return context


class Rate:
    """Bits of an image on average, with their gradient in the pixels.

    Attributes:
        bits: of an image, at the last call.
    """

    def __init__(self, num_levels: int, costs: Sequence[_Costs], counts: Sequence[int]) -> None:
        """Remember the costs of each class and how many images it has; see `rate_of`."""
        self._top, self._costs, self._counts = num_levels - 1, costs, list(counts)
        self.bits = 0.0

    def __call__(self, grid_NChw: Tensor) -> Tensor:
        """Return the mean bits of an image; ``grid_NChw`` is on the 0..1 scale.

        Its value is that of the rounded pixels. Its gradient in a pixel is the difference of the
        neighbouring levels' bits, while all other pixels stay as they are.
        """
        top = self._top
        levels = (grid_NChw.detach().clamp(0, 1) * top).round().to(torch.int64)
        pairs = zip(self._costs, levels.split(self._counts), strict=True)
        slopes, bits = zip(*(costs.slopes(mine) for costs, mine in pairs), strict=True)
        slope, num = torch.cat(slopes) * top, len(grid_NChw)
        value = torch.cat(bits).sum() / num
        self.bits = float(value)
        # The grid less itself is 0 and brings the gradient alone.
        return value + (slope * (grid_NChw - grid_NChw.detach())).sum() / num


def rate_of(
    codec: Codec, real: LabelledImages, classes: Sequence[int], counts: Sequence[int]
) -> Rate | None:
    """Return the rate of images of ``classes``; None where the codec has no levels to count.

    Args:
        codec: what the images will be written by.
        real: images whose levels are counted, the first `MOST_REAL` of each class.
        classes: ascending, as the images being learnt.
        counts: how many images of each are learnt.
    """
    if not isinstance(codec, Levelled):
        return None
    found = []
    for c in classes:
        index = (real.hard_labels == c).nonzero().flatten()[:MOST_REAL]
        grid = codec.rounded(codec.reduced(real.images[index]))
        levels = codec.numbers(grid).to(real.images.device)
        found.append(_Costs.counted(levels, codec.levels))
    return Rate(codec.levels, found, counts)
