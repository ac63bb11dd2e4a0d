"""Ratios of two forms of one computation, and costs over the size of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clbench.errors import InputError
from clbench.figures.style import FAINT, INK, PALETTE, Look, drawing, log_axis, log_x, looks


@dataclass(frozen=True)
class Bar:
    """A ratio.

    Attributes:
        label: what is compared.
        ratio, lowest, highest: median and extremes of the repeats.
        aim: the least that is wanted.
    """

    label: str
    ratio: float
    lowest: float
    highest: float
    aim: float


def speed_figure(bars: Sequence[Bar], title: str) -> Figure:
    """Draw a bar for each ratio on a logarithmic axis, its spread, and its aim as a mark.

    Raises:
        InputError: no bar.
    """
    if not bars:
        raise InputError("expected at least one row to draw, found none")
    with drawing(7.2, 1.1 + 0.42 * len(bars)) as (figure, (axes,)):
        for place, bar in enumerate(bars):
            colour = PALETTE[0] if bar.ratio >= bar.aim else PALETTE[1]
            # From 1, where both are as fast.
            axes.barh(place, bar.ratio - 1, left=1, height=0.6, color=colour)
            axes.plot([bar.lowest, bar.highest], [place, place], color=INK, linewidth=1.2)
            axes.plot([bar.aim, bar.aim], [place - 0.4, place + 0.4], color=INK, linestyle=":")
            where = max(bar.highest, bar.aim, 1)
            axes.annotate(
                f"{bar.ratio:.3g}", (where, place), xytext=(5, 0), textcoords="offset points",
                va="center", fontsize=8,
            )  # fmt: skip
        axes.axvline(1, color=FAINT, linewidth=0.8)
        axes.set_xscale("log")
        axes.margins(x=0.12)
        log_x(axes)
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
        axes.invert_yaxis()
        axes.set_xlabel("speed of clbench's form over that of the plain one")
        axes.set_title(title)
        axes.grid(True, axis="x")
        marks = [
            Line2D([], [], color=INK, linestyle=":", label="aim"),
            Line2D([], [], color=INK, linewidth=1.2, label="lowest to highest repeat"),
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=2)
    return figure


@dataclass(frozen=True)
class Curve:
    """A cost over what grows.

    Attributes:
        name: of the strategy.
        axis: what grows.
        cost: axis label of the cost.
        exponent: of the fit.
        values, costs: one of each point.
    """

    name: str
    axis: str
    cost: str
    exponent: float
    values: tuple[float, ...]
    costs: tuple[float, ...]


def growth_figure(curves: Sequence[Curve]) -> Figure:
    """Draw a panel for each cost and axis, both logarithmic: a slope of 1 is linear.

    Raises:
        InputError: no curve.
    """
    if not curves:
        raise InputError("expected at least one curve to draw, found none")
    costs = list(dict.fromkeys(curve.cost for curve in curves))
    axes_names = list(dict.fromkeys(curve.axis for curve in curves))
    names = list(dict.fromkeys(curve.name for curve in curves))
    look = dict(zip(names, looks(len(names)), strict=True))
    size = (2.6 * len(axes_names), 0.6 + 2.5 * len(costs))
    with drawing(*size, len(axes_names), [1.0] * len(costs)) as (figure, every):
        panels = [(cost, axis) for cost in costs for axis in axes_names]
        for axes, (cost, axis) in zip(every, panels, strict=True):
            for curve in curves:
                if (curve.cost, curve.axis) == (cost, axis):
                    _growth(axes, curve, look[curve.name])
            _log_both(axes)
            axes.set_xlabel(axis)
            axes.set_ylabel(cost if axis == axes_names[0] else "")
        marks = [
            Line2D([], [], color=look[n].colour, marker=look[n].marker, label=n) for n in names
        ]
        title = "numbers: exponents of growth, 1 is linear"
        figure.legend(handles=marks, loc="outside lower center", ncols=len(names), title=title)
    return figure


def _growth(axes: Axes, curve: Curve, look: Look) -> None:
    axes.plot(curve.values, curve.costs, color=look.colour, marker=look.marker)
    axes.annotate(
        f"{curve.exponent:.2f}", (curve.values[-1], curve.costs[-1]), xytext=(-4, 5),
        textcoords="offset points", ha="right", fontsize=8, color=look.colour,
    )  # fmt: skip


def _log_both(axes: Axes) -> None:
    log_axis(axes)
    axes.set_xscale("log")
    axes.margins(0.12)
    log_x(axes)
    axes.grid(True)
