"""The table of trackers beside TensorBoard; light to import.

Third parties add a `TrackerInfo` by an entry point in the group ``clbench.trackers``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clbench.errors import InputError
from clbench.table import Lazy, Table

if TYPE_CHECKING:
    from clbench.tracking.protocol import Tracker


@dataclass(frozen=True)
class TrackerInfo:
    """One row of the table.

    Attributes:
        make: a tracker of (run directory, name of the run); it connects when the run starts.
        summary: one line.
        package: that must be installed; "" for none.
        extra: of clbench that brings it; "" for none.
    """

    make: Callable[[Path, str], Tracker]
    summary: str
    package: str = ""
    extra: str = ""

    def opened(self, directory: Path, name: str) -> Tracker:
        """Make the tracker of a run.

        Raises:
            InputError: its package is not installed.
        """
        if self.package and importlib.util.find_spec(self.package) is None:
            how = f"clbench[{self.extra}]" if self.extra else self.package
            raise InputError(
                f"--tracker: expected the package {self.package}, found none; pip install '{how}'"
            )
        return self.make(directory, name)


TRACKERS: Table[TrackerInfo] = Table(
    {
        "wandb": TrackerInfo(
            Lazy("clbench.tracking.wandb:WandbTracker"),
            "Weights & Biases, offline where nobody is logged in (WANDB_PROJECT, WANDB_MODE)",
            package="wandb",
            extra="wandb",
        ),
        "mlflow": TrackerInfo(
            Lazy("clbench.tracking.mlflow:MlflowTracker"),
            "MLflow (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME)",
            package="mlflow",
            extra="mlflow",
        ),
    },
    group="clbench.trackers",
    kind=TrackerInfo,
    what="tracker",
)
