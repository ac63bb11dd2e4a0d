"""Differentiable siamese augmentation (DSA).

Zhao & Bilen, "Dataset Condensation with Differentiable Siamese Augmentation", ICML 2021, section 3
and appendix: each draw applies one operation, picked at random from the allowed ones. Images are
in normalised space and what moves in from outside is 0, as in the authors' experiments.

Ours: the operation is drawn per image (or per group of images, for siamese use) instead of per
batch, all geometric operations are one affine resampling, and every draw comes from the generator
that is passed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.errors import InputError
from clbench.types import ImageSpec

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")

# Strengths of the DSA paper's appendix, the same for every data set there.
SCALE_RATIO = 1.2
ROTATE_DEGREES = 15.0
CROP_RATIO = 0.125
CUTOUT_RATIO = 0.5
BRIGHTNESS = 1.0
SATURATION = 2.0
CONTRAST = 0.5


def parse(operations: str, spec: ImageSpec | None = None) -> str:
    """Check an augmentation string; ``auto`` becomes the data set's own.

    Raises:
        InputError: an unknown operation.
    """
    if operations == "auto":
        return spec.augmentation if spec else "none"
    if operations == "none":
        return operations
    unknown = [name for name in operations.split("_") if name not in OPERATIONS]
    if unknown:
        raise InputError(
            f"augmentation: expected auto, none, or operations of {', '.join(OPERATIONS)} joined "
            f"by _, found {operations!r}"
        )
    return operations


@dataclass(frozen=True)
class Draw:
    """Parameters of G draws of the augmentation, one per group (or per image).

    Attributes:
        affine: (G, 2, 3) in `torch.nn.functional.affine_grid`'s convention.
        brightness, saturation, contrast: (G,) addend and factors.
        cutout: (G, 2) centre row and column as fractions of the size; negative where none.
    """

    affine: Tensor
    brightness: Tensor
    saturation: Tensor
    contrast: Tensor
    cutout: Tensor

    def __call__(self, images_NCHW: Tensor, group: Tensor | None = None) -> Tensor:
        """Apply draw ``group[n]`` (or draw n) to image n; differentiable in the images."""

        def pick(values: Tensor) -> Tensor:
            values = values.to(images_NCHW.device)
            return values if group is None else values[group]

        x = _colour(images_NCHW, *map(pick, (self.brightness, self.saturation, self.contrast)))
        identity = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
        if not torch.equal(self.affine, identity.expand_as(self.affine)):
            # Of each draw one grid, which all its images share.
            size = [len(self.affine), *x.shape[1:]]
            affine = self.affine.to(x.device)
            grid = pick(F.affine_grid(affine, size, align_corners=True))
            x = F.grid_sample(x, grid, align_corners=True)
        if bool((self.cutout >= 0).any()):
            x = x * _cutout_mask(pick(self.cutout), *x.shape[2:])
        return x


def _colour(x: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    def column(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1, 1).to(x.dtype)

    x = x + column(brightness)
    if x.shape[1] > 1:
        grey = x.mean(1, keepdim=True)
        x = (x - grey) * column(saturation) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * column(contrast) + mean


def _cutout_mask(centre: Tensor, height: int, width: int) -> Tensor:
    def outside(middle: Tensor, size: int) -> Tensor:
        cut = int(size * CUTOUT_RATIO + 0.5)
        start = (middle * (size + 1 - cut % 2)).floor() - cut // 2
        position = torch.arange(size, device=centre.device)
        start = start.view(-1, 1)
        return (position < start) | (position >= start + cut)

    keep = outside(centre[:, 0], height)[:, :, None] | outside(centre[:, 1], width)[:, None, :]
    keep = keep | (centre[:, 0] < 0).view(-1, 1, 1)
    return keep[:, None].float()


def draw(operations: str, num: int, size: tuple[int, int], generator: torch.Generator) -> Draw:
    """Draw the parameters of ``num`` augmentations of images of ``size`` (H, W).

    The same number of random numbers is taken whatever the operations, so that two strategies with
    one seed stay in step.
    """
    names = [] if operations == "none" else operations.split("_")
    u = torch.rand(num, 10, generator=generator)
    chosen = (u[:, 0] * max(len(names), 1)).long()

    def active(name: str) -> Tensor:
        if name not in names:
            return torch.zeros(num, dtype=torch.bool)
        return chosen == names.index(name)

    one, zero = torch.ones(num), torch.zeros(num)
    low = 1 / SCALE_RATIO
    scale_x = torch.where(active("scale"), low + u[:, 1] * (SCALE_RATIO - low), one)
    scale_y = torch.where(active("scale"), low + u[:, 2] * (SCALE_RATIO - low), one)
    scale_x = torch.where(active("flip") & (u[:, 3] < 0.5), -one, scale_x)
    angle = torch.where(active("rotate"), (u[:, 4] - 0.5) * 2 * math.radians(ROTATE_DEGREES), zero)
    shifts = []
    for column, length in ((5, size[1]), (6, size[0])):
        most = int(length * CROP_RATIO + 0.5)
        pixels = (u[:, column] * (2 * most + 1)).floor() - most
        shifts.append(torch.where(active("crop"), 2 * pixels / max(length - 1, 1), zero))
    rows = [
        torch.stack([scale_x * angle.cos(), -scale_x * angle.sin(), shifts[0]], 1),
        torch.stack([scale_y * angle.sin(), scale_y * angle.cos(), shifts[1]], 1),
    ]
    colour, cutout = active("color"), active("cutout")[:, None]
    return Draw(
        affine=torch.stack(rows, 1),
        brightness=torch.where(colour, (u[:, 7] - 0.5) * BRIGHTNESS, zero),
        saturation=torch.where(colour, u[:, 8] * SATURATION, one),
        contrast=torch.where(colour, u[:, 9] + CONTRAST, one),
        cutout=torch.where(cutout, u[:, 1:3], -torch.ones(num, 2)),
    )


def augment(images_NCHW: Tensor, operations: str, generator: torch.Generator) -> Tensor:
    """Augment each image by a draw of its own; ``none`` returns the images themselves."""
    if operations == "none":
        return images_NCHW
    num, _, height, width = images_NCHW.shape
    parameters = draw(operations, num, (height, width), generator)
    return parameters(images_NCHW)
