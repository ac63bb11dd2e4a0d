from .protocol import Distiller, Job, OnUpdate, Update, Workload
from .settings import DistillationConfig, make_distiller
from .table import DISTILLERS, DistillerInfo

__all__ = [
    "DISTILLERS",
    "DistillationConfig",
    "Distiller",
    "DistillerInfo",
    "Job",
    "OnUpdate",
    "Update",
    "Workload",
    "make_distiller",
]
