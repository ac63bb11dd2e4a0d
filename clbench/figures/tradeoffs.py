"""Accuracy over what it costs: over bytes of memory, and over compute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clbench.errors import InputError
from clbench.figures.style import (
    FAINT,
    Look,
    drawing,
    in_lines,
    legend_layout,
    lines_in_words,
    log_x,
    looks,
    note,
)
from clbench.measuring.statistics import mean_interval

_COLUMNS = 3  # panels beside each other


@dataclass(frozen=True)
class Panel:
    """Accuracy over bytes on one stream with one learner.

    Attributes:
        curves: memory -> bytes -> one accuracy in 0..1 per seed.
        bounds: strategy without memory -> one accuracy in 0..1 per seed.
    """

    curves: dict[str, dict[float, Sequence[float]]]
    bounds: dict[str, Sequence[float]]


def accuracy_over_bytes_figure(
    panels: Mapping[str, Panel], metric: str = "average accuracy"
) -> Figure:
    """Accuracy of each memory over its bytes, on a logarithmic axis.

    Lines are means over seeds, bands 95 % t-intervals; what has no memory is a dashed line, or a
    number at the edge where it lies so far off that it would press the lines together.

    Args:
        panels: heading -> one panel.
        metric: which accuracy it is.

    Raises:
        InputError: no panel, or one without a memory.
    """
    if not panels or not all(panel.curves for panel in panels.values()):
        raise InputError("expected at least one memory in each panel, found none")
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel.curves))
    look = dict(zip(names, looks(len(names)), strict=True))
    columns = min(_COLUMNS, len(panels))
    rows, width = math.ceil(len(panels) / columns), max(7.2, 4.8 * columns)
    shown, legend_columns, below = legend_layout(names, width)
    with drawing(width, 0.4 + below + 3.8 * rows, columns, [1.0] * rows) as (figure, every):
        for axes, (heading, panel) in zip(every, panels.items(), strict=False):
            for name, points in panel.curves.items():
                _curve(axes, points, look[name], name)
            _keep_near(axes, panel)
            _bounds(axes, panel)
            _log_x(axes)
            axes.set_xlabel("bytes of memory after the stream")
            axes.set_ylabel(f"{metric} (%)")
            axes.set_title(in_lines(heading, 46) or f"{metric[0].upper()}{metric[1:]} over bytes")
        for axes in every[len(panels) :]:
            axes.set_visible(False)
        figure.legend(
            [_mark(look[name], line=True) for name in names],
            shown,
            loc="outside lower center",
            ncols=legend_columns,
            title=lines_in_words(_seeds(panels)),
        )
    return figure


def _seeds(panels: Mapping[str, Panel]) -> set[int]:
    """How many each point has."""
    curves = (points for panel in panels.values() for points in panel.curves.values())
    return {len(values) for points in curves for values in points.values()}


def _log_x(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.margins(x=0.08)
    log_x(axes)
    axes.grid(True)


def _mark(look: Look, *, line: bool = False) -> Line2D:
    style = look.line if line else "none"
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle=style)


def _curve(axes: Axes, points: Mapping[float, Sequence[float]], look: Look, name: str) -> None:
    sizes = sorted(points)
    mean, low, high = 100 * np.array([mean_interval(points[size]) for size in sizes]).T
    axes.plot(sizes, mean, color=look.colour, marker=look.marker, linestyle=look.line, label=name)
    known = ~np.isnan(low)
    if len(sizes) == 1 and known.all():
        axes.errorbar(sizes, mean, yerr=high - mean, color=look.colour, capsize=3, linewidth=1.2)
    elif known.any():
        axes.fill_between(sizes, low, high, where=known, color=look.colour, alpha=0.15, linewidth=0)


def _keep_near(axes: Axes, panel: Panel) -> None:
    """Set the range by means and by intervals of three seeds or more: those of two are huge."""
    kept: list[float] = []
    for points in panel.curves.values():
        for values in points.values():
            mean, low, high = mean_interval(values)
            kept += [mean, low, high] if len(values) > 2 else [mean]
    low, high = 100 * min(kept), 100 * max(kept)
    room = 0.06 * max(high - low, 1.0)
    axes.set_ylim(low - room, high + room)


def _bounds(axes: Axes, panel: Panel) -> None:
    """Draw what has no memory; the lines' own range decides what is far off."""
    low, high = axes.get_ylim()
    span = max(high - low, 5.0)
    at_edge = {-1: 0, 1: 0}
    for name, values in panel.bounds.items():
        value = 100 * float(np.mean(values))
        side = -1 if value < low - span else 1 if value > high + span else 0
        if not side:
            axes.axhline(value, color=FAINT, linestyle="--", linewidth=1.2)
            room = 0.06 * span
            bottom, top = axes.get_ylim()
            axes.set_ylim(min(bottom, value - room), max(top, value + 2 * room))
            note(axes, f"{name} {value:.1f}", value, ("axes fraction", "data"), 2)
            continue
        edge, up = (0, 3 + 11 * at_edge[side]) if side < 0 else (1, -12 - 11 * at_edge[side])
        at_edge[side] += 1
        told = f"{name} {value:.1f}, {'below' if side < 0 else 'above'}"
        note(axes, told, edge, "axes fraction", up)


@dataclass(frozen=True)
class Point:
    """A row of a comparison as accuracy and compute.

    Attributes:
        num_bytes: its budget; None without memory.
        accuracies: 0..1, one per seed.
        seconds: of training and distilling, one per seed; empty where reports lack them.
        flops: operations of training and distilling, one per seed; empty where reports lack them.
    """

    num_bytes: float | None
    accuracies: Sequence[float]
    seconds: Sequence[float]
    flops: Sequence[float]


def accuracy_over_compute_figure(
    rows: Mapping[str, Sequence[Point]], metric: str = "average accuracy", title: str = ""
) -> Figure:
    """Accuracy of each row over its seconds, and over its operations, on logarithmic axes.

    Points are means over seeds: the taller line through one is the 95 % t-interval of its accuracy,
    the other the least and the most compute of its seeds. Larger points have more bytes; a thin
    line joins the budgets of one memory. What lies so far below that it would press the others
    together is a triangle at the edge, with its accuracy.

    Args:
        rows: memory -> its points, one for each budget.
        metric: which accuracy it is.
        title: heading.

    Raises:
        InputError: no points.
    """
    if not rows or not any(rows.values()):
        raise InputError("expected at least one point, found none")
    look = dict(zip(rows, looks(len(rows)), strict=True))
    budgets = sorted({p.num_bytes for points in rows.values() for p in points if p.num_bytes})
    sizes = {size: 4.5 + 5.0 * i / max(1, len(budgets) - 1) for i, size in enumerate(budgets)}
    several = len(budgets) > 1
    extra = [f"{size:,.0f} bytes" for size in budgets] if several else []
    shown, columns, below = legend_layout([*rows, *extra], 9.6)
    with drawing(9.6, 4.1 + below, 2) as (figure, panels):
        floor = _floor([p for points in rows.values() for p in points])
        for axes, name in zip(panels, ("seconds", "flops"), strict=True):
            for memory, points in rows.items():
                _joined(axes, points, name, look[memory], sizes, floor)
            _finish(axes, name, f"{metric} (%)", floor)
        panels[0].set_title(in_lines(title, 60) or f"{metric[0].upper()}{metric[1:]} over compute")
        grey = [
            Line2D([], [], color=FAINT, marker="o", linestyle="none", markersize=sizes[size])
            for size in (budgets if several else ())
        ]
        figure.legend(
            [*(_mark(look[memory]) for memory in rows), *grey],
            shown,
            loc="outside lower center",
            ncols=columns,
            title="points: means; upright: 95 % interval; level: least and most of the seeds",
        )
    return figure


def _floor(points: Sequence[Point]) -> float:
    """The accuracy below which a point is a triangle: half the others' span below them."""
    own = [100 * float(np.mean(p.accuracies)) for p in points if p.num_bytes] or [
        100 * float(np.mean(p.accuracies)) for p in points
    ]
    span = max(max(own) - min(own), 5.0)
    return max(-3.0, min(own) - span / 2)


def _joined(
    axes: Axes,
    points: Sequence[Point],
    name: str,
    look: Look,
    sizes: Mapping[float, float],
    floor: float,
) -> None:
    known = [point for point in points if len(getattr(point, name))]
    known.sort(key=lambda point: point.num_bytes or 0.0)
    spots = []
    for point in known:
        compute = np.asarray(getattr(point, name), dtype=np.float64)
        x = float(compute.mean())
        mean, low, high = (100 * value for value in mean_interval(point.accuracies))
        if x <= 0:
            continue
        if mean < floor:
            _far_below(axes, x, floor, f"{mean:.1f}", look)
            continue
        # One seed has no interval: a line of no length.
        upright = (0.0, 0.0) if math.isnan(low) else (mean - low, high - mean)
        level = (x - compute.min(), compute.max() - x)
        spots.append((x, mean, sizes.get(point.num_bytes or 0.0, 5.0), *upright, *level))
    if spots:
        _spots(axes, np.array(spots), look)


def _spots(axes: Axes, spots: npt.NDArray[np.float64], look: Look) -> None:
    """Draw (x, y, size, down, up, left, right) of each point of one memory, joined."""
    x, y, size = spots[:, :3].T
    axes.errorbar(
        x, y, yerr=spots[:, 3:5].T, xerr=spots[:, 5:].T, fmt="none", ecolor=look.colour,
        elinewidth=1.1,
    )  # fmt: skip
    axes.scatter(
        x, y, size**2, look.colour, marker=look.marker, edgecolors="white", linewidths=0.6,
        zorder=2.1,
    )  # fmt: skip
    if len(spots) > 1:
        axes.plot(x, y, color=look.colour, linewidth=0.8, alpha=0.6)


def _far_below(axes: Axes, x: float, floor: float, text: str, look: Look) -> None:
    axes.plot(x, floor, marker="v", color=look.colour, markersize=6, clip_on=False)
    axes.annotate(
        text,
        (x, floor),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=look.colour,
    )


def _finish(axes: Axes, name: str, label: str, floor: float) -> None:
    axes.set_ylabel(label)
    axes.set_ylim(bottom=floor)
    what = "seconds of" if name == "seconds" else "operations (FLOPs) of"
    axes.set_xlabel(f"{what} training and distilling")
    _log_x(axes)
