"""Numbers as tables show them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clbench.types import Scores


def per_cent(value: float | None) -> str:
    """0..1 as per cent with one decimal; a dash for what is no number (None in JSON)."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.1f}"


def mean_and_deviation(scores: Scores) -> str:
    """Accuracies as per cent: mean and deviation, or the one there is."""
    if scores.num == 1:
        return per_cent(scores.mean)
    return f"{per_cent(scores.mean)} ± {per_cent(scores.std)}"


def cell(shown: str, num: int, num_diverged: int) -> str:
    """A mean over ``num`` networks, and how many beside them diverged."""
    if not num_diverged:
        return shown
    return f"{shown} ({num_diverged} diverged)" if num else "diverged"


def points(value: float) -> str:
    """A difference of accuracies in percentage points, with its sign."""
    return f"{100 * value:+.1f}" if math.isfinite(value) else "-"


def seconds(value: float) -> str:
    """Seconds, to three figures below ten."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def count(value: float) -> str:
    """A whole number with thousands separated."""
    return f"{value:,.0f}"
