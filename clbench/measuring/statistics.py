"""Intervals and exact tests for a handful of seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clbench.errors import InputError

Values = Sequence[float] | npt.NDArray[Any]

# 2**20 sums of doubles are 8 MB; one pair more doubles it.
MOST_PAIRS_ENUMERATED = 20
# The same number that scipy.stats.permutation_test draws by default.
RESAMPLES = 9999


def _values(values: Values, name: str) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise InputError(f"{name}: expected at least one number and no nan, found {values!r}")
    return array


def mean_interval(values: Values, level: float = 0.95) -> tuple[float, float, float]:
    """Mean and two-sided Student t-interval of independent values.

    mean +- t_{n-1, (1+level)/2} s / sqrt(n), s with n - 1 in the denominator.

    Returns:
        (mean, low, high); low and high are nan for a single value, which has no spread.

    Raises:
        InputError: no values, nan among them, or a level outside 0..1.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second longer to import

    array = _values(values, "values")
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, found {level!r}")
    n, mean = len(array), float(array.mean())
    if n == 1:
        return mean, math.nan, math.nan
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(array.std(ddof=1)) / math.sqrt(n)
    return mean, mean - half, mean + half


def sign_flip_p(differences: Values, rng: np.random.Generator | None = None) -> float:
    """Two-sided sign-flip permutation test that paired differences are symmetric around 0.

    Exact up to 20 pairs: the share of all 2**n sign patterns whose sum is at least as far from 0 as
    the one observed (Fisher's randomisation test; Good, "Permutation, Parametric and Bootstrap
    Tests of Hypotheses", 2005, section 3.2). Its least value is 2 / 2**n: six pairs can reach
    0.031, five cannot reach 0.05. Beyond 20 pairs 9,999 random patterns, the observed one counted
    in (Phipson & Smyth, 2010), so that it is never 0.

    Args:
        differences: one per pair.
        rng: draws the sign patterns; needed beyond 20 pairs only.

    Raises:
        InputError: no differences, nan among them, or more than 20 without ``rng``.
    """
    array = _values(differences, "differences")
    # Sums that are equal in exact arithmetic may differ in the last bits.
    threshold = abs(array.sum()) - 1e-12 * np.abs(array).sum()
    if len(array) <= MOST_PAIRS_ENUMERATED:
        sums = np.zeros(1)
        for difference in array:
            sums = np.concatenate([sums + difference, sums - difference])
        return float((np.abs(sums) >= threshold).mean())
    if rng is None:
        raise InputError(
            f"differences: expected at most {MOST_PAIRS_ENUMERATED} for the exact test, found "
            f"{len(array)}; pass rng to draw sign patterns at random"
        )
    signs = rng.choice([-1.0, 1.0], size=(RESAMPLES, len(array)))
    return float((1 + (np.abs(signs @ array) >= threshold).sum()) / (1 + RESAMPLES))


def holm(p_values: Values) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given.

    p~_(i) = max_{k<=i} min(1, (m - k + 1) p_(k)) over the sorted p-values ("A Simple Sequentially
    Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 1979).
    """
    if len(p_values) == 0:
        return []
    p = _values(p_values, "p_values")
    if (p < 0).any() or (p > 1).any():
        raise InputError(f"p_values: expected numbers in 0..1, found {p_values!r}")
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return [float(value) for value in adjusted]


def cohens_d_paired(differences: Values) -> float | None:
    """Effect size of paired differences: their mean in units of their standard deviation (d_z).

    mean(d) / s(d), s with n - 1 in the denominator (Cohen, "Statistical Power Analysis for the
    Behavioral Sciences", 1988, section 2.3.5). None where there is no spread to divide by.
    """
    array = _values(differences, "differences")
    # Equal differences leave rounding noise of about 1e-17, which is no spread.
    if len(array) < 2 or float(np.ptp(array)) <= 1e-12 * float(np.abs(array).max()):
        return None
    return float(array.mean() / array.std(ddof=1))
