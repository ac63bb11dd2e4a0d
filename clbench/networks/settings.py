"""Which network: the settings that every command and every method choose it by."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from clbench.fields import Config, at_least, setting

Norm = Literal["none", "batch", "instance", "layer", "group"]
Activation = Literal["relu", "leaky_relu", "sigmoid"]
Pooling = Literal["none", "max", "avg"]

NORMS: tuple[Norm, ...] = typing.get_args(Norm)
ACTIVATIONS: tuple[Activation, ...] = typing.get_args(Activation)
_OWN = "the network's own"


@dataclass(frozen=True)
class NetworkConfig(Config):
    """A row of the table of networks and its variants; None is the network's own default."""

    name: str = setting(
        "mlp", "Network {whose} (clbench list networks).", flag="network", table="networks",
        common=True,
    )  # fmt: skip
    width: int | None = setting(
        None, "Channels, or hidden units, of its layers.", none=_OWN, common=True
    )
    depth: int | None = setting(None, "Convolution blocks, or hidden layers.", none=_OWN)
    norm: Norm | None = setting(None, "Normalisation.", none=_OWN)
    activation: Activation | None = setting(None, "Non-linearity.", none=_OWN)
    pooling: Pooling | None = setting(None, "Pooling.", none=_OWN)
    hidden: int | None = setting(
        None, "Units of the hidden layer behind the convolutions (cnn).", none=_OWN
    )

    def updated(self, values: Mapping[str, Any]) -> Self:
        """See `Config.updated`; another network brings its own sizes and variants."""
        name = values.get("name", self.name)
        if name == self.name or not isinstance(name, str):
            return super().updated(values)
        return type(self)(name).updated(values)

    def _validate(self) -> None:
        at_least(self, 1, "width", "depth", "hidden")
