"""How well one ranking of candidates foretells another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clbench.types import InputError

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


def _spearman(x: Array, y: Array, index: npt.NDArray[np.int64]) -> Array:
    """Pearson's correlation of mean ranks, for every row of ``index``; nan where all are tied."""
    from scipy.stats import rankdata

    a, b = (rankdata(values[index], axis=1) for values in (x, y))
    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1)))


def _kendall(x: Array, y: Array, index: npt.NDArray[np.int64]) -> Array:
    """Kendall's tau-b for every row of ``index``; nan where all are tied."""
    orders = [np.sign(values[:, None] - values[None, :]).astype(np.int8) for values in (x, y)]
    found = np.full(len(index), np.nan)
    for i, row in enumerate(index):
        a, b = (order[np.ix_(row, row)].astype(np.int64) for order in orders)
        pairs = float((a * a).sum()) * float((b * b).sum())
        if pairs:
            found[i] = (a * b).sum() / math.sqrt(pairs)
    return found


def _correlation(
    measure: Callable[[Array, Array, npt.NDArray[np.int64]], Array],
    x: Array,
    y: Array,
    rng: np.random.Generator,
) -> Correlation:
    """Percentile bootstrap over candidates (Efron & Tibshirani, 1993, chapter 13)."""
    every = np.arange(len(x))[None, :]
    value = float(measure(x, y, every)[0])
    drawn = measure(x, y, rng.integers(len(x), size=(RESAMPLES, len(x))))
    known = drawn[np.isfinite(drawn)]
    if not math.isfinite(value):
        return Correlation(None, None, None)
    if not len(known):
        return Correlation(value, None, None)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Correlation(value, float(low), float(high))
