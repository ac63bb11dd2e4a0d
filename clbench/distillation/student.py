"""What a student learns while distilled images are made for it: these images, and known ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.codecs.protocol import Codec
from clbench.distillation.adjoint import StepLoss
from clbench.distillation.augmentation import draw, parse
from clbench.distillation.decoding import Decoding
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.problem import Problem
from clbench.distillation.rate import rate_of
from clbench.distillation.settings import DistillationConfig
from clbench.machine.device import autocast
from clbench.soft_labels import keep_class
from clbench.types import ImageSpec, LabelledImages


@dataclass(frozen=True)
class Learnt:
    """What of images is learnt, beside their pixels.

    Attributes:
        soft_labels: their labels, too; else these stay hard.
        rate_weight: weight of an image's bits in the loss, see `clbench.distillation.rate`.
        own_class: least probability of a soft label's own class.
    """

    soft_labels: bool
    rate_weight: float
    own_class: float


class Student:
    """A network that learns the images, step by step; the images and labels being learnt.

    Attributes:
        labels: (N,) int64 of the problem's own classes.
        grid: (N, C, h, w) normalised pixels of the codec's grid; requires grad.
        logits: (N, K) of soft labels; requires grad, idle where labels stay hard.
    """

    def __init__(
        self,
        config: DistillationConfig,
        problem: Problem,
        network: FlatNetwork,
        codec: Codec,
        learnt: Learnt,
        start: LabelledImages,
        logits_NK: Tensor,
    ) -> None:
        """Begin with the images of ``start``, which are in the codec's grid, on 0..1."""
        self.problem, self.network, self.learnt = problem, network, learnt
        self._precision, self._device = config.precision, problem.images.images.device
        self._operations = parse(config.augmentation, problem.spec)
        self.labels = start.hard_labels
        held = {c: num for c, num in enumerate(self.labels.bincount().tolist()) if num}
        self._decoding = Decoding(codec, problem.spec, list(held.values()))
        self._rate = None
        if learnt.rate_weight:
            self._rate = rate_of(codec, problem.real, list(held), list(held.values()))
        self.grid = problem.spec.normalise(start.images).requires_grad_()
        self.logits = logits_NK.requires_grad_()

    def num_seen(self) -> int:
        """Return how many images are learnt: the synthetic ones and those of other classes."""
        others = 0 if self.problem.negatives is None else len(self.problem.negatives)
        return len(self.grid) + others

    def targets(self) -> Tensor:
        """Return the probabilities (N, K) that are learnt."""
        if self.learnt.soft_labels:
            return self.logits.softmax(1)
        return F.one_hot(self.labels, self.logits.shape[1]).to(self.logits)

    def cross_entropy(self, weights_P: Tensor, images_NCHW: Tensor, targets: Tensor) -> Tensor:
        """Return the loss at weights on normalised images; ``targets`` (N,) or (N, K)."""
        with autocast(self._precision, self._device):
            logits = self.network(weights_P, images_NCHW)
        return F.cross_entropy(logits.float(), targets)

    def step_loss(
        self, num_steps: int, batch_size: int | None, generator: torch.Generator
    ) -> StepLoss:
        """Return the loss of each step; batches and augmentation are drawn here, once.

        Args:
            num_steps: of the student.
            batch_size: images of a step; None are all.
            generator: draws them.
        """
        problem = self.problem
        num = self.num_seen()
        size = min(batch_size or num, num)
        shape = (problem.spec.height, problem.spec.width)
        batches = []
        order = torch.empty(0, dtype=torch.int64)
        for _ in range(num_steps):
            if len(order) < size:
                order = torch.randperm(num, generator=generator)
            index, order = order[:size].to(self._device), order[size:]
            batches.append((index, draw(self._operations, size, shape, generator)))
        decoded = self._decoding.while_fixed(self.grid)
        known = problem.negatives
        others = None if known is None else problem.spec.normalise(known.images)

        def loss(step: int, weights_P: Tensor) -> Tensor:
            index, augmentation = batches[step]
            images, targets = decoded(self.grid), self.targets()
            if known is not None and others is not None:
                images = torch.cat([images, others])
                hard = F.one_hot(known.labels, targets.shape[1]).to(targets)
                targets = torch.cat([targets, hard])
            return self.cross_entropy(weights_P, augmentation(images[index]), targets[index])

        return loss

    def with_rate(self, gradient: Tensor) -> Tensor:
        """Add the gradient of the images' bits to that of another loss."""
        if self._rate is None:
            return gradient
        bits = self._rate(self.problem.spec.denormalise(self.grid))
        (slope,) = torch.autograd.grad(bits, self.grid)
        return gradient + self.learnt.rate_weight * slope

    @torch.no_grad()
    def keep_in_range(self) -> None:
        """Put pixels back to 0..1, and soft labels to where their own class is certain enough."""
        spec = self.problem.spec
        low = spec.normalise(torch.zeros(1, spec.channels, 1, 1, device=self._device))
        high = spec.normalise(torch.ones(1, spec.channels, 1, 1, device=self._device))
        self.grid.clamp_(low, high)
        if self.learnt.soft_labels:
            self.logits.copy_(keep_class(self.logits, self.labels, self.learnt.own_class))

    def result(self) -> LabelledImages:
        """Return what has been learnt so far, on the CPU, in the classes of the outside world."""
        problem = self.problem
        images = problem.spec.denormalise(self.grid.detach()).clamp(0, 1).cpu()
        classes = torch.tensor(problem.classes)
        if not self.learnt.soft_labels:
            return LabelledImages(images, classes[self.labels.cpu()])
        soft = torch.zeros(len(images), problem.outside)
        soft[:, classes] = self.targets().detach().float().cpu()
        return LabelledImages(images, soft)


def start_of(state: dict[str, Any], spec: ImageSpec) -> LabelledImages:
    """What a student can begin with before it is given ``state``."""
    images = spec.denormalise(state["grid"]).clamp(0, 1)
    return LabelledImages(images, state["labels"])
