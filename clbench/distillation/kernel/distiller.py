"""Kernel regression: images from which a kernel machine predicts real ones.

KIP: Nguyen, Chen & Lee, "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR 2021. FRePo:
Zhou, Nezhadarya & Ba, "Dataset Distillation using Neural Feature Regression", NeurIPS 2022.

    L = 1/2 |Y_B - K(B, S + M) (K(S + M, S + M) + r mean(diag) I)^-1 Y|^2  +  m D  +  w R

S are the images being learnt, B real images of the experience, and M what memory holds of other
classes (ours): with it two classes are learnt against all that came before. Two terms are ours. D
is the discrepancy of each class's S and B under the same kernel, summed: what is learnt must stand
for its class against classes that are yet to come, too. R is the bits of an image on average
(`clbench.distillation.rate`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from clbench import networks
from clbench.distillation.kernel.blocks import KernelBlocks, num_blocks
from clbench.distillation.kernel.pool import BATCH
from clbench.distillation.kernel.settings import KernelSettings
from clbench.distillation.protocol import Job, Update, Workload
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.unfinished import Unfinished
from clbench.measuring.cost import forward_flops
from clbench.types import ImageSpec, LabelledImages

SPARE = 1.2  # learnt, times the number of real images that fit
PROBE = 100  # images of each of two classes, by which the rate is measured
IMAGES_SHOWN = 5  # times that the images are handed to the listener
NO_OTHERS = "one class and no memory of others: kernel regression has nothing to tell it from"


@dataclass(frozen=True)
class KernelRegression:
    """KIP or FRePo (``config.settings.kernel``), see `KernelSettings`.

    Attributes:
        uses_known: memory of other classes is part of the support.
        uses_own: so are real images of its own that are stored beside.
    """

    config: DistillationConfig
    uses_known = uses_own = True

    @property
    def soft_labels(self) -> bool:
        """Images carry soft labels."""
        return self.config.own(KernelSettings).soft_labels

    @property
    def spare(self) -> float:
        """Images with a rate term take fewer bytes than real ones, so more of them fit."""
        return SPARE if self.config.own(KernelSettings).rate_weight else 1.0

    def distill(self, job: Job) -> LabelledImages:
        """See `Distiller.distill`; float32 pixels of the codec's grid on the 0..1 scale."""
        job.check_counts()
        with Unfinished.of(self, job) as unfinished:
            updates = KernelBlocks(self.config, job)
            if unfinished.state is not None:
                updates.load_state_dict(unfinished.state)
            elif self._is_idle(job):
                unfinished.tell(Update(0, 0, 0.0, note=NO_OTHERS))
            else:
                for note in updates.notes:
                    unfinished.tell(Update(0, 0, 0.0, note=note))
            total = updates.settings.num_updates
            every = max(1, total // IMAGES_SHOWN)
            for loss in updates.updates():
                number = updates.num_done
                shown = updates.result() if number % every == 0 or number == total else None
                unfinished.tell(Update(number, total, loss, images=shown))
                unfinished.reached(updates)
            return updates.result()

    def _is_idle(self, job: Job) -> bool:
        settings = self.config.own(KernelSettings)
        alone = len(job.real.classes) == 1 and job.known is None
        return alone and not settings.matching_weight

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Kernels, solving, and the networks' features and training; a multiply-add is one."""
        c, w = self.config.own(KernelSettings), workload
        blocks = num_blocks(w.num_images)
        learnt = w.num_images / blocks
        support = learnt + min(w.num_known, c.max_support)
        targets = min(c.batch_real, w.num_real)
        solving = support**3 / 3 + support**2 * spec.num_classes
        update = 0.0
        if c.kernel != "network":
            # Forward, and a backward of twice that; memory's own part is computed once.
            pairs = learnt * support + targets * support
            update += 3 * pairs * spec.image_bytes + 3 * solving
        if c.kernel != "ntk":
            one = forward_flops(networks.build(self.config.network, spec, seed=0), spec.shape)
            learning = c.network_steps * 3 * one * min(BATCH, support)
            seen = one * (3 * learnt + support - learnt + targets)
            update += c.num_networks * (learning + seen + 3 * solving)
        return c.num_updates * blocks * update

    def rate(self, spec: ImageSpec) -> float | None:
        """Return the operations a second of the closed-form kernel here; None of networks.

        Single precision with arc cosines, and solving in double precision, reach a small part of a
        network's rate.
        """
        settings = self.config.own(KernelSettings)
        if settings.kernel != "ntk":
            return None
        rng = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (4 * PROBE, *spec.shape), generator=rng, dtype=torch.uint8)
        real = LabelledImages(pixels, torch.arange(4 * PROBE) % 2)
        twice = self.config.replace(settings=settings.replace(num_updates=2))
        updates = KernelBlocks(twice, Job.equal(real, spec, PROBE, rng)).updates()
        next(updates)
        start = time.perf_counter()
        next(updates)
        seconds = time.perf_counter() - start
        each = self.flops(spec, Workload(4 * PROBE, 2, 2 * PROBE)) / settings.num_updates
        return each / seconds
