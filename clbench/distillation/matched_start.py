"""Distribution matching that images go through before a slower method learns them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from clbench.distillation.matching.distiller import Matching
from clbench.distillation.matching.settings import MatchingSettings
from clbench.distillation.problem import Problem
from clbench.distillation.protocol import Job, OnUpdate, Update, Workload
from clbench.distillation.settings import DistillationConfig
from clbench.types import ImageSpec, LabelledImages


@dataclass(frozen=True)
class MatchedStart:
    """Images that go through distribution matching first, or none.

    Attributes:
        config: of the slower method.
        method: "dm", "datadam" or "none".
        settings: of the matching.
    """

    config: DistillationConfig
    method: str
    settings: MatchingSettings

    def images(
        self, problem: Problem, job: Job, on_update: OnUpdate, seconds_saved: float = 0.0
    ) -> LabelledImages | None:
        """Return the matched images of a problem, labelled as it is; None without matching.

        Args:
            problem: whose real images are distilled.
            job: what the slower method was given.
            on_update: hears of the updates, as of those before the first.
            seconds_saved: what a cache has spared this work before.
        """
        matching = self._matching()
        if matching is None:
            return None

        def tell(update: Update) -> None:
            seconds = seconds_saved + update.seconds_saved
            on_update(dataclasses.replace(update, phase="start", seconds_saved=seconds))

        part = job.replace(
            real=problem.real,
            spec=problem.spec,
            counts=problem.own_counts(job.counts),
            known=None,
            on_update=tell,
        )
        return matching.distill(part)

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Return the operations of the matching, see `Distiller.flops`."""
        matching = self._matching()
        return 0.0 if matching is None else matching.flops(spec, workload)

    def _matching(self) -> Matching | None:
        if self.method == "none":
            return None
        return Matching(self.config.replace(distiller=self.method, settings=self.settings))
