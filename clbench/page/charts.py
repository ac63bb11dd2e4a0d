"""Charts of a page, each narrow enough for a telephone."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

from clbench.figures.style import FAINT, MARKERS, drawing, learnt_axis, log_x, spread
from clbench.measuring.statistics import mean_interval
from clbench.page.svg import SERIES, Drawing, to_svg

WIDTH, HEIGHT = 3.9, 2.75  # inches; a page shows them at 110 % or so
_DASHES = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)))
_LOOKS = len(SERIES) * len(MARKERS)
_BOUNDS = {"╌": (0, (4, 2)), "┈": (0, (1, 1.6)), "┄": (0, (2.5, 1.2))}
# What the markers look like in a text.
SIGNS = dict(zip(MARKERS, "●■▲◆▼✚✖◀▶", strict=True))


@dataclass(frozen=True)
class Look:
    """How one memory looks in every chart of a page.

    Attributes:
        colour: number of its colour in `SERIES`.
        marker: of matplotlib; "" of a learner without memory.
        dash: style of its line.
    """

    colour: int
    marker: str
    dash: Any

    @staticmethod
    def of(place: int) -> Look:
        """Return the look of the memory at a place; 90 differ in colour and marker, then dashes."""
        dash = _DASHES[place // _LOOKS % len(_DASHES)]
        return Look(place % len(SERIES), MARKERS[place % len(MARKERS)], dash)

    @staticmethod
    def of_bound(place: int) -> Look:
        """Return the look of a learner without memory: a grey line of its own dashes."""
        dashes = list(_BOUNDS.values())
        return Look(0, "", dashes[place % len(dashes)])

    @property
    def sign(self) -> str:
        """The marker, or the dashes, as a character."""
        if self.marker:
            return SIGNS[self.marker]
        return next(sign for sign, dash in _BOUNDS.items() if dash == self.dash)


@dataclass(frozen=True)
class Line:
    """One memory in a chart.

    Attributes:
        name: of the memory.
        look: see `Look`.
        points: (x, one value in 0..1 per seed).
    """

    name: str
    look: Look
    points: Sequence[tuple[float, Sequence[float]]]

    def intervals(self) -> list[tuple[float, float, float, float]]:
        """Return (x, mean, low, high) by ascending x, in per cent; nan where one seed is alone."""
        found = []
        for x, values in sorted(self.points, key=lambda point: point[0]):
            mean, low, high = mean_interval(values)
            found.append((x, 100 * mean, 100 * low, 100 * high))
        return found


def experience_chart(lines: Sequence[Line], bounds: Sequence[Line], name: str) -> Drawing:
    """Draw averages after each experience: a mean and a 95 % band for each memory.

    Args:
        lines: memories, which decide the range of y.
        bounds: learners without memory, in grey.
        name: of the chart, for ids.
    """
    with drawing(WIDTH, HEIGHT) as (figure, (axes,)):
        _draw(axes, lines or bounds)
        _bounds(axes, bounds if lines else ())
        learnt_axis(axes, int(max(x for line in (*lines, *bounds) for x, _ in line.points)))
        _finish(axes)
        axes.set_ylabel("average accuracy so far (%)")
    return to_svg(figure, name)


def bytes_chart(lines: Sequence[Line], bounds: Sequence[Line], metric: str, name: str) -> Drawing:
    """Draw a score over bytes of memory, on a logarithmic axis.

    Args:
        lines: memories; x is bytes.
        bounds: learners without memory, whose x says nothing.
        metric: which score it is, in words.
        name: of the chart, for ids.
    """
    with drawing(WIDTH, HEIGHT) as (figure, (axes,)):
        axes.set_xscale("log")
        _draw(axes, lines)
        sizes = sorted({x for line in lines for x, _ in line.points})
        axes.xaxis.set_major_locator(FixedLocator(_apart(sizes)))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        low, high = spread(sizes[0], sizes[-1])
        flat = [
            Line(bound.name, bound.look, [(low, one), (high, one)])
            for bound in bounds
            for _, one in bound.points
        ]
        _bounds(axes, flat)
        axes.set_xlim(low, high)
        _finish(axes)
        axes.set_xlabel("bytes of memory after the stream")
        axes.set_ylabel(f"{metric} (%)")
    return to_svg(figure, name)


def compute_chart(
    lines: Sequence[Line], bounds: Sequence[Line], metric: str, unit: str, name: str
) -> Drawing:
    """Draw a score over what training and distilling took, on a logarithmic axis.

    Args:
        lines: memories; x is the compute, a point for each budget of bytes.
        bounds: learners without memory, whose x is the compute too.
        metric: which score it is, in words.
        unit: of x, in words.
        name: of the chart, for ids.
    """
    with drawing(WIDTH, HEIGHT) as (figure, (axes,)):
        axes.set_xscale("log")
        for line in lines or bounds:
            colour = SERIES[line.look.colour] if lines else FAINT
            x, mean, below, _ = np.array(line.intervals()).T
            # One seed has no interval, and matplotlib draws none for nan.
            axes.errorbar(
                x, mean, yerr=mean - below, color=colour, marker=line.look.marker or "_",
                linestyle="none", capsize=3,
            )  # fmt: skip
        log_x(axes)
        low, high = axes.get_xlim()
        ends = [Line(b.name, b.look, [(low, v), (high, v)]) for b in bounds for _, v in b.points]
        _bounds(axes, ends if lines else ())
        axes.set_xlim(low, high)
        _finish(axes)
        axes.set_xlabel(unit)
        axes.set_ylabel(f"{metric} (%)")
    return to_svg(figure, name)


def _apart(sizes: Sequence[float]) -> list[float]:
    """Those of the sizes whose numbers do not run into each other."""
    low, high = spread(sizes[0], sizes[-1])
    span = math.log(high / low)
    kept = [sizes[0]]
    for size in sizes[1:]:
        if math.log(size / kept[-1]) > 0.16 * span:
            kept.append(size)
    return kept


def _draw(axes: Axes, lines: Sequence[Line]) -> None:
    for line in lines:
        x, mean, low, high = np.array(line.intervals()).T
        colour = SERIES[line.look.colour]
        axes.plot(x, mean, color=colour, marker=line.look.marker, linestyle=line.look.dash)
        known = ~np.isnan(low)
        if len(x) == 1 and known.all():
            axes.errorbar(x, mean, yerr=mean - low, color=colour, capsize=3, linewidth=1.2)
        elif known.any():
            axes.fill_between(x, low, high, where=known.tolist(), color=colour, alpha=0.15, lw=0)


def _bounds(axes: Axes, bounds: Sequence[Line]) -> None:
    """Draw what has no memory as far as it fits; one that ends outside says where."""
    low, high = axes.get_ylim()
    # Little that lies outside is taken in.
    span = max(high - low, 4.0)
    ends = [line.intervals()[-1][1] for line in bounds]
    near = [end for end in ends if low - 0.7 * span <= end <= high + 0.7 * span]
    low, high = min([low, *(n - 1 for n in near)]), max([high, *(n + 1 for n in near)])
    left_out = 0
    for line, end in zip(bounds, ends, strict=True):
        x, mean, _, _ = np.array(line.intervals()).T
        axes.plot(x, mean, color=FAINT, linestyle=line.look.dash, linewidth=1.2)
        if low <= end <= high:
            continue
        below = end < low
        axes.annotate(
            f"{_plain(line.name)} {end:.1f} {'↓' if below else '↑'}",
            (0.99, low if below else high),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2 + 11 * left_out if below else -12 - 11 * left_out),
            textcoords="offset points", ha="right", va="bottom", fontsize=8, color=FAINT,
        )  # fmt: skip
        left_out += 1
    axes.set_ylim(low, high)


def _finish(axes: Axes) -> None:
    axes.grid(True)
    low, high = axes.get_ylim()
    # Nothing is above 100 %, but a marker there needs room.
    axes.set_ylim(max(low, -2.0), min(high, 101.5))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))


def _plain(name: str) -> str:
    """A third party's name in letters that every font and SVG can hold."""
    return re.sub(r"[^\w .,=+:-]", "?", name)[:40]
