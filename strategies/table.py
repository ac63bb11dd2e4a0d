"""The table of strategies: each memory gives two, replay and GDumb on it; light to import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from clbench.distillation.table import DISTILLERS
from clbench.errors import InputError
from clbench.table import Table

if TYPE_CHECKING:
    from clbench.strategies.learner import TensorLearner

Training = Literal["naive", "cumulative", "replay", "gdumb"]
RESERVOIR = "reservoir"


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


def _pair(prefix: str, memory: str, images: str) -> dict[str, StrategyInfo]:
    replay, gdumb = f"replay of {images}", f"fresh learner (GDumb 2020) on {images}"
    return {
        f"{prefix}_replay": StrategyInfo(f"{prefix}_replay", replay, memory, "replay"),
        f"{prefix}_gdumb": StrategyInfo(f"{prefix}_gdumb", gdumb, memory, "gdumb"),
    }


def _rows() -> dict[str, StrategyInfo]:
    rows = {
        "naive": StrategyInfo("naive", "current data only: the lower bound", None, "naive"),
        "cumulative": StrategyInfo(
            "cumulative", "all data so far: the upper bound", None, "cumulative"
        ),
    }
    for name, row in DISTILLERS.items():
        rows |= _pair(row.prefix, name, row.images or row.summary) if row.prefix else {}
        if name == "random":
            sample = "a uniform sample of the stream (Vitter 1985)"
            rows |= _pair(RESERVOIR, RESERVOIR, sample)
    return rows


class _Strategies(Table[StrategyInfo]):
    """Knows the strategies of third parties' distillers too, ``PREFIX_replay`` and the like."""

    def names(self) -> list[str]:
        rows, _ = DISTILLERS.loaded()
        theirs = [n for name, row in rows.items() if name not in DISTILLERS and row.prefix
                  for n in _pair(row.prefix, name, "")]  # fmt: skip
        known = super().names()
        return [*known, *(name for name in theirs if name not in known)]

    def find(self, name: str) -> StrategyInfo:
        if name in self or name in super().names():
            return super().find(name)
        prefix, _, training = name.rpartition("_")
        if prefix and training in ("replay", "gdumb"):
            rows, _ = DISTILLERS.loaded()
            for distiller, row in rows.items():
                if row.prefix == prefix:
                    return _pair(prefix, distiller, row.images or row.summary)[name]
        return super().find(name)


STRATEGIES: Table[StrategyInfo] = _Strategies(
    _rows(), group="clbench.strategies", kind=StrategyInfo, what="strategy"
)


def distiller_of(strategy: str) -> str | None:
    """Return the distiller that fills a strategy's memory; None for a reservoir, or no memory.

    Raises:
        InputError: no such strategy.
    """
    memory = STRATEGIES.find(strategy).memory
    if memory in (None, RESERVOIR):
        return None
    # Our own first: all names are those of third parties too, which takes a search of the disk.
    if memory not in DISTILLERS and memory not in DISTILLERS.names():
        raise InputError(
            f"{strategy}: expected a memory filled by one of {', '.join(DISTILLERS.names())}, "
            f"found {memory!r}"
        )
    return memory
