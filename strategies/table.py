"""The table of strategies; light to import.

Each memory gives two, replay and GDumb on it. The field's methods (`clbench.strategies.field`) have
a row each, and a name with each other memory, as ``kip_mir``: what is remembered and how it is used
are two questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from clbench.distillation.table import DISTILLERS, DistillerInfo
from clbench.errors import InputError, did_you_mean
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
        flags: what the flags of ``settings`` begin with, where that is not the name.
    """

    name: str
    summary: str
    memory: str | None
    training: Training
    make: Callable[..., TensorLearner] | None = None
    settings: Config | None = None
    method: Callable[[RunConfig, ImageMemory | None], Method] | None = None
    flags: str | None = None

    def settings_as_options(self) -> Iterator[Setting]:
        """Yield the strategy's settings with their flags."""
        owner = self.flags or self.name
        prefix = f"{owner.replace('_', '-')}-"
        if self.settings is not None:
            for found in settings_of(self.settings, heading=f"Settings of {owner}"):
                if found.flag:
                    yield replace(found, flag=prefix + found.flag)


_SAMPLE = "a uniform sample of the stream (Vitter 1985)"


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
            rows |= _pair(RESERVOIR, RESERVOIR, _SAMPLE)
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
    """Knows a method on another memory, ``PREFIX_METHOD``, and third parties' distillers too."""

    def names(self) -> list[str]:
        return list(dict.fromkeys([*self._listed(), *_mixed(_memories(DISTILLERS.loaded()[0]))]))

    def loaded(self) -> tuple[dict[str, StrategyInfo], list[str]]:
        """See `Table.loaded`; of a method on another memory the rows of both tell enough."""
        rows, faults = super().loaded()
        return {name: rows[name] for name in self._listed() if name in rows}, faults

    def find(self, name: str) -> StrategyInfo:
        name = ALIASES.get(name, name)
        made = {} if name in self else _mixed(_memories(DISTILLERS))
        if name in made:
            return made[name]
        if name in self or name in super().names():
            return super().find(name)
        memories = _memories(DISTILLERS.loaded()[0])
        made = _pairs(memories) | _mixed(memories)
        return made[name] if name in made else super().find(name)

    def _unknown(self, name: str) -> str:
        methods = ", ".join(method for method, row in _field().items() if row.memory not in _FIXED)
        return (
            f"unknown {self.what} {name!r}: expected one of {', '.join(self._listed())}, or one of "
            f"{methods} on another memory, as kip_mir{did_you_mean(name, self.names())}"
        )

    def _listed(self) -> list[str]:
        theirs = _pairs(_memories(DISTILLERS.loaded()[0]))
        return list(dict.fromkeys([*super().names(), *theirs]))


_FIXED = (None, LOGITS)  # of a method: no other memory will do
Memories = Mapping[str, tuple[str, str]]  # prefix -> what fills it, and its images in words


def _memories(rows: Mapping[str, DistillerInfo]) -> Memories:
    found = {row.prefix: (n, row.images or row.summary) for n, row in rows.items() if row.prefix}
    return {RESERVOIR: (RESERVOIR, _SAMPLE), **found}


def _pairs(memories: Memories) -> dict[str, StrategyInfo]:
    return {n: row for prefix, m in memories.items() for n, row in _pair(prefix, *m).items()}


def _mixed(memories: Memories) -> dict[str, StrategyInfo]:
    """The field's methods on memories not their own; one that keeps logits needs its own."""
    found = {}
    for method, row in _field().items():
        for prefix, (memory, images) in memories.items():
            if row.memory not in (*_FIXED, memory):
                name, what = f"{prefix}_{method}", f"{row.summary} on {images}"
                found[name] = replace(row, name=name, summary=what, memory=memory, flags=method)
    return found


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
