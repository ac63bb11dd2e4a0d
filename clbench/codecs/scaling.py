"""Scaling images down to a grid and up again.

Downwards in integers for uint8 images, so that what is written of real images is the same on every
machine; in floats, differentiably, for images that are learnt.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def scaled(shape: tuple[int, int, int], side: int) -> tuple[int, int, int]:
    """Return (C, h, w) whose longer side has ``side`` pixels; the other is rounded down."""
    longest = max(shape[1:])
    h, w = (max(1, size * side // longest) for size in shape[1:])
    return shape[0], h, w


def windows(size: int, wanted: int) -> Tensor:
    """Return (wanted, 2): first and last-but-one pixel of each window of area scaling."""
    edges = [(i * size // wanted, -(-(i + 1) * size // wanted)) for i in range(wanted)]
    return torch.tensor(edges)


def area_sums(images_NCHW: Tensor, h: int, w: int) -> tuple[Tensor, Tensor]:
    """Return sums (N, C, h, w) of uint8 pixels over the windows of `windows`, and their sizes."""
    rows, columns = windows(images_NCHW.shape[2], h), windows(images_NCHW.shape[3], w)
    total = F.pad(images_NCHW.to(torch.int64).cumsum(2).cumsum(3), (1, 0, 1, 0))
    tall = total[:, :, rows[:, 1]] - total[:, :, rows[:, 0]]
    sums = tall[:, :, :, columns[:, 1]] - tall[:, :, :, columns[:, 0]]
    sizes = (rows[:, 1] - rows[:, 0])[:, None] * (columns[:, 1] - columns[:, 0])[None]
    return sums, sizes


def shrunk(images_NCHW: Tensor, h: int, w: int) -> Tensor:
    """Return the images averaged over the windows of h x w pixels; uint8 in, uint8 out."""
    if tuple(images_NCHW.shape[2:]) == (h, w):
        return images_NCHW
    if images_NCHW.dtype == torch.uint8:
        sums, sizes = area_sums(images_NCHW.cpu(), h, w)
        rounded = (2 * sums + sizes) // (2 * sizes)
        return rounded.to(torch.uint8).to(images_NCHW.device)
    return F.interpolate(images_NCHW, size=(h, w), mode="area")


def grown(grid_NChw: Tensor, height: int, width: int) -> Tensor:
    """Return float pixels scaled to ``height`` x ``width`` bilinearly; differentiable."""
    if tuple(grid_NChw.shape[2:]) == (height, width):
        return grid_NChw
    size = (height, width)
    return F.interpolate(grid_NChw, size=size, mode="bilinear", align_corners=False)


def blurred(images_NCHW: Tensor, sigma: float) -> Tensor:
    """Return float images after a Gaussian of ``sigma`` pixels, edges repeated; differentiable."""
    if not sigma:
        return images_NCHW
    reach = max(1, math.ceil(3 * sigma))
    at = torch.arange(-reach, reach + 1, dtype=images_NCHW.dtype, device=images_NCHW.device)
    weights = torch.exp(-(at**2) / (2 * sigma**2))
    weights = weights / weights.sum()
    channels = images_NCHW.shape[1]
    padded = F.pad(images_NCHW, (reach,) * 4, mode="replicate")
    tall = weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    wide = weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(padded, tall, groups=channels), wide, groups=channels)


def as_uint8(pixels: Tensor) -> Tensor:
    """Return pixels in uint8: floats are clamped to 0..1 and rounded to the nearest of 256."""
    if pixels.dtype == torch.uint8:
        return pixels
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)


def as_floats(pixels: Tensor) -> Tensor:
    """Return pixels in float32 on the 0..1 scale."""
    return pixels if pixels.dtype == torch.float32 else pixels.float() / 255
