"""The updates of distribution matching: what moves the synthetic images.

See `clbench.distillation.matching.distiller`, which names the papers and the loss.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench import networks
from clbench.distillation.augmentation import Draw, draw, parse
from clbench.distillation.decoding import Decoding
from clbench.distillation.matching.settings import MatchingSettings
from clbench.distillation.matching.statistics import (
    images_at_once,
    images_that_fit,
    matching_loss,
    share_of,
    statistics,
    statistics_in_passes,
)
from clbench.distillation.protocol import Job
from clbench.distillation.rate import rate_of
from clbench.distillation.selection.choice import learnable_images, random_index
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.starting import start_index
from clbench.machine.device import autocast
from clbench.networks import Network
from clbench.types import LabelledImages


class MatchingUpdates:
    """One distillation under way: the synthetic images, their optimiser and the real data."""

    def __init__(self, config: DistillationConfig, job: Job) -> None:
        """Draw or choose the images to start from."""
        self.config, self.settings = config, config.own(MatchingSettings)
        self.spec, self.codec, self.generator = job.spec, job.codec, job.generator
        self._fitting: int | None = None
        self._at_once: int | None = None
        self.real, self.device = job.real.to(job.device), job.device
        self.classes = job.real.classes
        self.operations = parse(config.augmentation, job.spec)
        start = self._initial(job.counts)
        self.labels = start.labels
        self.grid = start.images.to(self.device).requires_grad_()
        counts = [job.counts[c] for c in self.classes]
        self.decoding = Decoding(job.codec, job.spec, counts)
        self.group = torch.arange(len(self.classes), device=self.device)
        self.group = self.group.repeat_interleave(torch.tensor(counts, device=self.device))
        step = self.settings.step_size(coarse=job.codec.coarse)
        self.optimizer = torch.optim.SGD([self.grid], lr=step, momentum=self.settings.momentum)
        self.rate = None
        if self.settings.rate_weight:
            self.rate = rate_of(job.codec, self.real, self.classes, counts)

    def _initial(self, counts: Mapping[int, int]) -> LabelledImages:
        real, difficulty = self.real, self.settings.difficulty
        index = start_index(self.config, real, self.spec, counts, difficulty, self.generator)
        chosen = learnable_images(real, index, self.codec)
        if self.config.initialisation == "noise":
            noise = torch.randn(chosen.images.shape, generator=self.generator)
            return LabelledImages(noise, chosen.hard_labels.cpu())
        images = self.spec.normalise(chosen.images)
        return LabelledImages(images.cpu(), chosen.hard_labels.cpu())

    def _network(self) -> Network:
        seed = int(torch.randint(2**62, (1,), generator=self.generator))
        network = networks.build(self.config.network, self.spec, seed=seed)
        return network.to(self.device).train().requires_grad_(False)

    def _draw(self) -> Draw:
        size = (self.spec.height, self.spec.width)
        return draw(self.operations, len(self.classes), size, self.generator)

    def _real_statistics(self, network: Network, augmentation: Draw) -> list[Tensor]:
        index = random_index(self.real.hard_labels, self.settings.batch_real, self.generator)
        batch = self.real.select(index.to(self.device))
        wanted = torch.tensor(self.classes, device=self.device)
        group = torch.searchsorted(wanted, batch.hard_labels)
        images = augmentation(self.spec.normalise(batch.images), group)
        size = self._images_per_pass(network)
        num, together = len(self.classes), self._together(network)
        with torch.no_grad(), autocast(self.config.precision, self.device):
            return statistics_in_passes(network, images, group, num, self.config, size, together)

    def _images_per_pass(self, network: Network) -> int:
        if self._fitting is None:
            wanted = self.settings.images_per_pass
            fitting = images_that_fit(network, self.spec, self.device)
            # Batch norm leaves no choice.
            self._fitting = fitting if wanted is None or fitting == sys.maxsize else wanted
        return self._fitting

    def _together(self, network: Network) -> int:
        if self._at_once is None:
            self._at_once = images_at_once(network, self.spec, self.device)
        return self._at_once

    def use_network(self) -> Iterator[float]:
        """Draw a network, take its image updates, yield each one's loss."""
        network = self._network()
        real: list[Tensor] = []
        augmentation: Draw | None = None
        for update in range(self.settings.updates_per_network):
            if update and self.settings.network_steps:
                self._train(network)
            stale = self.settings.resample or self.settings.network_steps
            if augmentation is None or stale:
                augmentation = self._draw()
                real = self._real_statistics(network, augmentation)
            yield self._update(network, augmentation, real)

    def _update(self, network: Network, augmentation: Draw, real: list[Tensor]) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        size = self._images_per_pass(network)
        if len(self.group) <= size:
            synthetic = self._statistics(network, augmentation, slice(None))
            loss = matching_loss(real, synthetic, self.settings.mmd_weight)
            loss.backward()
        else:
            loss = self._gradient_in_passes(network, augmentation, real, size)
        if self.rate is not None:
            pixels = self.spec.denormalise(self.grid)
            (self.settings.rate_weight * self.rate(pixels)).backward()
        self.optimizer.step()
        self._project()
        return float(loss.detach())

    def _statistics(
        self, network: Network, augmentation: Draw, index: Tensor | slice
    ) -> list[Tensor]:
        group, num = self.group[index], len(self.classes)
        images = augmentation(self.decoding(self.grid)[index], group)
        together = self._together(network)
        with autocast(self.config.precision, self.device):
            return statistics(network, images, group, num, self.config, together)

    def _gradient_in_passes(
        self, network: Network, augmentation: Draw, real: list[Tensor], size: int
    ) -> Tensor:
        """The gradient of all images with at most ``size`` in memory; each goes through twice.

        The loss sees class means alone: their gradient, from a first pass without a graph, is what
        each part is then weighed with. Exact but for rounding.
        """
        num = len(self.classes)
        with torch.no_grad(), autocast(self.config.precision, self.device):
            images = augmentation(self.decoding(self.grid), self.group)
            means = statistics_in_passes(
                network, images, self.group, num, self.config, size, self._together(network)
            )
        means = [m.requires_grad_() for m in means]
        loss = matching_loss(real, means, self.settings.mmd_weight)
        weights = torch.autograd.grad(loss, means)
        for index in torch.arange(len(self.group), device=self.device).split(size):
            share = share_of(index, self.group, num)
            part = self._statistics(network, augmentation, index)
            weighed = [(w * share * p).sum() for w, p in zip(weights, part, strict=True)]
            torch.stack(weighed).sum().backward()
        return loss

    @torch.no_grad()
    def _project(self) -> None:
        """Back onto the 0..1 pixel scale, because memory stores pixels and nothing else."""
        low = self.spec.normalise(torch.zeros(1, self.spec.channels, 1, 1, device=self.device))
        high = self.spec.normalise(torch.ones(1, self.spec.channels, 1, 1, device=self.device))
        self.grid.clamp_(low, high)

    def _train(self, network: Network) -> None:
        """SGD steps on the synthetic set (the course report's inner loop)."""
        config, settings = self.config, self.settings
        network.requires_grad_(True)
        optimizer = torch.optim.SGD(network.parameters(), lr=settings.network_learning_rate)
        targets = self.labels.to(self.device)
        images = self.decoding(self.grid.detach())
        for _ in range(settings.network_steps):
            order = torch.randperm(len(images), generator=self.generator)[: settings.batch_real]
            order = order.to(self.device)
            with autocast(config.precision, self.device):
                logits = network(images[order])
            loss = F.cross_entropy(logits.float(), targets[order])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        network.requires_grad_(False)

    def state_dict(self) -> dict[str, Any]:
        """Between two networks this is all there is."""
        return {
            "grid": self.grid.detach().clone(),
            "optimizer": deepcopy(self.optimizer.state_dict()),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        with torch.no_grad():
            self.grid.copy_(state["grid"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])

    def result(self) -> LabelledImages:
        """What has been distilled so far, in the codec's grid, on the CPU."""
        images = self.spec.denormalise(self.grid.detach()).clamp(0, 1).cpu()
        return LabelledImages(images, self.labels.clone())
