"""How many images a share of bytes holds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from clbench.codecs.protocol import Codec


def num_that_fit(
    codec: Codec,
    grid_NChw: Tensor,
    num_bytes: int,
    *,
    each: int = 0,
    before: Tensor | None = None,
) -> int:
    """Return the largest n found such that the first n images fit.

    A stream of one image more is almost never shorter; the search takes that for granted, and what
    it returns is known to fit.

    Args:
        codec: writes the stream.
        grid_NChw: images of one class in the order in which they are to be kept.
        num_bytes: of the stream and of what belongs to its images.
        each: bytes that belong to one image beside the stream, as its soft label.
        before: images that the stream holds already (and whose ``each`` counts too).
    """
    kept = grid_NChw[:0] if before is None else before

    def fits(n: int) -> bool:
        images = torch.cat([kept, grid_NChw[:n]]) if len(kept) else grid_NChw[:n]
        size = len(codec.encode(images)) if len(images) else 0
        return size + each * len(images) <= num_bytes

    # Where `before` alone is too much, nothing is added.
    num = len(grid_NChw)
    return num if fits(num) else largest_that_fits(num, fits, step=8)


def largest_that_fits(below: int, fits: Callable[[int], bool], *, step: int) -> int:
    """Return the largest n found below ``below`` that fits; 0 is taken to fit.

    Args:
        below: known or taken not to fit.
        fits: asked of few large numbers, because these take longest.
        step: first number that is asked; it doubles while it fits.
    """
    low, high = 0, below
    while low + step < high and fits(low + step):
        low, step = low + step, 2 * step
    high = min(high, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
