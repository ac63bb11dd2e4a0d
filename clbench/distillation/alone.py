"""A class that nothing is known beside: a classifier has nothing to learn of it."""

from __future__ import annotations

import dataclasses

import torch.nn.functional as F

from clbench.distillation.protocol import Job, Update, Workload
from clbench.distillation.selection.distiller import Herding
from clbench.types import LabelledImages

NO_NEGATIVES = (
    "one class and no memory of others: a classifier has nothing to learn, images were selected "
    "by herding"
)


def is_alone(job: Job) -> bool:
    """Return whether the job's one class has nothing beside it."""
    return len(job.real.classes) == 1 and job.known is None


def herded(job: Job, *, soft_labels: bool) -> LabelledImages:
    """Return real images selected by herding, and tell so."""
    if job.on_update is not None:
        job.on_update(Update(0, 0, 0.0, note=NO_NEGATIVES))
    chosen = Herding().distill(job)
    if not soft_labels:
        return chosen
    soft = F.one_hot(chosen.labels, job.spec.num_classes).float()
    return LabelledImages(chosen.images, soft)


def seen(workload: Workload, *, against_memory: bool) -> Workload:
    """Return the work without the known images where these are left aside."""
    if against_memory or workload.num_classes == 1:
        return workload
    return dataclasses.replace(workload, num_known=0, num_known_classes=0)
