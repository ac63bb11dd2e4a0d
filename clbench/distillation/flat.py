"""A network as a function of one flat vector of weights, shallow to deep.

Trajectories are stored as such vectors, and trajectory matching differentiates with respect to
them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from clbench import networks
from clbench.errors import InputError
from clbench.networks import Network
from clbench.networks.settings import NetworkConfig
from clbench.types import ImageSpec


class FlatNetwork:
    """``f(weights_P, images_NCHW) -> logits_NK``.

    Attributes:
        num_parameters: P.
        device: where it computes.
    """

    def __init__(self, config: NetworkConfig, spec: ImageSpec, device: torch.device) -> None:
        """Build the architecture.

        Raises:
            InputError: a network with running statistics, which are no weights and would be left
                out of a trajectory.
        """
        self.config, self.spec, self.device = config, spec, device
        self._network: Network = networks.build(config, spec, seed=0).to(device).train()
        if next(self._network.buffers(), None) is not None:
            raise InputError(
                "distillation network: expected one without running statistics, which trajectories "
                "and training through leave out, found batch norm; use --distill-norm instance, "
                "group, layer or none"
            )
        self._shapes = [(name, p.shape) for name, p in self._network.named_parameters()]
        self._sizes = [shape.numel() for _, shape in self._shapes]
        self.num_parameters = sum(self._sizes)

    def initial(self, seed: int) -> Tensor:
        """(P,) freshly drawn weights; they depend on ``seed`` alone."""
        fresh = networks.build(self.config, self.spec, seed=seed)
        parts = [p.detach().flatten() for p in fresh.parameters()]
        return torch.cat(parts).to(self.device)

    def __call__(self, weights_P: Tensor, images_NCHW: Tensor) -> Tensor:
        """Logits (N, K); differentiable, also twice, in weights and images."""
        parts = weights_P.split(self._sizes)
        named = {
            name: part.view(shape) for (name, shape), part in zip(self._shapes, parts, strict=True)
        }
        logits: Tensor = functional_call(self._network, named, (images_NCHW,))
        return logits
