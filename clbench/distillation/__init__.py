"""Distillers: from the images of an experience to a few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from clbench import table as plugins
from clbench.config import DistillationConfig
from clbench.distillation.matching import Matching
from clbench.distillation.pad import TrajectoryMatching
from clbench.distillation.protocol import Distiller, OnUpdate, Update, Workload
from clbench.distillation.selection import Herding, RandomSelection

__all__ = [
    "DISTILLERS",
    "GROUP",
    "Distiller",
    "DistillerInfo",
    "OnUpdate",
    "Update",
    "Workload",
    "info",
    "make_distiller",
    "names",
]


@dataclass(frozen=True)
class DistillerInfo:
    """One entry of the table.

    Attributes:
        make: the distiller of a configuration.
        summary: what it does, one line.
        source: where it comes from.
        needs_network: it works with ``DistillationConfig.network``, which is therefore checked
            before a run begins; such work is worth a cache.
    """

    make: Callable[[DistillationConfig], Distiller]
    summary: str
    source: str
    needs_network: bool = False


DISTILLERS: dict[str, DistillerInfo] = {
    "random": DistillerInfo(
        lambda config: RandomSelection(), "random real images of each class", "baseline"
    ),
    "herding": DistillerInfo(
        lambda config: Herding(),
        "real images whose mean follows the class mean",
        "Welling 2009; Rebuffi et al. 2017",
    ),
    "dm": DistillerInfo(Matching, "distribution matching", "Zhao & Bilen 2023", True),
    "datadam": DistillerInfo(
        Matching, "distribution and attention matching", "Sajedi et al. 2023", True
    ),
    "mtt": DistillerInfo(
        TrajectoryMatching, "trajectory matching", "Cazenavette et al. 2022", True
    ),
    "datm": DistillerInfo(
        TrajectoryMatching,
        "trajectory matching, difficulty-aligned, with soft labels",
        "Guo et al. 2024",
        True,
    ),
    "pad": DistillerInfo(
        TrajectoryMatching,
        "trajectory matching, difficulty-aligned, data and depth prioritised",
        "Li et al. 2024",
        True,
    ),
}


GROUP = "clbench.distillers"


def make_distiller(config: DistillationConfig, *, keep: bool = True) -> Distiller:
    """The distiller that ``config.distiller`` names.

    ``keep`` lets it keep experts and work that was stopped in the user's cache, and go on there.
    Third parties add a `DistillerInfo` through the entry-point group ``clbench.distillers``.

    Raises:
        InputError: no such distiller.
    """
    made = info(config.distiller).make(config)
    if isinstance(made, Matching | TrajectoryMatching):
        return replace(made, keep=keep)
    return made


def info(name: str) -> DistillerInfo:
    """The entry called ``name``.

    Raises:
        InputError: no such distiller.
    """
    return plugins.find(name, DISTILLERS, GROUP, DistillerInfo)


def names() -> list[str]:
    """All distillers: the table's and third parties'."""
    return plugins.names(DISTILLERS, GROUP)
