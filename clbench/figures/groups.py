"""Several groups of runs against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from clbench.errors import InputError
from clbench.figures.style import (
    FAINT,
    INK,
    MARKERS,
    colours,
    drawing,
    learnt_axis,
    majority_line,
    per_cent,
)
from clbench.measuring import metrics
from clbench.measuring.statistics import mean_interval


def comparison_curves_figure(groups: Mapping[str, Sequence[metrics.Matrix]]) -> Figure:
    """Average accuracy and mean forgetting of each group over the experiences learnt.

    Lines are means over seeds, bands 95 % t-intervals (none with a single seed). The length of the
    streams may differ between groups, not within one.

    Args:
        groups: label -> one accuracy matrix (T, T) per seed.

    Raises:
        InputError: no groups, or a group without matrices.
    """
    _require_groups(groups)
    longest = max(len(seeds[0]) for seeds in groups.values())
    with drawing(9.6, 3.9 + 0.2 * math.ceil(len(groups) / 3), 2) as (figure, (left, right)):
        for i, (label, seeds) in enumerate(groups.items()):
            colour, marker = colours(len(groups))[i], MARKERS[i % len(MARKERS)]
            accuracy = [metrics.average_accuracy_curve(R) for R in seeds]
            forgetting = [metrics.mean_forgetting_curve(R) for R in seeds]
            _band(left, 1, accuracy, colour, marker, label)
            _band(right, 2, forgetting, colour, marker, None)
        for axes in (left, right):
            learnt_axis(axes, longest)
        per_cent(left, "average accuracy so far (%)")
        right.set_ylabel("mean forgetting so far (points)")
        right.grid(True)
        left.set_title("Accuracy")
        right.set_title("Forgetting")
        figure.legend(loc="outside lower center", ncols=min(3, len(groups)))
    return figure


def _band(
    axes: Axes, first: int, curves: list[list[float]], colour: Any, marker: str, label: str | None
) -> None:
    intervals = 100 * np.array([mean_interval(values) for values in np.array(curves).T])
    if not len(intervals):
        return
    steps = np.arange(first, first + len(intervals))
    mean, low, high = intervals.T
    axes.plot(steps, mean, color=colour, marker=marker, label=label)
    if not np.isnan(low).any():
        axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)


def comparison_bars_figure(
    groups: Mapping[str, Sequence[float]],
    *,
    title: str = "Average accuracy after the stream",
    majority_share: float | None = None,
) -> Figure:
    """Mean of each group as a bar, its 95 % t-interval, and every seed as a point.

    Args:
        groups: label -> one accuracy in 0..1 per seed.
        title: heading.
        majority_share: of the larger of two classes among the test images, drawn as a line.

    Raises:
        InputError: no groups, or a group without values.
    """
    _require_groups(groups)
    labels = list(groups)
    with drawing(7.2, 1.0 + 0.42 * len(labels)) as (figure, (axes,)):
        for i, (label, colour) in enumerate(zip(labels, colours(len(labels)), strict=True)):
            _bar(axes, i, 100 * np.asarray(groups[label], dtype=np.float64), colour)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 108)
        axes.set_xticks(range(0, 101, 20))
        axes.grid(True, axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("accuracy (%); line: 95 % interval, points: seeds")
        axes.set_title(title)
        if majority_share is not None:
            majority_line(axes, majority_share, upright=True)
            figure.legend(loc="outside lower right")
    return figure


def _bar(axes: Axes, row: int, values: npt.NDArray[np.float64], colour: Any) -> None:
    mean, low, high = mean_interval(values)
    axes.barh(row, mean, height=0.66, color=colour, alpha=0.35, linewidth=0)
    # Seeds are spread over the bar so that equal ones stay visible.
    points = row + np.linspace(-0.22, 0.22, len(values)) * (len(values) > 1)
    axes.scatter(values, points, s=12, color=colour, edgecolor="white", linewidth=0.5, zorder=3)
    if not math.isnan(low):
        axes.errorbar(mean, row, xerr=mean - low, color=INK, capsize=5, linewidth=1.2, zorder=4)
    right = max(values.max(), mean if math.isnan(high) else high)
    axes.text(right + 1.2, row, f"{mean:.1f}", va="center", fontsize=9, weight="bold")


def _require_groups(groups: Mapping[str, Sequence[Any]]) -> None:
    if not groups or not all(len(values) for values in groups.values()):
        raise InputError("expected at least one group with at least one run in each, found none")


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
    _require_groups({name: list(panel.curves) for name, panel in panels.items()})
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel.curves))
    look = {
        name: (colours(len(names))[i], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)
    }
    width, rows = max(7.2, 4.8 * len(panels)), math.ceil(len(names) / 3)
    with drawing(width, 4.2 + 0.2 * rows, len(panels)) as (figure, every):
        for axes, (heading, panel) in zip(every, panels.items(), strict=True):
            for name, points in panel.curves.items():
                _curve(axes, points, *look[name], name)
            _bounds(axes, panel)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel("bytes of memory after the stream")
            axes.set_ylabel(f"{metric} (%)")
            axes.grid(True)
            axes.set_title(heading or f"{metric[0].upper()}{metric[1:]} over bytes")
        shown = dict(
            reversed(pair)
            for axes in every
            for pair in zip(*axes.get_legend_handles_labels(), strict=True)
        )
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3)
    return figure


def _curve(
    axes: Axes, points: Mapping[float, Sequence[float]], colour: Any, marker: str, name: str
) -> None:
    sizes = sorted(points)
    mean, low, high = 100 * np.array([mean_interval(points[size]) for size in sizes]).T
    axes.plot(sizes, mean, color=colour, marker=marker, label=name)
    if not np.isnan(low).any():
        axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)


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
            _note(axes, f"{name} {value:.1f}", value, ("axes fraction", "data"), 2)
            continue
        edge, up = (0, 3 + 11 * at_edge[side]) if side < 0 else (1, -12 - 11 * at_edge[side])
        at_edge[side] += 1
        told = f"{name} {value:.1f}, {'below' if side < 0 else 'above'}"
        _note(axes, told, edge, "axes fraction", up)


def _note(axes: Axes, text: str, y: float, coordinates: Any, up: float) -> None:
    """Write ``text`` at the right edge, ``up`` points above ``y``."""
    axes.annotate(
        text,
        (1, y),
        xycoords=coordinates,
        xytext=(0, up),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=FAINT,
    )
