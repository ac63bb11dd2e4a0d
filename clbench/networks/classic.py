"""A basic CNN, and LeNet, AlexNet and VGG11 cut to small images as condensation papers do."""

from __future__ import annotations

from torch import Tensor, nn

from clbench.networks.base import (
    Architecture,
    Network,
    check_size,
    first_padding,
    make_activation,
    make_norm,
    make_pooling,
    map_size,
)
from clbench.networks.fast_cpu import ThinConv2d
from clbench.types import ImageSpec


class CNN(Network):
    """``depth`` x (3x3 convolution - activation - 2x2 max pooling), ``hidden`` units, linear.

    No norm; images are taken at their own size.
    """

    def __init__(self, spec: ImageSpec, architecture: Architecture) -> None:
        super().__init__()
        advice = "use fewer layers"
        check_size("cnn", 2**architecture.depth, (spec.height, spec.width), advice)
        layers: list[nn.Module] = []
        channels = spec.channels
        for _ in range(architecture.depth):
            layers += [
                (ThinConv2d if channels < 4 else nn.Conv2d)(
                    channels, architecture.width, 3, padding=1
                ),
                make_activation(architecture.activation),
                nn.MaxPool2d(2),
            ]
            channels = architecture.width
        self.maps = nn.Sequential(*layers)
        height, width = (side >> architecture.depth for side in (spec.height, spec.width))
        self.hidden = nn.Sequential(
            nn.Linear(channels * height * width, architecture.hidden),
            make_activation(architecture.activation),
        )
        self.classifier = nn.Linear(architecture.hidden, spec.num_classes)

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, hidden)."""
        hidden: Tensor = self.hidden(self.maps(images_NCHW).flatten(1))
        return hidden


class LeNet(Network):
    """LeNet-5 with ReLU and max pooling (LeCun et al., 1998); no norm.

    28x28 images are padded to 32x32, its own input size.
    """

    def __init__(self, spec: ImageSpec, architecture: Architecture) -> None:
        super().__init__()
        size = map_size(spec)
        check_size("lenet", 16, size, "another network takes smaller ones")
        self.maps = nn.Sequential(
            nn.Conv2d(spec.channels, 6, 5, padding=first_padding(spec, 5) - 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        height, width = (((side - 4) // 2 - 4) // 2 for side in size)
        self.hidden = nn.Sequential(
            nn.Linear(16 * height * width, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()
        )
        self.classifier = nn.Linear(84, spec.num_classes)

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, 84)."""
        hidden: Tensor = self.hidden(self.maps(images_NCHW).flatten(1))
        return hidden


class AlexNet(Network):
    """Five convolutions after Krizhevsky et al. (2012), one linear layer; no norm, no dropout."""

    def __init__(self, spec: ImageSpec, architecture: Architecture) -> None:
        super().__init__()
        height, width = map_size(spec)
        check_size("alexnet", 8, (height, width), "another network takes smaller ones")
        first = nn.Conv2d(spec.channels, 128, 5, padding=first_padding(spec, 5))
        self.maps = nn.Sequential(
            *(first, nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(128, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(192, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 192, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(192, 192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.classifier = nn.Linear(192 * (height // 8) * (width // 8), spec.num_classes)

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, 192 * H/8 * W/8)."""
        maps: Tensor = self.maps(images_NCHW)
        return maps.flatten(1)


class VGG11(Network):
    """Configuration A of Simonyan & Zisserman (2015), mean over what is left, one linear layer.

    ``width`` is the channels of the first stage; the others keep their ratios 1, 2, 4, 8, 8.
    """

    stages = ((1,), (2,), (4, 4), (8, 8), (8, 8))

    def __init__(self, spec: ImageSpec, architecture: Architecture) -> None:
        super().__init__()
        height, width = map_size(spec)
        check_size("vgg11", 32, (height, width), "another network takes smaller ones")
        layers: list[nn.Module] = []
        channels = spec.channels
        for stage in self.stages:
            for ratio in stage:
                padding = 1 if layers else first_padding(spec, 3)
                out = ratio * architecture.width
                layers += [
                    nn.Conv2d(channels, out, 3, padding=padding),
                    make_norm(architecture.norm, out, height, width),
                    make_activation(architecture.activation),
                ]
                channels = out
            layers.append(make_pooling(architecture.pooling))
            height, width = height // 2, width // 2
        self.maps = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, spec.num_classes)

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, 8 * width)."""
        maps: Tensor = self.maps(images_NCHW)
        return maps.mean((2, 3))
