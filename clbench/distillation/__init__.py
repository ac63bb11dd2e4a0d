"""Distillers: from the images of an experience to a few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clbench import plugins
from clbench.config import DistillationConfig
from clbench.distillation.matching import Matching
from clbench.distillation.protocol import Distiller, OnUpdate
from clbench.distillation.selection import Herding, RandomSelection

__all__ = [
    "DISTILLERS",
    "GROUP",
    "Distiller",
    "DistillerInfo",
    "OnUpdate",
    "info",
    "make_distiller",
    "names",
]


@dataclass(frozen=True)
class DistillerInfo:
    """One entry of the table: how to make it, what it does, where it comes from."""

    make: Callable[[DistillationConfig], Distiller]
    summary: str
    source: str


DISTILLERS: dict[str, DistillerInfo] = {
    "random": DistillerInfo(
        lambda config: RandomSelection(), "random real images of each class", "baseline"
    ),
    "herding": DistillerInfo(
        lambda config: Herding(),
        "real images whose mean follows the class mean",
        "Welling 2009; Rebuffi et al. 2017",
    ),
    "dm": DistillerInfo(Matching, "distribution matching", "Zhao & Bilen 2023"),
    "datadam": DistillerInfo(Matching, "distribution and attention matching", "Sajedi et al. 2023"),
}


GROUP = "clbench.distillers"


def make_distiller(config: DistillationConfig) -> Distiller:
    """The distiller that ``config.distiller`` names.

    Third parties add a `DistillerInfo` through the entry-point group ``clbench.distillers``.

    Raises:
        InputError: no such distiller.
    """
    return info(config.distiller).make(config)


def info(name: str) -> DistillerInfo:
    """The entry called ``name``.

    Raises:
        InputError: no such distiller.
    """
    return plugins.find(name, DISTILLERS, GROUP, DistillerInfo)


def names() -> list[str]:
    """All distillers: the table's and third parties'."""
    return plugins.names(DISTILLERS, GROUP)
