"""How well one ranking of candidates foretells another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from clbench.errors import InputError

RESAMPLES = 2000
LEVEL = 0.95

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, or the difference of two, with its 95 % bootstrap interval.

    The interval is over candidates.

    Attributes:
        value: -1..1, of a difference -2..2; None where one of the rankings ties all candidates.
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
    x, y = _scores(proxy, truth)
    k = min(top_k, len(x))
    best, chosen = _top(y, k), int(_top(x, 1)[0])
    overlap = len(set(best) & set(_top(x, k))) / k
    regret = float(y.max() - y[chosen])
    spearman = _with_interval(lambda index: _spearman(x, y, index), len(x), rng)
    kendall = _with_interval(lambda index: _kendall(x, y, index), len(x), rng)
    return RankingQuality(spearman, kendall, k, overlap, regret, chosen)


def spearman_lead(
    proxy: Sequence[float],
    rival: Sequence[float],
    truth: Sequence[float],
    *,
    rng: np.random.Generator,
) -> Correlation:
    """Spearman's correlation of a proxy with the truth minus that of a rival.

    Both are resampled together: what is common to them, as candidates whose true scores nearly tie,
    widens the interval of each but not that of their difference.

    Args:
        proxy: (M,) scores.
        rival: (M,) scores of the same candidates.
        truth: (M,) true scores.
        rng: draws the bootstrap's resamples.

    Raises:
        InputError: as `ranking_quality`.
    """
    x, other, y = _scores(proxy, rival, truth)
    return _with_interval(
        lambda index: _spearman(x, y, index) - _spearman(other, y, index), len(y), rng
    )


def agreement(rows: Sequence[Sequence[float]]) -> float | None:
    """Mean Spearman correlation between every two of several scorings of the same candidates.

    What the luck of initial weights and order leaves of a ranking by one network each.

    Args:
        rows: (K, M) scores.

    Returns:
        -1..1; None for fewer than two scorings, or where one of them ties all candidates.
    """
    if len(rows) < 2:
        return None
    arrays = _scores(*rows)
    every = np.arange(len(arrays[0]))[None, :]
    found = [float(_spearman(a, b, every)[0]) for a, b in combinations(arrays, 2)]
    mean = float(np.mean(found))
    return mean if math.isfinite(mean) else None


def _scores(*lists: Sequence[float]) -> list[Array]:
    arrays = [np.asarray(values, dtype=np.float64) for values in lists]
    lengths = [len(values) for values in arrays]
    if any(values.ndim != 1 for values in arrays) or len(set(lengths)) > 1 or lengths[0] < 2:
        found = " and ".join(str(length) for length in lengths)
        raise InputError(f"scores: expected lists of equal length, at least 2, found {found}")
    if not all(np.isfinite(values).all() for values in arrays):
        raise InputError("scores: expected numbers, found some that are none")
    return arrays


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


def _with_interval(
    measure: Callable[[npt.NDArray[np.int64]], Array], size: int, rng: np.random.Generator
) -> Correlation:
    """Percentile bootstrap over candidates (Efron & Tibshirani, 1993, chapter 13)."""
    value = float(measure(np.arange(size)[None, :])[0])
    drawn = measure(rng.integers(size, size=(RESAMPLES, size)))
    known = drawn[np.isfinite(drawn)]
    if not math.isfinite(value):
        return Correlation(None, None, None)
    if not len(known):
        return Correlation(value, None, None)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Correlation(value, float(low), float(high))
