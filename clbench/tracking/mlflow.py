"""MLflow's view of a run: the curves of TensorBoard, at the same steps.

The server, or the file, is the one that MLFLOW_TRACKING_URI names; MLflow's own default otherwise.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from clbench import figures
from clbench.coded import CodedImages
from clbench.distillation import Update
from clbench.evaluation.protocol import Result
from clbench.measuring.metrics import Matrix, Vector
from clbench.report import RunReport
from clbench.store.plain import readable
from clbench.tracking import curves
from clbench.tracking.protocol import Drawings, NullTracker

EXPERIMENT = "clbench"  # where MLFLOW_EXPERIMENT_NAME does not say
_MOST_PARAMETERS, _LONGEST = 100, 500  # that MLflow takes in one batch, and characters of a value


class MlflowTracker(NullTracker):
    """Writes a run to MLflow."""

    def __init__(self, directory: Path, name: str) -> None:
        """Connect to nothing yet.

        Args:
            directory: of the run, which is kept as one of its tags.
            name: of the run, for people.
        """
        self._directory, self._name = directory, name
        self._client: Any = None
        self._id: str | None = None
        self._ended = False
        self._class_groups: Sequence[Sequence[int]] = ()
        self._told = set[str]()  # names of this run's curves

    def position(self) -> dict[str, str]:
        """Return the run's name there."""
        return {"id": str(self._id)}

    def on_resume(self, position: dict[str, str]) -> None:
        """Go on with the run that was begun."""
        self._id = str(position["id"])

    def on_start(self, config: dict[str, Any], class_groups: Sequence[Sequence[int]]) -> None:
        """Begin the run with its configuration."""
        self._class_groups = class_groups
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = MlflowClient()
        if self._id is not None:
            self._client.update_run(self._id, status="RUNNING")
            return
        tags = {"directory": readable(str(self._directory))}
        made = self._client.create_run(self._experiment(), run_name=readable(self._name), tags=tags)
        self._id = made.info.run_id
        flat = curves.flatten(config)
        params = iter([Param(n, readable(str(v))[:_LONGEST]) for n, v in flat if v is not None])
        while batch := list(islice(params, _MOST_PARAMETERS)):
            self._client.log_batch(self._id, params=batch)

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def on_distillation_update(self, k: int, update: Update) -> None:
        """Write its curves, at the update."""
        self._write(curves.of_update(k, update))

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
        """Write the curves of the stream so far, and what memory holds."""
        self._write(curves.of_experience(k, R_so_far, untrained, num_test, memory))
        self._write(curves.of_recalls(k, confusion, self._class_groups, class_names))
        if memory is not None and len(memory):
            drawn = figures.memory_figure(
                memory.images, class_names=class_names, num_bytes=memory.num_bytes
            )
            pixels = figures.figure_to_array(drawn)
            self._client.log_image(self._id, pixels, artifact_file=f"memory/experience_{k + 1}.png")

    def on_evaluation(self, name: str, result: Result, drawings: Drawings) -> None:
        """Write its scalars, at the last step."""
        self._write(curves.of_evaluation(result, len(self._class_groups)))

    def on_end(self, report: RunReport) -> None:
        """Write the metrics that only the report has, and that the run succeeded."""
        self._write(curves.of_report(report.metrics, len(report.class_groups), self._told))
        self._ended = True
        self._client.set_terminated(self._id, "FINISHED")

    def close(self) -> None:
        """Mark a run that did not reach its end."""
        if self._client is not None and not self._ended:
            self._ended = True
            self._client.set_terminated(self._id, "KILLED")

    def _write(self, points: Iterable[curves.Point]) -> None:
        now, told = int(1000 * time.time()), list(points)
        self._told |= {name for name, _, _ in told}
        metrics = [Metric(_name(name), value, now, step) for name, value, step in told]
        if metrics:
            self._client.log_batch(self._id, metrics=metrics)


def _name(name: str) -> str:
    """Return it as MLflow takes it: no name of a class may end the tracking of a run."""
    return re.sub(r"[^/\w.\- ]|(?<=/)\.+$", "_", name)
