"""How well one ranking of candidates foretells another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clbench.types import InputError

# Share of the bootstrap's resamples left out on either side of a 95 % interval is 2.5 %.
RESAMPLES = 2000
LEVEL = 0.95

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """A rank correlation with its 95 % bootstrap interval over candidates.

    Attributes:
        value: -1..1; None where one of the rankings ties all candidates.
        low, high: ends of the interval; None without a value.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RankingQuality:
    """What a proxy's ranking is worth.

    Attributes:
        spearman, kendall: correlations with the truth (Kendall's tau-b).
        top_k: k.
        top_k_overlap: share of the truth's k best that are among the proxy's k best, 0..1.
        regret: true score of the best candidate minus that of the one the proxy puts first, in
            the score's unit; 0 where it picks the best.
        chosen: position of the proxy's first candidate.
    """

    spearman: Correlation
    kendall: Correlation
    top_k: int
    top_k_overlap: float
    regret: float
    chosen: int

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON."""
        return asdict(self)


def ranking_quality(
    proxy: Sequence[float], truth: Sequence[float], *, rng: np.random.Generator, top_k: int = 5
) -> RankingQuality:
    """Compare a proxy's scores with the true ones; more is better in both.

    Candidates that tie stand in their given order.

    Args:
        proxy: (M,) scores.
        truth: (M,) true scores of the same candidates.
        rng: draws the bootstrap's resamples.
        top_k: k; at most M.

    Raises:
        InputError: lengths differ, fewer than two candidates, or scores that are no numbers.
    """
    x, y = np.asarray(proxy, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise InputError(
            f"scores: expected two lists of equal length, at least 2, found {len(x)} and {len(y)}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("scores: expected numbers, found some that are none")
    k = min(top_k, len(x))
    best, chosen = _top(y, k), int(_top(x, 1)[0])
    overlap = len(set(best) & set(_top(x, k))) / k
    regret = float(y.max() - y[chosen])
    return RankingQuality(
        _correlation(_spearman, x, y, rng), _correlation(_kendall, x, y, rng),
        k, overlap, regret, chosen,
    )  # fmt: skip


def _top(scores: Array, k: int) -> list[int]:
    return [int(i) for i in np.argsort(-scores, kind="stable")[:k]]


def _spearman(x: Array, y: Array) -> float:
    from scipy import stats

    return float(stats.spearmanr(x, y).statistic)


def _kendall(x: Array, y: Array) -> float:
    from scipy import stats

    return float(stats.kendalltau(x, y).statistic)


def _correlation(
    measure: Callable[[Array, Array], float], x: Array, y: Array, rng: np.random.Generator
) -> Correlation:
    """Percentile bootstrap over candidates (Efron & Tibshirani, 1993, chapter 13)."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(None, None, None)
    values = []
    for index in rng.integers(len(x), size=(RESAMPLES, len(x))):
        a, b = x[index], y[index]
        if np.ptp(a) and np.ptp(b):
            values.append(measure(a, b))
    value = measure(x, y)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail]) if values else (math.nan, math.nan)
    known = math.isfinite(low) and math.isfinite(high)
    return Correlation(value, float(low) if known else None, float(high) if known else None)
