"""The updates of trajectory matching: what the images, the labels and the step size learn.

See `clbench.distillation.trajectories.distiller`, which names the papers and the loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from clbench.coded import enlarged
from clbench.distillation.difficulty.el2n import easiest
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.problem import Problem
from clbench.distillation.protocol import Job
from clbench.distillation.selection.choice import herding_index, learnable_images, random_index
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.student import Learnt, Student
from clbench.distillation.trajectories.distance import matching_gradient
from clbench.distillation.trajectories.experts import Trajectories
from clbench.distillation.trajectories.settings import TrajectorySettings
from clbench.machine.device import autocast
from clbench.soft_labels import keep_class
from clbench.types import LabelledImages

MOST_CHANGE = math.log(2)  # of log b in one update (ours): b at most doubles or halves
OWN_CLASS = 0.9  # at least, of a soft label: experts are weaker than the label is sure (ours)
LEAST_GRADIENT = 1e-12  # a smaller root mean square is none
DIVERGED = 1e9  # the loss told of a student whose weights are no numbers any more


class TrajectoryUpdates:
    """One distillation under way: the images, labels and step size that are learnt."""

    def __init__(
        self,
        config: DistillationConfig,
        problem: Problem,
        network: FlatNetwork,
        experts: Trajectories,
        start: LabelledImages | None,
        job: Job,
    ) -> None:
        """Begin with the images of ``start``, or, without them, as ``config`` says."""
        self.config, self.problem, self.network = config, problem, network
        self.experts, self.codec, self.generator = experts, job.codec, job.generator
        self.settings = config.own(TrajectorySettings)
        self.device = problem.images.images.device
        self.first_parameter = int(self.settings.mask_ratio * network.num_parameters)
        self.log_step = math.log(self.settings.step_size)
        counts = problem.own_counts(job.counts)
        if start is None:
            start, seen = self._initial(counts)
        else:
            seen = enlarged(start, job.codec, problem.spec.shape)
        start = start.to(self.device)
        learnt = Learnt(self.settings.soft_labels, self.settings.rate_weight, OWN_CLASS)
        logits = self._expert_logits(seen.to(self.device), start.hard_labels)
        self.student = Student(config, problem, network, job.codec, learnt, start, logits)
        self.decay = 1.0  # of all step sizes, now
        self.num_done = 0
        self.image_optimizer = torch.optim.SGD(
            [self.student.grid], lr=self.settings.learning_rate, momentum=self.settings.momentum
        )
        self.label_optimizer = torch.optim.SGD(
            [self.student.logits],
            lr=self.settings.label_learning_rate,
            momentum=self.settings.label_momentum,
        )

    @property
    def _optimizers(self) -> tuple[torch.optim.SGD, torch.optim.SGD]:
        return self.image_optimizer, self.label_optimizer

    def _initial(self, counts: Mapping[int, int]) -> tuple[LabelledImages, LabelledImages]:
        """Real images (DATM: those that an expert has learnt) in the grid, and as they are."""
        real = self.problem.real
        if self.config.initialisation == "herding":
            index = herding_index(real, self.problem.spec, counts)
        elif self.config.initialisation == "easy":
            index = easiest(real, self.problem.spec, self.config, self.settings.experts, counts)
        else:
            index = self._learnt_first(counts)
        seen = real.select(index)
        grid = learnable_images(real, index, self.codec)
        if self.config.initialisation == "noise":
            noise = torch.randn(grid.images.shape, generator=self.generator)
            images = self.problem.spec.denormalise(noise.to(self.device))
            grid = LabelledImages(images, grid.labels)
        return grid, seen

    def _learnt_first(self, counts: Mapping[int, int]) -> Tensor:
        """Random images of every class, those that the first expert has learnt before others."""
        real = self.problem.real
        order = random_index(real.hard_labels, len(real), self.generator).to(self.device)
        if not self.settings.soft_labels:
            wrong = torch.zeros(len(order), dtype=torch.bool, device=self.device)
        else:
            last = self.experts.weights[0, -1].to(self.device)
            wrong = self._predict(last, real)[order].argmax(1) != real.hard_labels[order]
        parts = []
        for label in real.classes:
            mine = real.hard_labels[order] == label
            parts.append(torch.cat([order[mine & ~wrong], order[mine & wrong]])[: counts[label]])
        return torch.cat(parts)

    @torch.no_grad()
    def _predict(self, weights_P: Tensor, data: LabelledImages) -> Tensor:
        """Logits (N, K) in float32."""
        parts = []
        for images in data.images.split(500):
            with autocast(self.config.precision, self.device):
                logits = self.network(weights_P, self.problem.spec.normalise(images))
            parts.append(logits.float())
        return torch.cat(parts)

    def _expert_logits(self, chosen: LabelledImages, labels: Tensor) -> Tensor:
        """(N, K): mean logits of the experts that are right about ``labels`` (DATM)."""
        ends = [self._predict(w.to(self.device), chosen) for w in self.experts.weights[:, -1]]
        logits = torch.stack(ends)
        right = (logits.argmax(2) == chosen.hard_labels).float()
        # Where no expert is right, all speak.
        right = torch.where(right.sum(0) > 0, right, torch.ones_like(right))
        mean = (logits * right[:, :, None]).sum(0) / right.sum(0)[:, None]
        return keep_class(mean, labels, OWN_CLASS)

    def updates(self) -> Iterator[tuple[float, dict[str, float]]]:
        """The updates that are left; yields each one's loss and curves."""
        settings = self.settings
        for done in range(self.num_done, settings.num_updates):
            progress = done / settings.num_updates
            if settings.decay == "cosine":
                self.decay = (1 + math.cos(math.pi * progress)) / 2
                self.image_optimizer.param_groups[0]["lr"] = settings.learning_rate * self.decay
                labels = settings.label_learning_rate * self.decay
                self.label_optimizer.param_groups[0]["lr"] = labels
            told = self._update(progress)
            self.num_done = done + 1
            yield told

    def _update(self, progress: float) -> tuple[float, dict[str, float]]:
        settings, rng = self.settings, self.generator
        expert = int(torch.randint(len(self.experts.weights), (1,), generator=rng))
        start = self._draw_start(progress)
        trajectory = self.experts.weights[expert]
        result = matching_gradient(
            self.student.step_loss(settings.student_steps, settings.batch_synthetic, rng),
            [self.student.grid, self.student.logits],
            start_P=trajectory[start].to(self.device),
            target_P=trajectory[start + settings.expert_snapshots].to(self.device),
            step_size=math.exp(self.log_step),
            num_steps=settings.student_steps,
            first_parameter=self.first_parameter,
        )
        scalars = {"step_size": math.exp(self.log_step), "start_snapshot": float(start)}
        images, logits = result.inputs
        images = self.student.with_rate(images)
        self._apply(result.loss, images, logits, math.exp(self.log_step) * result.step_size)
        return min(result.loss, DIVERGED) if math.isfinite(result.loss) else DIVERGED, scalars

    def _draw_start(self, progress: float) -> int:
        s = self.settings
        upper = s.last_start
        if self.settings.growing_start:
            grown = s.initial_last_start + (s.last_start - s.initial_last_start) * progress
            upper = min(s.last_start, math.ceil(grown + 1e-9))
        width = max(1, upper - s.first_start)
        return s.first_start + int(torch.randint(width, (1,), generator=self.generator))

    @torch.no_grad()
    def _apply(self, loss: float, images: Tensor, logits: Tensor, log_step: float) -> None:
        if self.settings.learn_step_size:
            change = self.settings.step_size_learning_rate * self.decay * log_step
            # A student that diverged has no gradient, and one step size less.
            change = change if math.isfinite(change) else MOST_CHANGE
            self.log_step -= min(max(change, -MOST_CHANGE), MOST_CHANGE)
        if not loss <= self.settings.max_loss:
            return
        if self.settings.normalise_gradient:
            images = images / images.square().mean().sqrt().clamp_min(LEAST_GRADIENT)
        self.student.grid.grad = images
        self.image_optimizer.step()
        if self.settings.soft_labels:
            self.student.logits.grad = logits
            self.label_optimizer.step()
        self.student.keep_in_range()

    def state_dict(self) -> dict[str, Any]:
        """Between two updates this is all there is."""
        return {
            "grid": self.student.grid.detach().clone(),
            "logits": self.student.logits.detach().clone(),
            "labels": self.student.labels.clone(),
            "log_step": self.log_step,
            "num_done": self.num_done,
            "optimizers": deepcopy([o.state_dict() for o in self._optimizers]),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        with torch.no_grad():
            self.student.grid.copy_(state["grid"])
            self.student.logits.copy_(state["logits"])
        self.log_step, self.num_done = state["log_step"], state["num_done"]
        for optimizer, values in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.generator.set_state(state["generator"])

    def result(self) -> LabelledImages:
        """What has been distilled so far, on the CPU, in the classes of the outside world."""
        return self.student.result()
