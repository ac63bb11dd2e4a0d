"""Protocols that turn a set of images into scores."""

from clbench.evaluation.architecture_search import ArchitectureSearch, architecture_search
from clbench.evaluation.beside_random import SetScore, beside_random
from clbench.evaluation.cross_architecture import CrossArchitecture, cross_architecture, named
from clbench.evaluation.fresh_networks import evaluate_set
from clbench.evaluation.offline import RECIPES, Offline, train_offline
from clbench.evaluation.spaces import SPACES, Space
from clbench.evaluation.trials import Laboratory, Outcome, Trial
from clbench.training import Epoch

__all__ = [
    "RECIPES",
    "SPACES",
    "ArchitectureSearch",
    "CrossArchitecture",
    "Epoch",
    "Laboratory",
    "Offline",
    "Outcome",
    "SetScore",
    "Space",
    "Trial",
    "architecture_search",
    "beside_random",
    "cross_architecture",
    "evaluate_set",
    "named",
    "train_offline",
]
