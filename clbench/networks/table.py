"""The table of networks; light to import, see `clbench.networks.build` for making one.

Third parties add theirs by an entry point in the group ``clbench.networks``: a `NetworkInfo`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clbench.networks.settings import ACTIVATIONS, NORMS, Activation, Norm, Pooling
from clbench.table import Lazy, Table

if TYPE_CHECKING:
    from clbench.networks.base import Builder


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
        "convnet", Lazy("clbench.networks.convnet:ConvNet"),
        "depth x (conv3x3 - norm - activation - pool2), linear",
        "Zhao, Mopuri & Bilen, ICLR 2021", 128, 3,
        _norms("instance"), ACTIVATIONS, ("avg", "max", "none"),
    ),
    NetworkInfo(
        "mlp", Lazy("clbench.networks.mlp:MLP"),
        "depth x (linear - norm - activation), linear",
        "van de Ven & Tolias, 2019", 400, 2,
        ("none", "batch", "layer"), ACTIVATIONS, ("none",),
    ),
    NetworkInfo(
        "lenet", Lazy("clbench.networks.classic:LeNet"),
        "two 5x5 convolutions, three linear layers",
        "LeCun et al., 1998", None, None, ("none",), ("relu",), ("max",),
    ),
    NetworkInfo(
        "alexnet", Lazy("clbench.networks.classic:AlexNet"),
        "five convolutions, one linear layer",
        "Krizhevsky et al., 2012", None, None, ("none",), ("relu",), ("max",),
    ),
    NetworkInfo(
        "vgg11", Lazy("clbench.networks.classic:VGG11"),
        "eight 3x3 convolutions in five stages, one linear layer",
        "Simonyan & Zisserman, 2015", 64, None, _norms("instance"), ACTIVATIONS, ("max", "avg"),
    ),
    NetworkInfo(
        "resnet18", Lazy("clbench.networks.resnet:ResNet18"),
        "four stages of two residual blocks, one linear layer",
        "He et al., 2016", 64, None, _norms("instance"), ACTIVATIONS, ("none",),
    ),
    NetworkInfo(
        "cnn", Lazy("clbench.networks.classic:CNN"),
        "depth x (conv3x3 - activation - max pool2), one hidden layer, linear",
        "the basic CNN of architecture searches", 32, 2, ("none",), ("relu", "leaky_relu"),
        ("max",), 128,
    ),
)  # fmt: skip

NETWORKS: Table[NetworkInfo] = Table(
    {row.name: row for row in _ROWS}, group="clbench.networks", kind=NetworkInfo, what="network"
)


TIMM = "timm:"


def find(name: str) -> NetworkInfo:
    """Return the row of a network; ``timm:NAME`` is one of the package timm.

    Raises:
        InputError: no such network.
    """
    if not name.startswith(TIMM):
        return NETWORKS.find(name)
    model = name.removeprefix(TIMM)
    return NetworkInfo(
        name, Lazy("clbench.networks.timm_model:made", model), f"timm's {model}",
        "Wightman, PyTorch Image Models, 2019", None, None, ("none",), ("relu",), ("none",),
    )  # fmt: skip


def options(info: NetworkInfo) -> str:
    """The options that a network has, joined by commas."""
    names = [name for name in SIZES if getattr(info, name) is not None]
    choices = {"norm": info.norms, "activation": info.activations, "pooling": info.poolings}
    names += [name for name, offered in choices.items() if len(offered) > 1]
    return ", ".join(names) or "none"
