"""How a learner meets a stream: the table of strategies, and `build`, which composes Avalanche.

Importing this package is light; Avalanche is loaded by the first `build` or `make_memory`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if __name__ != "clbench.strategies":
    raise ImportError(
        "strategies is installed as clbench.strategies; a second copy under its folder's name "
        "would hold other classes: import clbench.strategies"
    )

from clbench import table as plugins
from clbench.config import RunConfig
from clbench.types import ImageSpec

if TYPE_CHECKING:
    import torch

    from clbench.distillation import OnUpdate
    from clbench.memory import ImageMemory
    from clbench.strategies.learner import TensorLearner

Memory = Literal["random", "reservoir", "herding", "dm", "datadam", "pad"]
Training = Literal["naive", "cumulative", "replay", "gdumb"]

GROUP = "clbench.strategies"


@dataclass(frozen=True)
class StrategyInfo:
    """One row of the table.

    Attributes:
        name: key of the table.
        summary: one line.
        memory: what fills the memory: "reservoir", or the name of a distiller; None without memory.
        training: "naive" (current data), "cumulative" (all data so far), "replay" (current data and
            memory in one batch), "gdumb" (a fresh learner on the memory alone).
        make: a third party's own composition, called as ``make(config, spec, device=...,
            memory=..., plugins=..., evaluator=...)`` for a
            `clbench.strategies.learner.TensorLearner`; None for ours.
    """

    name: str
    summary: str
    memory: str | None
    training: Training
    make: Callable[..., TensorLearner] | None = None


_MEMORIES: dict[str, tuple[Memory, str]] = {
    "random": ("random", "random real images of each class"),
    "reservoir": ("reservoir", "a uniform sample of the stream (Vitter 1985)"),
    "herding": ("herding", "real images near the class mean (Welling 2009; Rebuffi et al. 2017)"),
    "dm": ("dm", "images distilled by distribution matching (Zhao & Bilen 2023)"),
    "dam": ("datadam", "images distilled by DataDAM (Sajedi et al. 2023)"),
    "pad": ("pad", "images distilled by trajectory matching (Li et al. 2024)"),
}


def _rows() -> list[StrategyInfo]:
    rows = [
        StrategyInfo("naive", "current data only: the lower bound", None, "naive"),
        StrategyInfo("cumulative", "all data so far: the upper bound", None, "cumulative"),
    ]
    for name, (memory, what) in _MEMORIES.items():
        replay, gdumb = f"replay of {what}", f"fresh learner (GDumb 2020) on {what}"
        rows.append(StrategyInfo(f"{name}_replay", replay, memory, "replay"))
        rows.append(StrategyInfo(f"{name}_gdumb", gdumb, memory, "gdumb"))
    return rows


STRATEGIES: dict[str, StrategyInfo] = {row.name: row for row in _rows()}


def find_strategy(name: str) -> StrategyInfo:
    """The strategy called ``name``, ours or a third party's (entry points ``clbench.strategies``).

    Raises:
        InputError: no such strategy, with the nearest name.
    """
    return plugins.find(name, STRATEGIES, GROUP, StrategyInfo)


def make_memory(
    config: RunConfig,
    spec: ImageSpec,
    *,
    device: torch.device | str = "cpu",
    cache: bool | Path = False,
    on_update: OnUpdate | None = None,
) -> ImageMemory | None:
    """The memory of ``config``'s strategy, empty; None where it has none.

    Args:
        config: strategy, seed, memory and distillation are read.
        spec: of the stream's images.
        device: where to distil.
        cache: take distilled sets from disk, see `clbench.memory.DistilledMemory`.
        on_update: called with every `Update` while distilling.

    Raises:
        InputError: unknown strategy or distiller, or a capacity that holds nothing.
    """
    from clbench.strategies.compose import make_memory as make

    return make(config, spec, device=device, cache=cache, on_update=on_update)


def build(
    config: RunConfig,
    spec: ImageSpec,
    *,
    device: torch.device | str = "cpu",
    memory: ImageMemory | None = None,
    **options: Any,
) -> TensorLearner:
    """The Avalanche strategy that ``config`` names, around a fresh learner.

    Args:
        config: strategy, seed, learner and set training are read.
        spec: of the stream's images.
        device: where to train.
        memory: what `make_memory` made; for strategies without memory None.
        options: ``plugins`` and ``evaluator`` as of Avalanche's ``SupervisedTemplate``.

    Raises:
        InputError: an unknown strategy, network or augmentation; a memory missing or not wanted.
    """
    from clbench.strategies.compose import build as make

    return make(config, spec, device=device, memory=memory, **options)
