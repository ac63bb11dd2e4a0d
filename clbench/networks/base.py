"""What every network shares: ``forward = classifier(embed(x))``, and the layers they choose from.

The variants are those of the dataset-condensation family (Zhao, Mopuri & Bilen, "Dataset
Condensation with Gradient Matching", ICLR 2021, and the papers after it): instance norm is one
group per channel, group norm has four groups, layer norm spans channels and pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from clbench.errors import InputError
from clbench.networks.fast_cpu import AvgPool2, InstanceNorm2d
from clbench.networks.settings import Activation, Norm, Pooling
from clbench.types import ImageSpec

NUM_GROUPS = 4


@dataclass(frozen=True)
class Architecture:
    """A `NetworkConfig` with the network's own defaults filled in.

    Attributes:
        width: channels of the (first) convolution or hidden units; 0 where it is fixed.
        depth: blocks or hidden layers; 0 where it is fixed.
        norm, activation, pooling: the chosen variants.
        hidden: units of the hidden layer behind convolutions; 0 where there is none to choose.
    """

    width: int
    depth: int
    norm: Norm
    activation: Activation
    pooling: Pooling
    hidden: int = 0


class Builder(Protocol):
    """Makes a network with freshly drawn weights."""

    def __call__(self, spec: ImageSpec, architecture: Architecture) -> Network:
        """Raise `InputError` where the architecture does not fit the images."""
        ...


class Network(nn.Module):
    """A classifier of images; subclasses define `embed` and call ``super().__init__`` first.

    Attributes:
        classifier: the last linear layer, (N, D) to (N, K).
        nonnegative_maps: whether no map of `features` holds a number below 0, as behind ReLU.
    """

    classifier: nn.Linear
    nonnegative_maps = False

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, D): what the classifier sees."""
        raise NotImplementedError

    def features(self, images_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps of every block and the embedding, for networks that distillation can match in.

        Raises:
            InputError: this network has no such maps.
        """
        raise InputError(
            "distillation network: expected one with feature maps to match, as convnet, found "
            f"{type(self).__name__}; use --distill-network convnet or, with any network, distiller "
            "dm (--matched-start dm where images are only matched first)"
        )

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, K) of normalised float images."""
        logits: Tensor = self.classifier(self.embed(images_NCHW))
        return logits


class _RefusesOne(nn.modules.batchnorm._BatchNorm):
    """Batch norm that says which option is wrong, where torch has a traceback."""

    def forward(self, x: Tensor) -> Tensor:
        """As torch's.

        Raises:
            InputError: one value of each channel, whose deviation is nothing.
        """
        if self.training and x.numel() == x.shape[1]:
            raise InputError(
                "batch norm: expected training batches of at least 2 images, found one of 1; raise "
                "--batch-size (of a set: --set-batch-size and the number of its images), or choose "
                "another --norm"
            )
        return super().forward(x)


class BatchNorm1d(_RefusesOne, nn.BatchNorm1d):
    """Of hidden units, (N, D)."""


class BatchNorm2d(_RefusesOne, nn.BatchNorm2d):
    """Of feature maps, (N, C, H, W)."""


def make_norm(norm: Norm, channels: int, height: int, width: int) -> nn.Module:
    """The norm of feature maps (N, channels, height, width).

    Raises:
        InputError: group norm where the channels do not divide; instance norm of a single pixel,
            which would be constant whatever the image.
    """
    if norm == "batch":
        return BatchNorm2d(channels)
    if norm == "layer":
        return nn.LayerNorm([channels, height, width])
    if norm == "instance":
        if height * width == 1:
            raise InputError(
                "norm: instance norm needs feature maps of more than one pixel; "
                "use larger images, fewer layers or another norm"
            )
        return InstanceNorm2d(channels)
    if norm == "group":
        if channels % NUM_GROUPS:
            raise InputError(
                f"width: expected a multiple of {NUM_GROUPS} for group norm, found {channels}"
            )
        return nn.GroupNorm(NUM_GROUPS, channels)
    return nn.Identity()


def make_activation(activation: Activation) -> nn.Module:
    """The non-linearity of this name; leaky ReLU has slope 0.01.

    ReLU overwrites its input, which no layer before it needs again: the maps stay in the cache.
    """
    if activation == "leaky_relu":
        return nn.LeakyReLU(0.01)
    return nn.Sigmoid() if activation == "sigmoid" else nn.ReLU(inplace=True)


def make_pooling(pooling: Pooling) -> nn.Module:
    """2x2 pooling of stride 2, or none."""
    if pooling == "max":
        return nn.MaxPool2d(2)
    return AvgPool2() if pooling == "avg" else nn.Identity()


def first_padding(spec: ImageSpec, kernel: int) -> int:
    """Padding of the first convolution: 28x28 images grow to 32x32, others keep their size."""
    same = kernel // 2
    return same + 2 if (spec.height, spec.width) == (28, 28) else same


def map_size(spec: ImageSpec) -> tuple[int, int]:
    """(H, W) after a first convolution padded by `first_padding`."""
    grow = 4 if (spec.height, spec.width) == (28, 28) else 0
    return spec.height + grow, spec.width + grow


def check_size(name: str, smallest: int, found: tuple[int, int], advice: str) -> None:
    """Refuse maps that a network has pooled away.

    Raises:
        InputError: a side of ``found`` (H, W) is below ``smallest`` pixels.
    """
    if min(found) < smallest:
        raise InputError(
            f"{name}: expected images of at least {smallest}x{smallest} pixels, found "
            f"{found[0]}x{found[1]}; {advice}"
        )
