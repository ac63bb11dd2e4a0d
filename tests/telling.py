"""A distiller of soft labels that looks at memory and tells all that one can tell."""

from __future__ import annotations

import pytest
import torch

from clbench.config import DistillationConfig
from clbench.distillation import DISTILLERS, DistillerInfo, Job, Update, Workload
from clbench.distillation.selection.distiller import RandomSelection
from clbench.types import ImageSpec, LabelledImages

LOSSES = (0.75, 0.5, 0.25)
SAVED = 100.0
ALONE = "one class and no memory of others"


class Telling:
    """Random real images whose labels leave a tenth to the other classes.

    Tells of two expert updates and three of the images; of a single class that nothing is known
    beside it tells a note alone.
    """

    soft_labels = True
    uses_known = True

    def __init__(self, config: DistillationConfig | None = None) -> None:
        self.known: list[LabelledImages | None] = []
        self.counts: list[dict[int, int]] = []

    def distill(self, job: Job) -> LabelledImages:
        self.known.append(job.known)
        self.counts.append(dict(job.counts))
        chosen = RandomSelection().distill(job)
        num_classes = job.spec.num_classes
        certain = torch.nn.functional.one_hot(chosen.labels, num_classes).float()
        made = LabelledImages(chosen.images, 0.9 * certain + 0.1 / num_classes)
        if job.on_update is not None:
            for update in self._updates(made, len(job.real.classes) == 1 and job.known is None):
                job.on_update(update)
        return made

    @staticmethod
    def _updates(made: LabelledImages, alone: bool) -> list[Update]:
        if alone:
            return [Update(0, 0, 0.0, note=ALONE)]
        experts = [Update(n, 2, 1.0 / n, "experts", seconds_saved=SAVED * n / 2) for n in (1, 2)]
        images = [
            Update(
                n,
                len(LOSSES),
                loss,
                scalars={"step_size": 0.03 / n},
                images=made if n == len(LOSSES) else None,
                seconds_saved=SAVED,
            )
            for n, loss in enumerate(LOSSES, 1)
        ]
        return experts + images

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        return 7.0


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the distiller ``telling`` and its two strategies into the tables for one test."""
    info = DistillerInfo(Telling, "tells all", "here", needs_network=True, prefix="telling")
    monkeypatch.setitem(DISTILLERS, "telling", info)
