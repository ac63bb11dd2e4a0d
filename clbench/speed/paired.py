"""Two forms of one computation, measured in turn, so that both meet the same load."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from clbench.speed.table import ROWS, RowInfo


@dataclass(frozen=True)
class Conditions:
    """What all rows are measured under.

    Attributes:
        benchmark: whose images are trained on, distilled and coded.
        data_root: where data sets are looked for.
        device: where learners and distillers compute; codecs and decoding are on the CPU.
        seed: of images, weights and batches.
    """

    benchmark: str = "split_mnist5k"
    data_root: Path | None = None
    device: torch.device = torch.device("cpu")
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Once:
    """One form, measured once.

    Attributes:
        cost: seconds, or GiB.
        work: done for it, in the row's unit.
        outcome: what was computed, (N,) float64 on the CPU.
    """

    cost: float
    work: float
    outcome: Tensor


class Pair(Protocol):
    """Two forms of one computation; each call computes it anew."""

    def fast(self) -> Once:
        """Measure clbench's form."""
        ...

    def plain(self) -> Once:
        """Measure the plain form."""
        ...

    def difference(self, fast: Once, plain: Once) -> float:
        """Return by how much the outcomes differ."""
        ...


class SameOutcome:
    """A pair whose outcomes are to be equal."""

    def difference(self, fast: Once, plain: Once) -> float:
        """Return the largest absolute difference; infinity where the numbers of values differ."""
        if fast.outcome.shape != plain.outcome.shape:
            return float("inf")
        found = (fast.outcome - plain.outcome).abs()
        return float(found.max()) if found.isfinite().all() else float("inf")


@dataclass(frozen=True)
class Measured:
    """A row of the table.

    Attributes:
        name: of the row.
        fast_rates, plain_rates: work for a second (or GiB) of each form, one of each repeat.
        difference: the largest between the outcomes of two forms, see `RowInfo.differs`.
    """

    name: str
    fast_rates: tuple[float, ...]
    plain_rates: tuple[float, ...]
    difference: float

    @property
    def info(self) -> RowInfo:
        """What was compared."""
        return ROWS.find(self.name)

    @property
    def ratios(self) -> list[float]:
        """Rate of the fast form over that of the plain one, of each repeat, ascending."""
        pairs = zip(self.fast_rates, self.plain_rates, strict=True)
        return sorted(fast / plain for fast, plain in pairs)

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def is_same(self) -> bool:
        """Whether both forms computed the same; else the ratio says nothing."""
        return self.difference <= self.info.tolerance

    @property
    def meets_aim(self) -> bool:
        """Whether the ratio is at least the aim."""
        return self.ratio >= self.info.aim

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary, ready for JSON."""
        info = self.info
        return {
            "name": self.name,
            "fast": info.fast,
            "plain": info.plain,
            "unit": info.unit,
            "ratio": self.ratio,
            "ratio_lowest": self.ratios[0],
            "ratio_highest": self.ratios[-1],
            "ratios": self.ratios,
            "aim": info.aim,
            "meets_aim": self.meets_aim,
            "fast_rates": list(self.fast_rates),
            "plain_rates": list(self.plain_rates),
            "differs_by": self.difference,
            "differs_in": info.differs,
            "tolerance": info.tolerance,
            "same": self.is_same,
        }


def measure(
    name: str,
    conditions: Conditions,
    repeats: int,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Measure one row: both forms in turn, the one that goes first changing at every repeat.

    Args:
        name: of the row.
        conditions: see `Conditions`.
        repeats: of both.
        on_step: called with the measurements done and their total.

    Raises:
        InputError: no such row, or data that are missing.
    """
    pair = ROWS.find(name).make(conditions)
    found: dict[str, list[Once]] = {"fast": [], "plain": []}
    on_step(0, 2 * repeats)
    for repeat in range(repeats):
        order = ["fast", "plain"] if repeat % 2 == 0 else ["plain", "fast"]
        for step, form in enumerate(order):
            found[form].append(getattr(pair, form)())
            on_step(2 * repeat + step + 1, 2 * repeats)
    both = list(zip(found["fast"], found["plain"], strict=True))
    return Measured(
        name,
        tuple(once.work / once.cost for once in found["fast"]),
        tuple(once.work / once.cost for once in found["plain"]),
        max(pair.difference(fast, plain) for fast, plain in both),
    )


def as_outcome(*tensors: Tensor) -> Tensor:
    """Return all values as one vector (N,) of float64 on the CPU."""
    return torch.cat([t.detach().flatten().cpu().double() for t in tensors])
