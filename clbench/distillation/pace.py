"""Operations a second of distilling on this CPU, by which its seconds are told before it begins."""

from __future__ import annotations

from clbench import networks
from clbench.distillation.protocol import Distiller
from clbench.distillation.settings import DistillationConfig
from clbench.measuring.cost import forward_rate
from clbench.types import ImageSpec


def distilling_rate(distiller: Distiller, config: DistillationConfig, spec: ImageSpec) -> float:
    """Return the rate that the distiller measures of its own work, else its network's.

    Args:
        distiller: may have a method ``rate(spec)``: operations a second, or None.
        config: names the network.
        spec: of the images.
    """
    own = getattr(distiller, "rate", lambda spec: None)(spec)
    if own is not None:
        return float(own)
    return forward_rate(networks.build(config.network, spec, seed=0), spec.shape)
