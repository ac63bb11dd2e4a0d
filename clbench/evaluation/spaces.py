"""Spaces of architectures to search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import get_args

from clbench.errors import InputError
from clbench.networks.settings import Activation, NetworkConfig, Norm, Pooling


@dataclass(frozen=True)
class Space:
    """A set of candidate architectures.

    Attributes:
        name: key of the table.
        summary: one line.
        source: where it comes from.
        fields: of `NetworkConfig`, in which candidates differ; their labels name these.
        candidates: all of them, in a fixed order.
    """

    name: str
    summary: str
    source: str
    fields: tuple[str, ...]
    candidates: Callable[[], list[NetworkConfig]]

    def label(self, candidate: NetworkConfig) -> str:
        """A candidate in a few words."""
        values = candidate.to_dict()
        return ", ".join(f"{field} {values[field]}" for field in self.fields)


def _course() -> list[NetworkConfig]:
    activations: tuple[Activation, ...] = ("relu", "leaky_relu")
    return [
        NetworkConfig("cnn", width=width, depth=depth, hidden=hidden, activation=activation)
        for depth, width, hidden, activation in product(
            (2, 3, 4), (16, 32, 64), (64, 128, 256), activations
        )
    ]


def _convnets() -> list[NetworkConfig]:
    return [
        NetworkConfig(
            "convnet", width=width, depth=depth, norm=norm, activation=activation, pooling=pooling
        )
        for depth, width, norm, activation, pooling in product(
            (1, 2, 3, 4), (32, 64, 128, 256), get_args(Norm), get_args(Activation),
            get_args(Pooling),
        )
    ]  # fmt: skip


SPACES: dict[str, Space] = {
    space.name: space
    for space in (
        Space(
            "cnn54",
            "54 basic CNNs: depth 2-4, width 16-64, hidden units 64-256, ReLU or leaky ReLU",
            "course report this project starts from",
            ("depth", "width", "hidden", "activation"),
            _course,
        ),
        Space(
            "convnet720",
            "720 ConvNets: depth 1-4, width 32-256, five norms, three activations and poolings",
            "Zhao, Mopuri & Bilen, ICLR 2021, section 4.3",
            ("depth", "width", "norm", "activation", "pooling"),
            _convnets,
        ),
    )
}


def find(name: str) -> Space:
    """The space called ``name``.

    Raises:
        InputError: no such space.
    """
    if name not in SPACES:
        raise InputError(f"space: expected one of {', '.join(SPACES)}, found {name!r}")
    return SPACES[name]


def draw(space: Space, num: int | None, *, seed: int) -> list[NetworkConfig]:
    """``num`` candidates drawn without replacement, in the space's own order; None takes all.

    Raises:
        InputError: fewer than two, or more than there are.
    """
    every = space.candidates()
    if num is None:
        return every
    if not 2 <= num <= len(every):
        raise InputError(
            f"candidates: expected 2 to {len(every)}, the size of {space.name}, found {num}"
        )
    import torch

    from clbench.seeding import generator

    chosen = torch.randperm(len(every), generator=generator(seed, "candidates"))[:num]
    return [every[int(i)] for i in sorted(chosen.tolist())]
