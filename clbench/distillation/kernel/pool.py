"""Networks that are trained on the images while these are learnt, and drawn anew when used up."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench import networks
from clbench.distillation.kernel.settings import KernelSettings
from clbench.distillation.settings import DistillationConfig
from clbench.machine.device import autocast
from clbench.networks import Network
from clbench.types import ImageSpec

BATCH = 256  # images of a training step


class _Member:
    """One network of the pool."""

    def __init__(self, network: Network, seed: int, learning_rate: float) -> None:
        self.network, self.seed, self.uses = network, seed, 0
        self.optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)


class Pool:
    """Features of several networks, as in FRePo.

    Zhou, Nezhadarya & Ba, "Dataset Distillation using Neural Feature Regression", NeurIPS 2022,
    algorithm 1: the features of partly trained networks, trained on the images being learnt. Ours:
    all networks are used in every update, and each is trained before its use.
    """

    def __init__(
        self,
        config: DistillationConfig,
        spec: ImageSpec,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        """Draw the networks."""
        self._config, self._settings = config, config.own(KernelSettings)
        self._spec, self._generator, self._device = spec, generator, device
        self._members = [self._fresh() for _ in range(self._settings.num_networks)]

    def _fresh(self, seed: int | None = None) -> _Member:
        if seed is None:
            seed = int(torch.randint(2**62, (1,), generator=self._generator))
        network = networks.build(self._config.network, self._spec, seed=seed)
        network.to(self._device).train()
        return _Member(network, seed, self._settings.network_learning_rate)

    def trained(self, images_NCHW: Tensor, labels: Tensor) -> list[Network]:
        """Train every network on normalised images, and return them for one use.

        Args:
            images_NCHW: normalised.
            labels: (N,) int64, or (N, K) soft.
        """
        for place, member in enumerate(self._members):
            if member.uses == self._settings.network_uses:
                self._members[place] = member = self._fresh()
            self._train(member, images_NCHW, labels)
            member.uses += 1
        return [member.network for member in self._members]

    def _train(self, member: _Member, images_NCHW: Tensor, labels: Tensor) -> None:
        member.network.requires_grad_(True)
        for _ in range(self._settings.network_steps):
            order = torch.randperm(len(images_NCHW), generator=self._generator)[:BATCH]
            order = order.to(self._device)
            with autocast(self._config.precision, self._device):
                logits = member.network(images_NCHW[order])
            loss = F.cross_entropy(logits.float(), labels[order])
            member.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            member.optimizer.step()
        member.network.requires_grad_(False)

    def state_dict(self) -> list[dict[str, Any]]:
        """Between two updates this is all there is, but for the generator."""
        return [
            {
                "seed": member.seed,
                "uses": member.uses,
                "network": deepcopy(member.network.state_dict()),
                "optimizer": deepcopy(member.optimizer.state_dict()),
            }
            for member in self._members
        ]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Go on from ``state``."""
        self._members = [self._fresh(values["seed"]) for values in state]
        for member, values in zip(self._members, state, strict=True):
            member.uses = values["uses"]
            member.network.load_state_dict(values["network"])
            member.optimizer.load_state_dict(values["optimizer"])
