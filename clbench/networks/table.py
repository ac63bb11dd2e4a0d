"""The table of networks, and the one way to make one.

Third parties add theirs by an entry point in the group ``clbench.networks``: a `NetworkInfo`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from clbench import table as plugins
from clbench.config import Activation, NetworkConfig, Norm, Pooling
from clbench.errors import InputError
from clbench.networks.base import Architecture, Builder, Network
from clbench.networks.classic import CNN, VGG11, AlexNet, LeNet
from clbench.networks.convnet import ConvNet
from clbench.networks.mlp import MLP
from clbench.networks.resnet import ResNet18
from clbench.seeding import global_seed
from clbench.types import ImageSpec

GROUP = "clbench.networks"
NORMS: tuple[Norm, ...] = ("none", "batch", "instance", "layer", "group")
ACTIVATIONS: tuple[Activation, ...] = ("relu", "leaky_relu", "sigmoid")


@dataclass(frozen=True)
class NetworkInfo:
    """One row of the table.

    Attributes:
        name: key of the table.
        builder: makes the network from an image spec and an `Architecture`.
        summary: one line.
        source: where the architecture comes from.
        width, depth: defaults; None where the network has no such option.
        norms, activations, poolings: what may be chosen, the default first.
        hidden: default units of the hidden layer behind convolutions; None without the option.
    """

    name: str
    builder: Builder
    summary: str
    source: str
    width: int | None
    depth: int | None
    norms: tuple[Norm, ...]
    activations: tuple[Activation, ...]
    poolings: tuple[Pooling, ...]
    hidden: int | None = None


SIZES = ("width", "depth", "hidden")


def _norms(default: Norm) -> tuple[Norm, ...]:
    return (default, *(norm for norm in NORMS if norm != default))


_ROWS = (
    NetworkInfo(
        "convnet", ConvNet, "depth x (conv3x3 - norm - activation - pool2), linear",
        "Zhao, Mopuri & Bilen, ICLR 2021", 128, 3,
        _norms("instance"), ACTIVATIONS, ("avg", "max", "none"),
    ),
    NetworkInfo(
        "mlp", MLP, "depth x (linear - norm - activation), linear",
        "van de Ven & Tolias, 2019", 400, 2,
        ("none", "batch", "layer"), ACTIVATIONS, ("none",),
    ),
    NetworkInfo(
        "lenet", LeNet, "two 5x5 convolutions, three linear layers",
        "LeCun et al., 1998", None, None, ("none",), ("relu",), ("max",),
    ),
    NetworkInfo(
        "alexnet", AlexNet, "five convolutions, one linear layer",
        "Krizhevsky et al., 2012", None, None, ("none",), ("relu",), ("max",),
    ),
    NetworkInfo(
        "vgg11", VGG11, "eight 3x3 convolutions in five stages, one linear layer",
        "Simonyan & Zisserman, 2015", 64, None, _norms("instance"), ACTIVATIONS, ("max", "avg"),
    ),
    NetworkInfo(
        "resnet18", ResNet18, "four stages of two residual blocks, one linear layer",
        "He et al., 2016", 64, None, _norms("instance"), ACTIVATIONS, ("none",),
    ),
    NetworkInfo(
        "cnn", CNN, "depth x (conv3x3 - activation - max pool2), one hidden layer, linear",
        "the basic CNN of architecture searches", 32, 2, ("none",), ("relu", "leaky_relu"),
        ("max",), 128,
    ),
)  # fmt: skip

NETWORKS: dict[str, NetworkInfo] = {row.name: row for row in _ROWS}


def build(config: NetworkConfig, spec: ImageSpec, *, seed: int) -> Network:
    """A network for these images, (N, C, H, W) normalised floats to logits (N, K).

    Its weights depend on ``seed`` alone; the global generators are left as they were.

    Raises:
        InputError: an unknown name, an option the network does not have, or an architecture that
            does not fit the images.
    """
    info = plugins.find(config.name, NETWORKS, GROUP, NetworkInfo)
    architecture = _resolve(info, config)
    with global_seed(seed, "weights"):
        return info.builder(spec, architecture)


def _resolve(info: NetworkInfo, config: NetworkConfig) -> Architecture:
    for option in SIZES:
        if getattr(config, option) is not None and getattr(info, option) is None:
            raise InputError(f"{option}: {info.name} has no such option; it has {options(info)}")
    return Architecture(
        width=config.width or info.width or 0,
        depth=config.depth or info.depth or 0,
        norm=_choose(info, "norm", config.norm, info.norms),
        activation=_choose(info, "activation", config.activation, info.activations),
        pooling=_choose(info, "pooling", config.pooling, info.poolings),
        hidden=config.hidden or info.hidden or 0,
    )


def _choose(info: NetworkInfo, option: str, wanted: Any, offered: tuple[Any, ...]) -> Any:
    if wanted is None or wanted in offered:
        return wanted or offered[0]
    raise InputError(
        f"{option}: {info.name} offers {', '.join(offered)}, found {wanted!r}; "
        f"its options are {options(info)}"
    )


def options(info: NetworkInfo) -> str:
    """The options that a network has, joined by commas."""
    names = [name for name in SIZES if getattr(info, name) is not None]
    choices = {"norm": info.norms, "activation": info.activations, "pooling": info.poolings}
    names += [name for name, offered in choices.items() if len(offered) > 1]
    return ", ".join(names) or "none"


def num_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
