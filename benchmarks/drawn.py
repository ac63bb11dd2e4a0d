"""Domains that are drawn from the seed: every experience has all images, changed in its own way.

``permuted``: the pixels of experience k lie in an order drawn for k; the first experience keeps its
order (Goodfellow et al., arXiv 1312.6211, 2013; Kirkpatrick et al., PNAS 2017). ``rotated``: the
images of experience k of T are turned by an angle drawn between 180 k / T and 180 (k + 1) / T
degrees (Lopez-Paz & Ranzato, NIPS 2017).
"""

from __future__ import annotations

import hashlib
import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.seeding import generator

Kind = Literal["permuted", "rotated"]
_PIECE_IMAGES = 1000


class Drawn(NamedTuple):
    """How images change from experience to experience.

    Attributes:
        kind: what is drawn.
        seed: of the run.
        num_experiences: T.
    """

    kind: Kind
    seed: int
    num_experiences: int

    def changed(self, images_NCHW: Tensor, experience: int) -> Tensor:
        """The uint8 images as experience k shows them, in new memory."""
        if self.kind == "permuted":
            order = self.permutation(experience, images_NCHW[0, 0].numel())
            return images_NCHW.flatten(2)[:, :, order].view(images_NCHW.shape)
        turned = [_turned(part, self.degrees(experience)) for part in _pieces(images_NCHW)]
        return torch.cat(turned) if turned else images_NCHW.clone()

    def permutation(self, experience: int, num_pixels: int) -> Tensor:
        """(H * W,) the place that each pixel comes from, the same in every channel."""
        if experience == 0:
            return torch.arange(num_pixels)
        draw = generator(self.seed, "permutation", experience)
        return torch.randperm(num_pixels, generator=draw)

    def degrees(self, experience: int) -> float:
        """The angle, anticlockwise, to a hundredth of a degree."""
        share = torch.rand((), generator=generator(self.seed, "rotation", experience)).item()
        return round(180 * (experience + share) / self.num_experiences, 2)

    def words(self, experience: int, num_pixels: int) -> str:
        """What a reader must know to make the same images."""
        if self.kind == "rotated":
            return f"turned by {self.degrees(experience):g} degrees"
        if experience == 0:
            return "pixels in their own order"
        order = self.permutation(experience, num_pixels)
        name = hashlib.sha256(order.numpy().astype("<i8").tobytes()).hexdigest()[:16]
        return f"pixels permuted, SHA-256 of the order {name}"


def _pieces(images: Tensor) -> list[Tensor]:
    return list(images.split(_PIECE_IMAGES)) if len(images) else []


def _turned(images: Tensor, degrees: float) -> Tensor:
    """Bilinear, about the centre; black moves in."""
    radians = math.radians(degrees)
    cosine, sine = math.cos(radians), math.sin(radians)
    height, width = images.shape[-2:]
    # affine_grid says where each pixel comes from, in coordinates that stretch with the sides.
    matrix = torch.tensor(
        [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]
    )
    matrices = matrix.expand(len(images), 2, 3)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    turned = F.grid_sample(images.float(), grid, padding_mode="zeros", align_corners=False)
    return turned.round().clamp(0, 255).to(torch.uint8)
