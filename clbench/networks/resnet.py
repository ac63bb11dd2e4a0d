"""ResNet18 for small images: a 3x3 first convolution of stride 1, and no first pooling."""

from __future__ import annotations

from torch import Tensor, nn

from clbench.networks.base import (
    Architecture,
    Network,
    check_size,
    first_padding,
    make_activation,
    make_norm,
    map_size,
)
from clbench.types import ImageSpec


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (projected where the shape changes)."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, size: tuple[int, int], style: Architecture
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            make_norm(style.norm, outputs, *size),
            make_activation(style.activation),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            make_norm(style.norm, outputs, *size),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                make_norm(style.norm, outputs, *size),
            )
        self.activation = make_activation(style.activation)

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        out: Tensor = self.activation(self.residual(maps_NCHW) + self.shortcut(maps_NCHW))
        return out


class ResNet18(Network):
    """Four stages of two blocks (He et al., "Deep residual learning", 2016), mean, linear.

    ``width`` is the channels of the first stage; the others have 2, 4 and 8 times as many.
    """

    def __init__(self, spec: ImageSpec, architecture: Architecture) -> None:
        super().__init__()
        size = map_size(spec)
        check_size("resnet18", 16, size, "another network takes smaller ones")
        channels = architecture.width
        layers: list[nn.Module] = [
            nn.Conv2d(spec.channels, channels, 3, padding=first_padding(spec, 3), bias=False),
            make_norm(architecture.norm, channels, *size),
            make_activation(architecture.activation),
        ]
        for ratio in (1, 2, 4, 8):
            stride, outputs = (1 if ratio == 1 else 2), ratio * architecture.width
            size = ((size[0] - 1) // stride + 1, (size[1] - 1) // stride + 1)
            layers.append(_Block(channels, outputs, stride, size, architecture))
            layers.append(_Block(outputs, outputs, 1, size, architecture))
            channels = outputs
        self.maps = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, spec.num_classes)

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, 8 * width)."""
        maps: Tensor = self.maps(images_NCHW)
        return maps.mean((2, 3))
