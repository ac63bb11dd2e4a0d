"""Packing: a slot of H x W pixels that holds F x F down-scaled images of one class.

The partition of IDC (Kim et al., "Dataset Condensation via Efficient Synthetic-Data
Parameterization", ICML 2022, section 4): the slot's bytes do not change, each image is decoded by
bilinear up-scaling. Where H or W is not a multiple of F the last pixels of the slot stay unused.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def unpack(slots_NCHW: Tensor, factor: int) -> Tensor:
    """Decode float slots (N, C, H, W) to images (N * factor**2, C, H, W); differentiable.

    The images of slot n are entries ``n*factor**2 .. (n+1)*factor**2 - 1``, row by row.
    """
    if factor == 1:
        return slots_NCHW
    n, c, h, w = slots_NCHW.shape
    th, tw = h // factor, w // factor
    tiles = slots_NCHW[:, :, : th * factor, : tw * factor]
    tiles = tiles.reshape(n, c, factor, th, factor, tw).permute(0, 2, 4, 1, 3, 5)
    tiles = tiles.reshape(n * factor**2, c, th, tw)
    return F.interpolate(tiles, size=(h, w), mode="bilinear", align_corners=False)


def pack(images_NCHW: Tensor, factor: int) -> Tensor:
    """Down-scale float images (N * factor**2, C, H, W) into slots (N, C, H, W).

    Each image is averaged over the pixels that one of its tile's pixels covers.
    """
    if factor == 1:
        return images_NCHW
    n, c, h, w = images_NCHW.shape
    th, tw = h // factor, w // factor
    tiles = F.interpolate(images_NCHW, size=(th, tw), mode="area")
    tiles = tiles.reshape(n // factor**2, factor, factor, c, th, tw).permute(0, 3, 1, 4, 2, 5)
    slots = torch.zeros(n // factor**2, c, h, w, dtype=images_NCHW.dtype, device=images_NCHW.device)
    slots[:, :, : th * factor, : tw * factor] = tiles.reshape(-1, c, th * factor, tw * factor)
    return slots
