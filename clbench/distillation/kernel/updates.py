"""The updates of kernel regression; see `clbench.distillation.kernel.distiller`."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from clbench.codecs.scaling import as_floats
from clbench.distillation.decoding import Decoding
from clbench.distillation.kernel.kernels import feature_kernel, tangent_kernel
from clbench.distillation.kernel.pool import Pool
from clbench.distillation.kernel.regression import (
    Kernel,
    among,
    as_soft,
    centred,
    discrepancy,
    regression_loss,
)
from clbench.distillation.kernel.settings import KernelSettings
from clbench.distillation.protocol import Job
from clbench.distillation.rate import rate_of
from clbench.distillation.settings import DistillationConfig
from clbench.machine.device import autocast
from clbench.networks import Network
from clbench.soft_labels import keep_class, nearly_hard
from clbench.types import LabelledImages, positions_by_class

FIRST_CLASS = 0.9  # of a soft label, before the first update (ours)
OWN_CLASS = 0.5  # at least, afterwards, so that it stays the largest (ours)


class KernelUpdates:
    """One block of images under way, what memory holds, and the networks.

    Attributes:
        grid: pixels (N, C, h, w) of the codec's grid on the 0..1 scale.
        logits: of soft labels (N, K); idle where labels stay hard.
        note: what the report must say; mostly empty.
    """

    def __init__(self, config: DistillationConfig, job: Job, start: LabelledImages) -> None:
        """Begin with the images of ``start``, in the codec's grid, ascending by class."""
        self.config, self.settings = config, config.own(KernelSettings)
        self.spec, self.generator, self.device = job.spec, job.generator, job.device
        self.real = job.real.to(job.device)
        self.labels = start.hard_labels.to(self.device)
        held = {c: len(found) for c, found in positions_by_class(self.labels).items()}
        classes, counts = list(held), list(held.values())
        self.decoding = Decoding(job.codec, job.spec, counts)
        self.rate = None
        if self.settings.rate_weight:
            self.rate = rate_of(job.codec, self.real, classes, counts)
        self.grid = as_floats(start.images).to(self.device).clone().requires_grad_()
        logits = nearly_hard(self.labels, self.spec.num_classes, FIRST_CLASS)
        self.logits = logits.requires_grad_()
        self.optimizer = torch.optim.Adam(self._learnt())
        self.note = ""
        self.known, self.known_labels = self._remembered(job.known)
        self._tangent = partial(tangent_kernel, hidden_layers=self.settings.hidden_layers)
        self._fixed = self._among_known()
        uses_networks = self.settings.kernel != "ntk"
        self.pool = Pool(config, job.spec, job.generator, job.device) if uses_networks else None
        self.num_done = 0

    def _learnt(self) -> list[dict[str, Any]]:
        """What Adam moves, and in which steps."""
        settings = self.settings
        labels = {"params": [self.logits], "lr": settings.label_learning_rate}
        images = {"params": [self.grid], "lr": settings.learning_rate}
        return [images, labels] if settings.soft_labels else [images]

    def _support_labels(self) -> Tensor:
        """Of the learnt images, then of memory's: (P,), or soft (P, K)."""
        if not self.settings.soft_labels:
            return torch.cat([self.labels, self.known_labels])
        known = as_soft(self.known_labels, self.spec.num_classes).to(self.logits)
        return torch.cat([self.logits.softmax(1), known])

    def _remembered(self, known: LabelledImages | None) -> tuple[Tensor, Tensor]:
        """Normalised images of memory, so many of them as the support has room for."""
        if known is None:
            empty = torch.zeros(0, *self.spec.shape, device=self.device)
            return empty, torch.zeros(0, dtype=torch.int64, device=self.device)
        most = self.settings.max_support
        if len(known) > most:
            self.note = f"{most} of {len(known)} images of memory were drawn for the support"
            index = torch.randperm(len(known), generator=self.generator)[:most]
            known = known.select(index.sort().values)
        here = known.to(self.device)
        labels = here.labels if self.settings.soft_labels else here.hard_labels
        return self.spec.normalise(here.images), labels

    def _among_known(self) -> Tensor | None:
        """The tangent kernel among memory's images, which stay as they are."""
        if self.settings.kernel == "network":
            return None
        known = self.known.flatten(1)
        return self._tangent(known, known)

    def update(self) -> float:
        """Make one update; return its loss."""
        images = self.decoding(self.spec.normalise(self.grid))
        support = torch.cat([images, self.known])
        labels = self._support_labels()
        batch = torch.randperm(len(self.real), generator=self.generator)[: self.settings.batch_real]
        real = self.real.select(batch.to(self.device))
        targets = self.spec.normalise(real.images)
        losses = [
            self._loss(kernel, embed(support), labels, embed(targets), real.hard_labels)
            for kernel, embed in self._kernels(support, labels)
        ]
        loss = torch.stack(losses).mean()
        if self.rate is not None:
            loss = loss + self.settings.rate_weight * self.rate(self.grid)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.grid.clamp_(0, 1)
            if self.settings.soft_labels:
                self.logits.copy_(keep_class(self.logits, self.labels, OWN_CLASS))
        self.num_done += 1
        return float(loss.detach())

    def _loss(
        self, kernel: Kernel, support: Tensor, labels: Tensor, targets: Tensor, truth: Tensor
    ) -> Tensor:
        num, settings = self.spec.num_classes, self.settings
        own = among(kernel, support, self._fixed if kernel is self._tangent else None)
        cross = kernel(targets, support)
        loss = regression_loss(
            own, cross, centred(labels, num), centred(truth, num), settings.ridge
        )
        return loss + settings.matching_weight * self._discrepancies(
            kernel, own.double(), cross.double(), targets.detach(), truth
        )

    def _discrepancies(
        self, kernel: Kernel, own: Tensor, cross: Tensor, targets: Tensor, truth: Tensor
    ) -> Tensor:
        """Return the sum over classes, of those that the targets hold."""
        total = own.new_zeros(())
        for c in self.real.classes if self.settings.matching_weight else ():
            mine = (self.labels == c).nonzero().flatten()
            theirs = (truth == c).nonzero().flatten()
            if len(theirs) and len(mine):
                with torch.no_grad():
                    real = kernel(targets[theirs], targets[theirs]).double()
                learnt, between = own[mine[:, None], mine], cross[theirs[:, None], mine]
                total = total + discrepancy(learnt, between, real)
        return total

    def _kernels(self, support: Tensor, labels: Tensor) -> Iterator[tuple[Any, Any]]:
        """Kernels, each with what it is given of images."""
        if self.settings.kernel != "network":
            yield self._tangent, partial(torch.flatten, start_dim=1)
        if self.pool is not None:
            for network in self.pool.trained(support.detach(), labels.detach()):
                yield feature_kernel, partial(self._features, network)

    def _features(self, network: Network, images_NCHW: Tensor) -> Tensor:
        with autocast(self.config.precision, self.device):
            return network.embed(images_NCHW).float()

    def state_dict(self) -> dict[str, Any]:
        """Between two updates this is all there is."""
        return {
            "grid": self.grid.detach().clone(),
            "logits": self.logits.detach().clone(),
            "known": self.known.clone(),
            "known_labels": self.known_labels.clone(),
            "optimizer": deepcopy(self.optimizer.state_dict()),
            "pool": [] if self.pool is None else self.pool.state_dict(),
            "num_done": self.num_done,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        with torch.no_grad():
            self.grid.copy_(state["grid"])
            self.logits.copy_(state["logits"])
        self.known, self.known_labels = state["known"], state["known_labels"]
        self._fixed = self._among_known()
        self.optimizer.load_state_dict(state["optimizer"])
        if self.pool is not None:
            self.pool.load_state_dict(state["pool"])
        self.num_done = state["num_done"]
        self.generator.set_state(state["generator"])

    def result(self) -> LabelledImages:
        """What has been distilled so far, in the codec's grid, on the CPU."""
        soft = self.settings.soft_labels
        labels = self.logits.detach().softmax(1) if soft else self.labels
        return LabelledImages(self.grid.detach().cpu().clone(), labels.cpu())
