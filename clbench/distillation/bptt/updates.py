"""The updates of back-propagation through training; see `clbench.distillation.bptt.distiller`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from clbench.distillation.adjoint import walk, walk_back
from clbench.distillation.bptt.settings import BpttSettings
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.problem import Problem
from clbench.distillation.protocol import Job
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.starting import start_images
from clbench.distillation.student import Learnt, Student
from clbench.soft_labels import nearly_hard
from clbench.types import LabelledImages

FIRST_CLASS = 0.95  # of a soft label, before the first update (ours)
OWN_CLASS = 0.5  # at least, afterwards, so that it stays the largest (ours)
BETAS = (0.9, 0.99)  # of Adam (ours): updates are few
DIVERGED = 1e9  # the loss told of a network whose weights are no numbers any more


class BpttUpdates:
    """One distillation under way: the images and labels that are learnt.

    Attributes:
        student: what networks learn.
        num_done: updates.
    """

    def __init__(
        self,
        config: DistillationConfig,
        problem: Problem,
        network: FlatNetwork,
        start: LabelledImages | None,
        job: Job,
    ) -> None:
        """Begin with the images of ``start``, or, without them, as ``config`` says."""
        self.config, self.problem, self.network = config, problem, network
        self.settings, self.generator = config.own(BpttSettings), job.generator
        if start is None:
            counts = problem.own_counts(job.counts)
            start = start_images(
                config, problem.real, problem.spec, counts, job.codec, job.generator
            )
        start = start.to(job.device)
        learnt = Learnt(self.settings.soft_labels, self.settings.rate_weight, OWN_CLASS)
        logits = nearly_hard(start.hard_labels, problem.spec.num_classes, FIRST_CLASS)
        self.student = Student(config, problem, network, job.codec, learnt, start, logits)
        self._rates = [self.settings.learning_rate, self.settings.label_learning_rate]
        learnt_tensors = [{"params": [x], "lr": 0.0} for x in self._inputs()]
        self.optimizer = torch.optim.Adam(learnt_tensors, betas=BETAS)
        self.num_done = 0

    def _inputs(self) -> list[Tensor]:
        """What the networks' steps depend on."""
        student = self.student
        return [student.grid, student.logits] if self.settings.soft_labels else [student.grid]

    def updates(self) -> Iterator[tuple[float, dict[str, float]]]:
        """Make the updates that are left; yield each one's loss and curves."""
        total = self.settings.num_updates
        while self.num_done < total:
            part = 1.0
            if self.settings.decay == "cosine":
                part = (1 + math.cos(math.pi * self.num_done / total)) / 2
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=False):
                group["lr"] = rate * part
            told = self._update()
            self.num_done += 1
            yield told

    def _update(self) -> tuple[float, dict[str, float]]:
        settings, rng, student = self.settings, self.generator, self.student
        num_steps = int(torch.randint(settings.window, settings.unroll + 1, (1,), generator=rng))
        seed = int(torch.randint(2**62, (1,), generator=rng))
        step_loss = student.step_loss(num_steps, settings.batch_synthetic, rng)
        weights = walk(step_loss, self.network.initial(seed), settings.step_size, num_steps)
        loss, adjoint = self._judged(weights[-1])
        back = walk_back(
            step_loss,
            self._inputs(),
            weights,
            adjoint,
            step_size=settings.step_size,
            window=settings.window,
        )
        gradients = [student.with_rate(back.inputs[0]), *back.inputs[1:]]
        scalars = {"network_steps": float(num_steps)}
        if not (math.isfinite(loss) and all(g.isfinite().all() for g in gradients)):
            return DIVERGED, scalars
        for learnt, gradient in zip(self._inputs(), gradients, strict=True):
            learnt.grad = gradient
        self.optimizer.step()
        student.keep_in_range()
        return loss, scalars

    def _judged(self, weights_P: Tensor) -> tuple[float, Tensor]:
        """Return the loss of a network on real images, and its gradient (P,)."""
        images = self.problem.images
        size = min(self.settings.batch_real, len(images))
        index = torch.randperm(len(images), generator=self.generator)[:size]
        batch = images.select(index.to(weights_P.device))
        here = weights_P.detach().clone().requires_grad_()
        pixels = self.problem.spec.normalise(batch.images)
        loss = self.student.cross_entropy(here, pixels, batch.hard_labels)
        (gradient,) = torch.autograd.grad(loss, here)
        return float(loss.detach()), gradient

    def state_dict(self) -> dict[str, Any]:
        """Between two updates this is all there is."""
        return {
            "grid": self.student.grid.detach().clone(),
            "logits": self.student.logits.detach().clone(),
            "labels": self.student.labels.clone(),
            "num_done": self.num_done,
            "optimizer": deepcopy(self.optimizer.state_dict()),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        with torch.no_grad():
            self.student.grid.copy_(state["grid"])
            self.student.logits.copy_(state["logits"])
        self.num_done = state["num_done"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])

    def result(self) -> LabelledImages:
        """Return what has been distilled so far, on the CPU, in the classes of the outside."""
        return self.student.result()
