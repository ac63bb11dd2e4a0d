"""Weights & Biases' view of a run: the curves of TensorBoard, over the experiences learnt.

Distillations have the number of the update as their x-axis. Where nobody is logged in and
WANDB_MODE does not say otherwise, the run is kept below its directory, and ``wandb sync`` sends it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import wandb

from clbench import figures
from clbench.coded import CodedImages
from clbench.distillation import Update
from clbench.evaluation.protocol import Result
from clbench.measuring.metrics import Matrix, Vector
from clbench.report import RunReport
from clbench.store.plain import readable
from clbench.tracking import curves
from clbench.tracking.protocol import Drawings, NullTracker

PROJECT = "clbench"  # where WANDB_PROJECT does not say
_STEP = "experience"


class WandbTracker(NullTracker):
    """Sends a run to Weights & Biases, or keeps it for later."""

    def __init__(self, directory: Path, name: str) -> None:
        """Connect to nothing yet.

        Args:
            directory: of the run; what is kept for later lies below.
            name: of the run, for people.
        """
        self._directory, self._name = directory, name
        self._id, self._resumed = uuid.uuid4().hex[:12], False
        self._run: Any = None
        self._class_groups: Sequence[Sequence[int]] = ()

    def position(self) -> dict[str, str]:
        """Return the run's name there."""
        return {"id": self._id}

    def on_resume(self, position: dict[str, str]) -> None:
        """Go on with the run that was begun."""
        self._id, self._resumed = str(position["id"]), True

    def on_start(self, config: dict[str, Any], class_groups: Sequence[Sequence[int]]) -> None:
        """Begin the run with its configuration."""
        self._class_groups = class_groups
        self._directory.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(self._directory),
            name=readable(self._name),
            id=self._id,
            resume="allow" if self._resumed else None,
            config=dict(curves.flatten(config)),
            mode=_mode(),
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric(_STEP)
        self._run.define_metric("*", step_metric=_STEP)
        for k in range(1, len(class_groups) + 1):
            folder = f"distillation/experience_{k}"
            self._run.define_metric(f"{folder}/*", step_metric=f"{folder}/update")

    def on_distillation_update(self, k: int, update: Update) -> None:
        """Send its curves, at the update."""
        points = {name: value for name, value, _ in curves.of_update(k, update)}
        if points:
            self._run.log({**points, f"distillation/experience_{k + 1}/update": update.number})

    def on_experience_end(
        self,
        k: int,
        R_so_far: Matrix,
        untrained: Vector,
        num_test: Vector,
        confusion: Matrix | None,
        memory: CodedImages | None,
        class_names: Sequence[str],
    ) -> None:
        """Send the curves of the stream so far, and what memory holds."""
        steps: dict[int, dict[str, Any]] = {}
        points = (
            *curves.of_experience(k, R_so_far, untrained, num_test, memory),
            *curves.of_recalls(k, confusion, self._class_groups, class_names),
        )
        for name, value, step in points:
            steps.setdefault(step, {})[name] = value
        if memory is not None and len(memory):
            drawn = figures.memory_figure(
                memory.images, class_names=class_names, num_bytes=memory.num_bytes
            )
            steps[k + 1]["memory"] = wandb.Image(figures.figure_to_array(drawn))
        for step, values in sorted(steps.items()):
            self._run.log({**values, _STEP: step})

    def on_evaluation(self, name: str, result: Result, drawings: Drawings) -> None:
        """Send its scalars, at the last step."""
        step = len(self._class_groups)
        values = {tag: value for tag, value, _ in curves.of_evaluation(result, step)}
        self._run.log({**values, _STEP: step})

    def on_end(self, report: RunReport) -> None:
        """Keep the report's metrics as the run's summary."""
        points = curves.of_report(report.metrics, len(report.class_groups))
        self._run.summary.update({name: value for name, value, _ in points})
        self._finish(0)

    def close(self) -> None:
        """Let go of the run; one that did not reach its end is marked so."""
        self._finish(1)

    def _finish(self, code: int) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.finish(exit_code=code)


def _mode() -> Literal["offline"] | None:
    """Return None, which leaves it to WANDB_MODE, or "offline": nobody may be asked to log in."""
    known = os.environ.get("WANDB_MODE") or os.environ.get("WANDB_API_KEY") or wandb.api.api_key
    return None if known else "offline"
