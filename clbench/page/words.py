"""Numbers of a comparison as a page writes them."""

from __future__ import annotations

import math

from clbench.comparison import Summary, Versus
from clbench.measuring.format import per_cent, points
from clbench.measuring.scores import AVERAGE, SCORES

NOTHING = "-"


def score(metric: str) -> str:
    """Return what a score is, on an axis."""
    return "average accuracy" if metric == AVERAGE else SCORES[metric].removesuffix(" %")


def mean_and_deviation(summary: Summary | None) -> str:
    """Return 0..1 in per cent, with the deviation over seeds where there are several."""
    if summary is None:
        return NOTHING
    return per_cent(summary.mean) + ("" if summary.std is None else f" ± {per_cent(summary.std)}")


def interval(summary: Summary, sign: bool = False) -> str:
    """Return the 95 % interval of 0..1 in per cent, or of a difference in points."""
    if summary.low is None or summary.high is None:
        return NOTHING
    write = points if sign else per_cent
    return f"{write(summary.low)} to {write(summary.high)}"


def difference(versus: Versus | None) -> str:
    """Return a difference in points and its interval."""
    if versus is None:
        return NOTHING
    found = points(versus.difference.mean)
    return (
        found if versus.difference.low is None else f"{found} ({interval(versus.difference, True)})"
    )


def probability(p: float) -> str:
    """Return a p-value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def equals(p: float) -> str:
    """Return a p-value behind the letter p."""
    return f"p {probability(p)}" if p < 0.001 else f"p = {probability(p)}"


def whole(summary: Summary | None) -> str:
    """Return a mean with thousands separated."""
    return NOTHING if summary is None else f"{summary.mean:,.0f}"


def quantity(value: float | None) -> str:
    """Return a number of seconds or operations to three figures or so."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def listed(words: list[str]) -> str:
    """Return words joined by commas and an and."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
