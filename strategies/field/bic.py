"""BiC: two numbers, fitted on images held out, undo the preference for new classes.

Wu, Chen, Wang, Ye, Liu, Guo & Fu, "Large Scale Incremental Learning", CVPR 2019, arXiv 1905.13260.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import MultiStepLR

from clbench.config import RunConfig
from clbench.memory import ImageMemory
from clbench.networks import Network
from clbench.seeding import generator
from clbench.strategies.batches import MemoryBatches
from clbench.strategies.field.heads import Corrected
from clbench.strategies.field.method import MethodLearner, Replay, frozen
from clbench.strategies.field.settings import BicSettings
from clbench.types import LabelledImages


class Bic(Replay):
    """Replay with distillation, then the bias of the experience's classes.

    Images held out of memory are images of memory: they cost no bytes of their own, and none of
    them is trained on, but for a class of a single image. Where no class is away (every one comes
    back), there is neither distillation nor bias, and BiC is replay.
    """

    def __init__(self, settings: BicSettings, memory: ImageMemory, **options: Any) -> None:
        """See `MemoryReplay`."""
        super().__init__(memory, **options)
        self.settings = settings
        self.old: Any = None  # the network before the experience
        self.seen: set[int] = set()

    def prepare(self, network: Network) -> None:
        """Let the network correct its logits in evaluation."""
        network.classifier = Corrected(network.classifier)

    def training_images(self, images: LabelledImages) -> LabelledImages:
        """Return all but those held out: of each class as many as of a remembered one."""
        present = set(images.classes)
        self._present, self._away = sorted(present), sorted(self.seen - present)
        if not self._away:
            return images
        rng = generator(self.seed, "bic", self.memory.num_experiences)
        share, held = self.settings.validation_share, self.memory.contents()
        self._trained, self._held_out = held_out(held.hard_labels, lambda n: round(share * n), rng)
        each = round(len(self._held_out) / len(held.classes))
        trained, new = held_out(images.hard_labels.cpu(), lambda n: each, rng)
        device = images.labels.device
        self._new = images.select(new.to(device))
        return images.select(trained.to(device))

    def before_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Join memory to the batches, but for what is held out of it."""
        super().before_training_exp(strategy, **kwargs)
        joined = strategy.dataloader.memory
        if self._away and joined is not None:
            index = self._trained.to(strategy.device)
            images, labels = joined.images[index], joined.labels[index]
            strategy.dataloader.memory = MemoryBatches(
                images, labels, joined.batch_size, joined.generator
            )

    def loss(self, learner: MethodLearner) -> Tensor:
        """Return the batch's cross-entropy, mixed with the distillation of the classes away."""
        plain = learner.plain_loss()
        if not self._away:
            return plain
        assert self.old is not None
        learner.num_trained_images += len(learner.mb_y) // 3
        with torch.no_grad():
            taught = self.old(learner.mb_x)[:, self._away]
        distilled = softened_cross_entropy(
            learner.mb_output[:, self._away], taught, self.settings.temperature
        )
        weight = len(self._away) / (len(self._away) + len(self._present))
        return weight * distilled + (1 - weight) * plain

    def after_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Fit the bias, take in the exemplars, and keep the network as the next one's teacher."""
        network = strategy.model.eval()
        if self._away:
            self._correct(strategy)
        super().after_training_exp(strategy, **kwargs)
        self.seen |= set(self._present)
        self.old = frozen(copy.deepcopy(network))
        network.train()

    @torch.no_grad()
    def _correct(self, strategy: MethodLearner) -> None:
        images, labels = self.memory.normalised(strategy.device)
        index = self._held_out.to(strategy.device)
        images = torch.cat([images[index], strategy.spec.normalise(self._new.images)])
        labels = torch.cat([labels[index], self._new.labels])
        head = strategy.model.classifier
        logits = head.plain(strategy.model.embed(images))
        head.chosen.fill_(False)
        head.chosen[self._present] = True
        scale, shift = fitted_bias(logits, labels, head.chosen, self.settings)
        head.scale.copy_(scale)
        head.shift.copy_(shift)

    def state_dict(self) -> dict[str, Any]:
        """Return the old network's weights, and the classes seen."""
        old = None if self.old is None else self.old.state_dict()
        return {"old": old, "seen": sorted(self.seen)}

    def load_state_dict(self, state: Mapping[str, Any], learner: MethodLearner) -> None:
        """Be where `state_dict` was taken."""
        self.seen = set(state["seen"])
        if state["old"] is not None:
            self.old = frozen(copy.deepcopy(learner.model))
            self.old.load_state_dict(state["old"])


def held_out(
    labels_N: Tensor, wanted: Callable[[int], int], rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return positions to train on and positions held out, ascending.

    Args:
        labels_N: int64 on the CPU.
        wanted: of a class's number of images, how many to hold out; at least 1 and at most half of
            them are. A class's only image is trained on too.
        rng: draws them.
    """
    trained, out = [], []
    for c in labels_N.unique():
        members = (labels_N == c).nonzero().flatten()
        order = members[torch.randperm(len(members), generator=rng)]
        num = max(1, min(wanted(len(order)), len(order) // 2))
        out.append(order[:num])
        trained.append(order[num:] if len(order) > 1 else order)
    return torch.cat(trained).sort().values, torch.cat(out).sort().values


def softened_cross_entropy(logits_NK: Tensor, taught_NK: Tensor, temperature: float) -> Tensor:
    """Return the mean distillation loss (equation 2 of the paper) over some classes' logits."""
    target = (taught_NK / temperature).softmax(1)
    return F.cross_entropy(logits_NK / temperature, target)


def fitted_bias(
    logits_NK: Tensor, labels_N: Tensor, chosen_K: Tensor, settings: BicSettings
) -> tuple[Tensor, Tensor]:
    """Return scale and shift of the chosen classes' logits that fit the labels (equations 4, 5).

    Momentum is 0.9, and the step falls to a tenth after each quarter of the steps, as in
    Avalanche's plugin; a step is on all images.
    """
    with torch.enable_grad():
        scale = torch.ones((), device=logits_NK.device, requires_grad=True)
        shift = torch.zeros((), device=logits_NK.device, requires_grad=True)
        optimizer = torch.optim.SGD([scale, shift], lr=settings.bias_learning_rate, momentum=0.9)
        quarters = [settings.bias_steps * part // 4 for part in (1, 2, 3)]
        scheduler = MultiStepLR(optimizer, milestones=quarters, gamma=0.1)
        for _ in range(settings.bias_steps):
            optimizer.zero_grad()
            corrected = torch.where(chosen_K, scale * logits_NK + shift, logits_NK)
            F.cross_entropy(corrected, labels_N).backward()
            optimizer.step()
            scheduler.step()
    return scale.detach(), shift.detach()


def make(config: RunConfig, memory: ImageMemory | None) -> Bic:
    """Make the method."""
    assert memory is not None and isinstance(config.method, BicSettings)
    batch_size = config.learner.memory_batch_size
    return Bic(config.method, memory, batch_size=batch_size, seed=config.seed)
