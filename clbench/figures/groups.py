"""Several groups of runs against each other, section by section."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clbench.errors import InputError
from clbench.figures.style import (
    INK,
    Look,
    drawing,
    in_lines,
    learnt_axis,
    legend_layout,
    lines_in_words,
    looks,
    majority_line,
    note,
    per_cent,
    seeds_in_words,
)
from clbench.measuring import metrics
from clbench.measuring.statistics import mean_interval

Sections = Mapping[str, Mapping[str, Sequence[Any]]]


def comparison_curves_figure(groups: Mapping[str, Sequence[metrics.Matrix]]) -> Figure:
    """Average accuracy and mean forgetting of each group over the experiences learnt.

    Lines are means over seeds, bands 95 % t-intervals (none with a single seed). The length of the
    streams may differ between groups, not within one.

    Args:
        groups: label -> one accuracy matrix (T, T) per seed.

    Raises:
        InputError: no groups, or a group without matrices.
    """
    return section_curves_figure({"": groups})


def section_curves_figure(sections: Sections) -> Figure:
    """`comparison_curves_figure` with a row of panels for each section; one look for each label.

    Args:
        sections: heading -> label -> one accuracy matrix (T, T) per seed.

    Raises:
        InputError: no section, or one without groups or with a group without matrices.
    """
    labels = _labels(sections)
    look = dict(zip(labels, looks(len(labels)), strict=True))
    shown, columns, below = legend_layout(labels, 9.6)
    height = 0.4 + below + 3.3 * len(sections)
    with drawing(9.6, height, 2, [1.0] * len(sections)) as (figure, axes):
        for row, (heading, groups) in enumerate(sections.items()):
            left, right = axes[2 * row : 2 * row + 2]
            _curves(left, right, groups, look)
            left.set_title(f"{in_lines(heading, 50)}\nAccuracy" if heading else "Accuracy")
            right.set_title("Forgetting")
        _zoom(axes[::2], axes[1::2])
        figure.legend(
            [_line(look[label]) for label in labels],
            shown,
            loc="outside lower center",
            ncols=columns,
            title=lines_in_words(_seeds(sections)),
        )
    return figure


def _curves(
    left: Axes, right: Axes, groups: Mapping[str, Sequence[metrics.Matrix]], look: dict[str, Look]
) -> None:
    for label, seeds in groups.items():
        accuracy = [metrics.average_accuracy_curve(R) for R in seeds]
        forgetting = [metrics.mean_forgetting_curve(R) for R in seeds]
        _band(left, 1, accuracy, look[label], label)
        _band(right, 2, forgetting, look[label], label)
    longest = max(len(seeds[0]) for seeds in groups.values())
    for axes in (left, right):
        learnt_axis(axes, longest)
    per_cent(left, "average accuracy so far (%)")
    right.set_ylabel("mean forgetting so far (points)")
    right.grid(True)


def _zoom(accuracy: Sequence[Axes], forgetting: Sequence[Axes]) -> None:
    """Give all panels of a kind one range; what lies far off leaves them, and is named there."""
    ends = [_end(line) for axes in accuracy for line in axes.lines]
    least = max(ends) - _nearest(max(ends) - end for end in ends)
    if min(ends) < least:
        lows = (_y(line).min() for axes in accuracy for line in _ending(axes, least, 200))
        floor = max(0, 10 * math.floor(min(lows) / 10))
        for axes in accuracy:
            axes.set_ylim(floor - 0.03 * (100 - floor), 100 + 0.03 * (100 - floor))
            axes.set_yticks(range(floor, 101, 20 if floor < 50 else 10 if floor < 80 else 5))
            _name_those_beyond(axes, floor, -1)
    ends = [_end(line) for axes in forgetting for line in axes.lines]
    if not ends:
        return
    most = min(ends) + _nearest(end - min(ends) for end in ends)
    near = [_y(line) for axes in forgetting for line in _ending(axes, -200, most)]
    high = max(y.max() for y in near)
    # Forgetting begins at none at all; below 0 later experiences helped.
    bottom = min(0.0, *(y.min() for y in near))
    room = max(high - bottom, 1.0)
    for axes in forgetting:
        axes.set_ylim(bottom - 0.04 * room, high + 0.15 * room)
        _name_those_beyond(axes, high + 0.15 * room, 1)


_GAP = 25.0  # points without any line


def _nearest(distances: Iterable[float]) -> float:
    """The distance from the best up to the first gap, if more lines lie before it than after."""
    ordered = sorted(distances)
    for i in range(1, len(ordered)):
        if ordered[i] - ordered[i - 1] > _GAP and i > len(ordered) - i:
            return ordered[i - 1]
    return ordered[-1]


def _end(line: Line2D) -> float:
    return float(_y(line)[-1])


def _y(line: Line2D) -> npt.NDArray[np.float64]:
    return np.asarray(line.get_ydata(), dtype=np.float64)


def _ending(axes: Axes, least: float, most: float) -> list[Line2D]:
    """The lines whose end lies between the two."""
    return [line for line in axes.lines if least <= _end(line) <= most]


def _name_those_beyond(axes: Axes, edge: float, side: int) -> None:
    """Name each line that ends below the lower edge (-1) or above the upper one (1)."""
    beyond = [line for line in axes.lines if (_end(line) - edge) * side > 0]
    for i, line in enumerate(beyond):
        told = f"{line.get_label()} {_end(line):.1f}, {'above' if side > 0 else 'below'}"
        up = -12 - 11 * i if side > 0 else 3 + 11 * i
        note(axes, told, max(side, 0), "axes fraction", up)


def _labels(sections: Sections) -> list[str]:
    if not sections:
        raise InputError("expected at least one group with at least one run in each, found none")
    for groups in sections.values():
        _require_groups(groups)
    return list(dict.fromkeys(label for groups in sections.values() for label in groups))


def _seeds(sections: Sections) -> set[int]:
    """How many each row has."""
    return {len(seeds) for groups in sections.values() for seeds in groups.values()}


def _line(look: Look) -> Line2D:
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.line)


def _band(axes: Axes, first: int, curves: list[list[float]], look: Look, label: str) -> None:
    intervals = 100 * np.array([mean_interval(values) for values in np.array(curves).T])
    if not len(intervals):
        return
    steps = np.arange(first, first + len(intervals))
    mean, low, high = intervals.T
    axes.plot(steps, mean, color=look.colour, marker=look.marker, linestyle=look.line, label=label)
    if not np.isnan(low).any():
        axes.fill_between(steps, low, high, color=look.colour, alpha=0.15, linewidth=0)


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
    return section_bars_figure({"": groups}, title=title, majority_share=majority_share)


def section_bars_figure(
    sections: Sections, *, title: str, majority_share: float | None = None
) -> Figure:
    """`comparison_bars_figure` with a panel for each section, one colour for each label.

    Args:
        sections: heading -> label -> one accuracy in 0..1 per seed.
        title: heading of all.
        majority_share: see `comparison_bars_figure`.

    Raises:
        InputError: no section, or one without groups or with a group without values.
    """
    labels = _labels(sections)
    colour = {label: look.colour for label, look in zip(labels, looks(len(labels)), strict=True)}
    shown = {label: in_lines(label, 38) for label in labels}
    lines = max(text.count("\n") + 1 for text in shown.values())
    longest = max(len(part) for text in shown.values() for part in text.splitlines())
    row = max(0.42, 0.17 * lines + 0.1)
    heights = [0.75 + row * len(groups) for groups in sections.values()]
    width = 6.0 + 0.08 * longest
    with drawing(width, 0.45 + sum(heights), 1, heights) as (figure, every):
        for axes, (heading, groups) in zip(every, sections.items(), strict=True):
            _bars(axes, groups, colour, shown)
            axes.set_title(in_lines(heading, int(width * 9)) if heading else title)
            if majority_share is not None:
                majority_line(axes, majority_share, upright=True)
        every[-1].set_xlabel(
            f"accuracy (%); line: 95 % interval, points: seeds, {seeds_in_words(_seeds(sections))}"
        )
        if any(sections):
            figure.suptitle(title, x=0.02, ha="left", weight="bold", fontsize=11)
        if majority_share is not None:
            handles, names = every[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower right")
    return figure


def _bars(
    axes: Axes,
    groups: Mapping[str, Sequence[float]],
    colour: Mapping[str, str],
    shown: Mapping[str, str],
) -> None:
    for i, (label, values) in enumerate(groups.items()):
        _bar(axes, i, 100 * np.asarray(values, dtype=np.float64), colour[label])
    axes.set_yticks(range(len(groups)), [shown[label] for label in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 108)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)


def _bar(axes: Axes, row: int, values: npt.NDArray[np.float64], colour: Any) -> None:
    mean, low, high = mean_interval(values)
    axes.barh(row, mean, height=0.66, color=colour, alpha=0.35, linewidth=0)
    # Seeds are spread over the bar so that equal ones stay visible.
    points = row + np.linspace(-0.22, 0.22, len(values)) * (len(values) > 1)
    axes.scatter(values, points, s=12, color=colour, edgecolor="white", linewidth=0.5, zorder=3)
    if not math.isnan(low):
        axes.errorbar(mean, row, xerr=mean - low, color=INK, capsize=5, linewidth=1.2, zorder=4)
    right = max(values.max(), mean if math.isnan(high) else high)
    axes.text(min(right, 100) + 1.2, row, f"{mean:.1f}", va="center", fontsize=9, weight="bold")


def _require_groups(groups: Mapping[str, Sequence[Any]]) -> None:
    if not groups or not all(len(values) for values in groups.values()):
        raise InputError("expected at least one group with at least one run in each, found none")
