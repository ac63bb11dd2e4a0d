"""Distribution and attention matching: DM and DataDAM.

DM: Zhao & Bilen, "Dataset Condensation with Distribution Matching", WACV 2023.
DataDAM: Sajedi et al., "DataDAM: Efficient Dataset Distillation with Attention Matching", ICCV
2023.

For every class the statistics of real and synthetic images in a random network are brought
together by moving the synthetic images:

    L_SAM = sum over layers, classes, positions of (mean A_real - mean A_syn)^2   (DataDAM eq. 1-3)
    L_MMD = sum over classes, dimensions of (mean e_real - mean e_syn)^2          (DM eq. 4)
    L     = attention_weight * L_SAM + mmd_weight * L_MMD                         (DataDAM eq. 5)

A is the attention map of a layer, e the flattened output of the last pooling. The authors' code
minimises 100 * L; here the factor is part of ``learning_rate``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench import networks
from clbench.config import DistillationConfig
from clbench.distillation.augmentation import Draw, draw, parse
from clbench.distillation.difficulty import easiest
from clbench.distillation.problem import Problem
from clbench.distillation.protocol import OnUpdate, Update, Workload, check_counts
from clbench.distillation.selection import herding_index, pack_selection, random_index
from clbench.distillation.unfinished import Unfinished
from clbench.machine.device import autocast
from clbench.measuring.cost import forward_flops
from clbench.networks import Network
from clbench.packing import unpack
from clbench.types import ImageSpec, LabelledImages

BYTES_OF_ACTIVATIONS = 2**31
BACKWARD_TO_INPUT = 1.0  # a backward pass to the input alone costs one forward


def attention(map_NCHW: Tensor, power: float) -> Tensor:
    """Attention map (N, H*W): sum over channels of |f|^power, unit length per image."""
    f = map_NCHW.abs() if power == 1 else map_NCHW.abs() ** power
    return F.normalize(f.sum(1).flatten(1).float(), dim=1)


def class_means(values_ND: Tensor, group: Tensor, num: int) -> Tensor:
    """Mean of the rows of each group, (num, D)."""
    sums = torch.zeros(num, values_ND.shape[1], device=values_ND.device)
    counts = torch.bincount(group, minlength=num).clamp_min(1)
    return sums.index_add(0, group, values_ND) / counts[:, None]


def statistics(
    network: Network, images_NCHW: Tensor, group: Tensor, num: int, config: DistillationConfig
) -> list[Tensor]:
    """Class means of the attention of every layer but the last, then of the embedding.

    The last layer's attention is left out as in the authors' code: the embedding speaks for it.
    "deep" leaves out the shallow half of the layers as well. DM wants the embedding alone, so any
    network serves it.
    """
    if config.distiller == "datadam":
        maps, embedding = network.features(images_NCHW)
        first = len(maps) // 2 if config.matched_layers == "deep" else 0
        maps = maps[first:-1]
        values = [*(attention(m, config.attention_power) for m in maps), embedding.float()]
    else:
        values = [network.embed(images_NCHW).float()]
    return [class_means(v, group, num) for v in values]


def statistics_in_passes(
    network: Network,
    images_NCHW: Tensor,
    group: Tensor,
    num: int,
    config: DistillationConfig,
    size: int,
) -> list[Tensor]:
    """`statistics`, at most ``size`` images in the network at a time; without gradients."""
    if len(images_NCHW) <= size:
        return statistics(network, images_NCHW, group, num, config)
    sums: list[Tensor] = []
    for index in torch.arange(len(group), device=group.device).split(size):
        part = statistics(network, images_NCHW[index], group[index], num, config)
        part = [share_of(index, group, num) * means for means in part]
        sums = [a + b for a, b in zip(sums, part, strict=True)] if sums else part
    return sums


def share_of(index: Tensor, group: Tensor, num: int) -> Tensor:
    """Which part of each class the images at ``index`` are, (num, 1)."""
    here = torch.bincount(group[index], minlength=num)
    return (here / torch.bincount(group, minlength=num).clamp_min(1))[:, None]


def images_that_fit(network: Network, spec: ImageSpec, device: torch.device) -> int:
    """How many images' activations take `BYTES_OF_ACTIVATIONS` in a network.

    One with batch norm takes all at once: their statistics are those of the whole batch.
    """
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules()):
        return sys.maxsize
    elements = [0]

    def count(part: nn.Module, inputs: object, output: Tensor) -> None:
        elements[0] += output.numel()

    leaves = [part for part in network.modules() if not list(part.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    with torch.no_grad():
        network(torch.zeros(1, *spec.shape, device=device))
    for hook in hooks:
        hook.remove()
    return max(1, BYTES_OF_ACTIVATIONS // (4 * elements[0]))


def matching_loss(real: list[Tensor], synthetic: list[Tensor], mmd_weight: float) -> Tensor:
    """L of the module's docstring from the two lists that `statistics` returns."""
    *sam, mmd = [((r - s) ** 2).sum() for r, s in zip(real, synthetic, strict=True)]
    return torch.stack([*sam, mmd_weight * mmd]).sum()


@dataclass(frozen=True)
class Matching:
    """DM or DataDAM (``config.distiller``), see `DistillationConfig` for the loop.

    Attributes:
        keep: work that is stopped stays on disk, in `clbench.store.files.cache_dir`, and goes on
            there; it is written after a whole network, every half minute at most, and when stopped.
    """

    config: DistillationConfig
    keep: bool = True

    def distill(
        self,
        real: LabelledImages,
        spec: ImageSpec,
        *,
        images_per_class: int,
        packing: int,
        generator: torch.Generator,
        device: torch.device,
        on_update: OnUpdate | None = None,
    ) -> LabelledImages:
        """See `Distiller.distill`; float32 images on the 0..1 scale."""
        check_counts(real, images_per_class, packing)
        config = self.config
        with Unfinished.of(
            self, real, spec, on_update, images_per_class=images_per_class, packing=packing,
            generator=generator, device=device,
        ) as unfinished:  # fmt: skip
            job = _Job(config, real.to(device), spec, images_per_class, packing, generator)
            if unfinished.state is not None:
                job.load_state_dict(unfinished.state)
            total, done = config.num_networks * config.updates_per_network, unfinished.num_updates
            for _ in range(done // config.updates_per_network, config.num_networks):
                for loss in job.use_network():
                    done += 1
                    unfinished.tell(Update(done, total, loss))
                unfinished.reached(job)
            return job.result()

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Forward passes of the real batches; forward, backward of the synthetic images."""
        c, w = self.config, workload
        one = forward_flops(networks.build(c.network, spec, seed=0), spec.shape)
        updates = c.num_networks * c.updates_per_network
        real = min(c.batch_real * w.num_classes, w.num_real)
        draws = updates if c.resample or c.network_steps else c.num_networks
        steps = c.num_networks * (c.updates_per_network - 1) * c.network_steps
        per_update = w.num_images * (1 + BACKWARD_TO_INPUT)
        return one * (draws * real + updates * per_update + steps * 3 * w.num_images)


class _Job:
    """One distillation under way: the synthetic images, their optimiser and the real data."""

    def __init__(
        self,
        config: DistillationConfig,
        real: LabelledImages,
        spec: ImageSpec,
        images_per_class: int,
        packing: int,
        generator: torch.Generator,
    ) -> None:
        self.config, self.spec, self.packing, self.generator = config, spec, packing, generator
        self._fitting: int | None = None
        self.real, self.device = real, real.images.device
        self.classes = real.classes
        self.operations = parse(config.augmentation, spec)
        start = self._initial(images_per_class)
        self.labels = start.labels
        self.slots = start.images.to(self.device).requires_grad_()
        repeated = images_per_class * packing**2
        self.group = torch.arange(len(self.classes), device=self.device).repeat_interleave(repeated)
        self.optimizer = torch.optim.SGD(
            [self.slots], lr=config.learning_rate, momentum=config.momentum
        )

    def _initial(self, images_per_class: int) -> LabelledImages:
        real, num = self.real, images_per_class * self.packing**2
        if self.config.initialisation == "herding":
            index = herding_index(real, self.spec, num)
        elif self.config.initialisation == "easy":
            problem = Problem.make(real, self.spec, None, self.device)
            index = easiest(problem.images, problem.spec, self.config, num, self.device)
        else:
            index = random_index(real.hard_labels, num, self.generator).to(self.device)
        chosen = pack_selection(real, index, self.packing)
        if self.config.initialisation == "noise":
            noise = torch.randn(chosen.images.shape, generator=self.generator)
            return LabelledImages(noise, chosen.hard_labels.cpu(), self.packing)
        images = self.spec.normalise(chosen.images)
        return LabelledImages(images.cpu(), chosen.hard_labels.cpu(), self.packing)

    def _network(self) -> Network:
        seed = int(torch.randint(2**62, (1,), generator=self.generator))
        network = networks.build(self.config.network, self.spec, seed=seed)
        return network.to(self.device).train().requires_grad_(False)

    def _draw(self) -> Draw:
        size = (self.spec.height, self.spec.width)
        return draw(self.operations, len(self.classes), size, self.generator)

    def _real_statistics(self, network: Network, augmentation: Draw) -> list[Tensor]:
        index = random_index(self.real.hard_labels, self.config.batch_real, self.generator)
        batch = self.real.select(index.to(self.device))
        wanted = torch.tensor(self.classes, device=self.device)
        group = torch.searchsorted(wanted, batch.hard_labels)
        images = augmentation(self.spec.normalise(batch.images), group)
        size = self._images_per_pass(network)
        with torch.no_grad(), autocast(self.config.precision, self.device):
            return statistics_in_passes(
                network, images, group, len(self.classes), self.config, size
            )

    def _images_per_pass(self, network: Network) -> int:
        if self._fitting is None:
            wanted = self.config.images_per_pass
            fitting = images_that_fit(network, self.spec, self.device)
            # Batch norm leaves no choice.
            self._fitting = fitting if wanted is None or fitting == sys.maxsize else wanted
        return self._fitting

    def use_network(self) -> Iterator[float]:
        """Draw a network, take its image updates, yield each one's loss."""
        network = self._network()
        real: list[Tensor] = []
        augmentation: Draw | None = None
        for update in range(self.config.updates_per_network):
            if update and self.config.network_steps:
                self._train(network)
            stale = self.config.resample or self.config.network_steps
            if augmentation is None or stale:
                augmentation = self._draw()
                real = self._real_statistics(network, augmentation)
            yield self._update(network, augmentation, real)

    def _update(self, network: Network, augmentation: Draw, real: list[Tensor]) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        size = self._images_per_pass(network)
        if len(self.group) <= size:
            synthetic = self._statistics(network, augmentation, slice(None))
            loss = matching_loss(real, synthetic, self.config.mmd_weight)
            loss.backward()
        else:
            loss = self._gradient_in_passes(network, augmentation, real, size)
        self.optimizer.step()
        self._project()
        return float(loss.detach())

    def _statistics(
        self, network: Network, augmentation: Draw, index: Tensor | slice
    ) -> list[Tensor]:
        group = self.group[index]
        images = augmentation(unpack(self.slots, self.packing)[index], group)
        with autocast(self.config.precision, self.device):
            return statistics(network, images, group, len(self.classes), self.config)

    def _gradient_in_passes(
        self, network: Network, augmentation: Draw, real: list[Tensor], size: int
    ) -> Tensor:
        """The gradient of all images with at most ``size`` in memory; each goes through twice.

        The loss sees class means alone: their gradient, from a first pass without a graph, is what
        each part is then weighed with. Exact but for rounding.
        """
        num = len(self.classes)
        with torch.no_grad(), autocast(self.config.precision, self.device):
            images = augmentation(unpack(self.slots, self.packing), self.group)
            means = statistics_in_passes(network, images, self.group, num, self.config, size)
        means = [m.requires_grad_() for m in means]
        loss = matching_loss(real, means, self.config.mmd_weight)
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
        self.slots.clamp_(low, high)

    def _train(self, network: Network) -> None:
        """SGD steps on the synthetic set (the course report's inner loop)."""
        config = self.config
        network.requires_grad_(True)
        optimizer = torch.optim.SGD(network.parameters(), lr=config.network_learning_rate)
        targets = self.labels.to(self.device).repeat_interleave(self.packing**2)
        images = unpack(self.slots.detach(), self.packing)
        for _ in range(config.network_steps):
            order = torch.randperm(len(images), generator=self.generator)[: config.batch_real]
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
            "slots": self.slots.detach().clone(),
            "optimizer": deepcopy(self.optimizer.state_dict()),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        with torch.no_grad():
            self.slots.copy_(state["slots"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])

    def result(self) -> LabelledImages:
        """What has been distilled so far, on the CPU."""
        images = self.spec.denormalise(self.slots.detach()).clamp(0, 1).cpu()
        return LabelledImages(images, self.labels.clone(), self.packing)
