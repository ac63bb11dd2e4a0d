"""MIR: replay of the images that the coming step would hurt most.

Aljundi, Caccia, Belilovsky, Caccia, Lin, Charlin & Tuytelaars, "Online Continual Learning with
Maximally Interfered Retrieval", NeurIPS 2019, arXiv 1908.04742.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from clbench.config import RunConfig
from clbench.memory import ImageMemory
from clbench.strategies.field.method import Method, MethodLearner, drawn_from
from clbench.strategies.field.settings import MirSettings


class Mir(Method):
    """Current images, and those of a draw from memory whose loss a plain step would raise most."""

    def __init__(
        self, settings: MirSettings, memory: ImageMemory, *, batch_size: int, seed: int
    ) -> None:
        """Set up the method; ``batch_size`` images of the draw are replayed."""
        super().__init__()
        self.settings, self.memory, self.batch_size, self.seed = settings, memory, batch_size, seed

    def loss(self, learner: MethodLearner) -> Tensor:
        """Return the mean cross-entropy of the current images plus that of the chosen ones."""
        current = learner.plain_loss()
        if not len(self.memory.contents()):
            return current
        images, labels = drawn_from(
            self.memory, self.settings.subsample, learner, seed=self.seed, name="mir"
        )
        rate = learner.optimizer.param_groups[0]["lr"]
        hurt = interference(learner.model, current, images, labels, rate)
        chosen = hurt.argsort(descending=True, stable=True)[: self.batch_size]
        # The search costs two forward passes of the draw and the batch's gradient once more.
        num = len(chosen) + 2 * (len(images) + len(learner.mb_y)) // 3
        learner.num_trained_images += num
        return current + F.cross_entropy(learner.model(images[chosen]), labels[chosen])

    def after_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Take the experience into memory."""
        self.memory.post_adapt(strategy, strategy.experience)


def interference(
    network: torch.nn.Module, loss: Tensor, images_NCHW: Tensor, labels_N: Tensor, rate: float
) -> Tensor:
    """Return by how much each image's loss rises by a step on ``loss`` (section 3.1, MI-1).

    Args:
        network: is not changed.
        loss: of the current images, whose graph is kept.
        images_NCHW: normalised.
        labels_N: int64.
        rate: of the virtual step of plain gradient descent.

    Returns:
        (N,) losses after the step less losses before it.
    """
    named = dict(network.named_parameters())
    gradients = torch.autograd.grad(loss, list(named.values()), retain_graph=True)
    was_training = network.training
    network.eval()
    with torch.no_grad():
        ahead = {name: p - rate * g for (name, p), g in zip(named.items(), gradients, strict=True)}
        before = F.cross_entropy(network(images_NCHW), labels_N, reduction="none")
        after = functional_call(network, ahead, (images_NCHW,))
        rise = F.cross_entropy(after, labels_N, reduction="none") - before
    network.train(was_training)
    return rise


def make(config: RunConfig, memory: ImageMemory | None) -> Mir:
    """Make the method."""
    assert memory is not None and isinstance(config.method, MirSettings)
    return Mir(config.method, memory, batch_size=config.learner.memory_batch_size, seed=config.seed)
