"""Memories of real images: random choice and herding. The baselines distilling must beat."""

from __future__ import annotations

from dataclasses import dataclass

from clbench.distillation.protocol import Job, Workload
from clbench.distillation.selection.choice import chosen_images, herding_index, random_index
from clbench.distillation.settings import DistillationConfig
from clbench.types import ImageSpec, LabelledImages


@dataclass(frozen=True)
class RandomSelection:
    """Uniformly random real images of each class, without replacement."""

    ordered = True

    def distill(self, job: Job) -> LabelledImages:
        """See `Distiller.distill`."""
        job.check_counts()
        index = random_index(job.real.hard_labels, job.counts, job.generator)
        return chosen_images(job.real, index, job.codec)

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Return 0: nothing is computed."""
        return 0.0


@dataclass(frozen=True)
class Herding:
    """Herding (Welling, ICML 2009) as in iCaRL (Rebuffi et al., CVPR 2017, algorithm 4).

    Images are picked one by one so that the mean of the picked stays nearest to the class mean.
    iCaRL measures in the features of its learner; a distiller knows no learner, so the features are
    the normalised pixels, each image scaled to unit length.
    """

    ordered = True

    def distill(self, job: Job) -> LabelledImages:
        """See `Distiller.distill`; deterministic, the generator is not used."""
        job.check_counts()
        index = herding_index(job.real.to(job.device), job.spec, job.counts)
        return chosen_images(job.real, index.cpu(), job.codec)

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Count one distance of every candidate to the moving target per pick."""
        w = workload
        return 2.0 * w.num_real * spec.image_bytes * w.num_images / max(w.num_classes, 1)


def random_selection(config: DistillationConfig) -> RandomSelection:
    """Make the distiller; there is nothing to configure."""
    return RandomSelection()


def herding(config: DistillationConfig) -> Herding:
    """Make the distiller; there is nothing to configure."""
    return Herding()
