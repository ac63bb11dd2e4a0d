from .evaluations import write_evaluation
from .protocol import NullTracker, Tracker, Trackers
from .table import TRACKERS, TrackerInfo
from .tensorboard import CUSTOM_SCALARS_ADDRESS, SCALARS_ADDRESS, TensorBoardTracker

__all__ = [
    "CUSTOM_SCALARS_ADDRESS",
    "SCALARS_ADDRESS",
    "TRACKERS",
    "NullTracker",
    "TensorBoardTracker",
    "Tracker",
    "TrackerInfo",
    "Trackers",
    "write_evaluation",
]
