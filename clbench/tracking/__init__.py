"""Who listens to a run while it goes on: a protocol, nobody, TensorBoard, several at once."""

from clbench.tracking.evaluations import write_evaluation
from clbench.tracking.protocol import NullTracker, Tracker, Trackers
from clbench.tracking.tensorboard import (
    CUSTOM_SCALARS_ADDRESS,
    SCALARS_ADDRESS,
    TensorBoardTracker,
)

__all__ = [
    "CUSTOM_SCALARS_ADDRESS",
    "SCALARS_ADDRESS",
    "NullTracker",
    "TensorBoardTracker",
    "Tracker",
    "Trackers",
    "write_evaluation",
]
