"""The table of strategies; light to import.

Each memory gives two, replay and GDumb on it. The field's methods (`clbench.strategies.field`) have
a row each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from clbench.distillation.table import DISTILLERS
from clbench.errors import InputError
from clbench.fields import Config, Setting, settings_of
from clbench.strategies.field import settings as field
from clbench.table import Lazy, Table

if TYPE_CHECKING:
    from clbench.config import RunConfig
    from clbench.memory import ImageMemory
    from clbench.strategies.field.method import Method
    from clbench.strategies.learner import TensorLearner

Training = Literal["naive", "cumulative", "replay", "gdumb"]
RESERVOIR = "reservoir"
LOGITS = "reservoir_with_logits"
RESERVOIRS = (RESERVOIR, LOGITS)
ALIASES = {"der++": "derpp"}  # what people may write


@dataclass(frozen=True)
class StrategyInfo:
    """One row of the table.

    Attributes:
        name: key of the table.
        summary: one line.
        memory: what fills the memory: "reservoir" ("reservoir_with_logits": with those of the
            learner), or the name of a distiller; None without memory.
        training: "naive" (current data), "cumulative" (all data so far), "replay" (current data and
            memory in one batch), "gdumb" (a fresh learner on the memory alone).
        make: a third party's own composition, called as ``make(config, spec, device=...,
            memory=..., plugins=..., evaluator=...)`` for a
            `clbench.strategies.learner.TensorLearner`; None for ours.
        settings: the strategy's own with its defaults, see `clbench.fields.setting`; the run's are
            in ``config.method``. A field is ``--STRATEGY-FIELD`` on the command line.
        method: one of the field's methods, called as ``method(config, memory)`` for a
            `clbench.strategies.field.method.Method`; None elsewhere.
    """

    name: str
    summary: str
    memory: str | None
    training: Training
    make: Callable[..., TensorLearner] | None = None
    settings: Config | None = None
    method: Callable[[RunConfig, ImageMemory | None], Method] | None = None

    def settings_as_options(self) -> Iterator[Setting]:
        """Yield the strategy's settings with their flags."""
        prefix = f"{self.name.replace('_', '-')}-"
        if self.settings is not None:
            for found in settings_of(self.settings, heading=f"Settings of {self.name}"):
                if found.flag:
                    yield replace(found, flag=prefix + found.flag)


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
    return rows | _field()


# Name -> what it does, its paper, its memory, its own settings.
_FIELD: dict[str, tuple[str, str, str | None, Config | None]] = {
    "er_ace": ("replay, current classes apart", "Caccia et al. 2022", RESERVOIR, None),
    "derpp": ("DER++: replay with logits", "Buzzega et al. 2020", LOGITS, field.DerppSettings()),
    "agem": ("projected gradients", "Chaudhry et al. 2019", RESERVOIR, field.AgemSettings()),
    "mir": ("replay of what is hurt most", "Aljundi et al. 2019", RESERVOIR, field.MirSettings()),
    "ewc": ("penalty by Fisher information", "Kirkpatrick et al. 2017", None, field.EwcSettings()),
    "si": ("penalty by path integral", "Zenke et al. 2017", None, field.SiSettings()),
    "lwf": ("distillation without memory", "Li & Hoiem 2016", None, field.LwfSettings()),
    "icarl": ("nearest mean of exemplars", "Rebuffi et al. 2017", "herding", None),
    "bic": ("replay, bias corrected", "Wu et al. 2019", "herding", field.BicSettings()),
}


def _field() -> dict[str, StrategyInfo]:
    return {
        name: StrategyInfo(
            name,
            f"{what} ({source})",
            memory,
            "naive" if memory is None else "replay",
            settings=settings,
            method=Lazy(f"clbench.strategies.field.{name}:make"),
        )
        for name, (what, source, memory, settings) in _FIELD.items()
    }


class _Strategies(Table[StrategyInfo]):
    """Knows the strategies of third parties' distillers too, ``PREFIX_replay`` and the like."""

    def names(self) -> list[str]:
        rows, _ = DISTILLERS.loaded()
        theirs = [n for name, row in rows.items() if name not in DISTILLERS and row.prefix
                  for n in _pair(row.prefix, name, "")]  # fmt: skip
        known = super().names()
        return [*known, *(name for name in theirs if name not in known)]

    def find(self, name: str) -> StrategyInfo:
        name = ALIASES.get(name, name)
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
    if memory is None or memory in RESERVOIRS:
        return None
    # Our own first: all names are those of third parties too, which takes a search of the disk.
    if memory not in DISTILLERS and memory not in DISTILLERS.names():
        raise InputError(
            f"{strategy}: expected a memory filled by one of {', '.join(DISTILLERS.names())}, "
            f"found {memory!r}"
        )
    return memory
