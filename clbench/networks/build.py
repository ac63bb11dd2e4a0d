"""The one way to make a network."""

from __future__ import annotations

from typing import Any

from torch import nn

from clbench.errors import InputError
from clbench.networks.base import Architecture, Network
from clbench.networks.settings import NetworkConfig
from clbench.networks.table import SIZES, NetworkInfo, find, options
from clbench.seeding import global_seed
from clbench.types import ImageSpec


def build(config: NetworkConfig, spec: ImageSpec, *, seed: int) -> Network:
    """A network for these images, (N, C, H, W) normalised floats to logits (N, K).

    Its weights depend on ``seed`` alone; the global generators are left as they were.

    Raises:
        InputError: an unknown name, an option the network does not have, or an architecture that
            does not fit the images.
    """
    info = find(config.name)
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


def num_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
