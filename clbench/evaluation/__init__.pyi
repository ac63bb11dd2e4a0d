from .architecture_search import ArchitectureSearch
from .cross_architecture import CrossArchitecture, named
from .fresh_networks import evaluate_set
from .offline import Offline
from .protocol import Evaluation, Laboratory, Result, Shown
from .set_score import SetScore
from .settings import (
    RECIPES,
    ArchitectureSearchSettings,
    CrossArchitectureSettings,
    OfflineSettings,
    SetSettings,
)
from .spaces import SPACES, Space
from .table import EVALUATIONS, EvaluationInfo
from .trials import Bench, Outcome, Trial

__all__ = [
    "EVALUATIONS",
    "RECIPES",
    "SPACES",
    "ArchitectureSearch",
    "ArchitectureSearchSettings",
    "Bench",
    "CrossArchitecture",
    "CrossArchitectureSettings",
    "Evaluation",
    "EvaluationInfo",
    "Laboratory",
    "Offline",
    "OfflineSettings",
    "Outcome",
    "Result",
    "SetScore",
    "SetSettings",
    "Shown",
    "Space",
    "Trial",
    "evaluate_set",
    "named",
]
