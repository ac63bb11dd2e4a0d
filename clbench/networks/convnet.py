"""ConvNet of the dataset-condensation family: depth x (conv - norm - activation - pool), linear."""

from __future__ import annotations

from torch import Tensor, nn

from clbench.errors import InputError
from clbench.networks.base import (
    Architecture,
    Network,
    first_padding,
    make_activation,
    make_norm,
    make_pooling,
    map_size,
)
from clbench.networks.fast_cpu import ThinConv2d
from clbench.types import ImageSpec


class ConvNet(Network):
    """Gidaris & Komodakis' ConvNet as the condensation papers use it, for images of any size.

    On 28x28 images the first convolution pads 3, so that the maps measure 32, 16, 8, ...

    Raises:
        InputError: more pooling blocks than the image can be halved.
    """

    def __init__(self, spec: ImageSpec, architecture: Architecture) -> None:
        super().__init__()
        height, width = map_size(spec)
        deepest = min(height, width).bit_length() - 1
        if architecture.pooling != "none" and architecture.depth > deepest:
            raise InputError(
                f"depth: expected at most {deepest} convnet blocks for images of "
                f"{spec.height}x{spec.width} pixels, found {architecture.depth}"
            )
        channels, blocks = spec.channels, []
        for index in range(architecture.depth):
            padding = first_padding(spec, 3) if index == 0 else 1
            blocks.append(
                nn.Sequential(
                    (ThinConv2d if channels < 4 else nn.Conv2d)(
                        channels, architecture.width, 3, padding=padding
                    ),
                    make_norm(architecture.norm, architecture.width, height, width),
                    make_activation(architecture.activation),
                )
            )
            channels = architecture.width
            if architecture.pooling != "none":
                height, width = height // 2, width // 2
        self.blocks = nn.ModuleList(blocks)
        self.nonnegative_maps = architecture.activation in ("relu", "sigmoid")
        self.pool = make_pooling(architecture.pooling)
        self.classifier = nn.Linear(channels * height * width, spec.num_classes)

    def features(self, images_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Each block's maps (N, width, h, w) before its pooling, and the embedding (N, D)."""
        maps, x = [], images_NCHW
        for block in self.blocks:
            maps.append(block(x))
            x = self.pool(maps[-1])
        return maps, x.flatten(1)

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, D): the last pooled maps, flattened."""
        x = images_NCHW
        for block in self.blocks:
            x = self.pool(block(x))
        return x.flatten(1)
