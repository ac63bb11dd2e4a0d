"""A run along its stream: accuracy matrix, forgetting curves, distillation losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clbench.errors import InputError
from clbench.figures.style import (
    FAINT,
    INK,
    MARKERS,
    drawing,
    learnt_axis,
    log_axis,
    numbers,
    ordered_colours,
    per_cent,
    wide_enough,
    write_cell,
)
from clbench.measuring import metrics


def accuracy_matrix_figure(
    R: metrics.Matrix,
    *,
    class_groups: Sequence[Sequence[int]] | None = None,
    title: str = "Accuracy matrix",
) -> Figure:
    """Heat map of R with its numbers in per cent; experiences not yet learnt are set back.

    Args:
        R: (T', T) accuracies in 0..1; fewer rows than columns while a stream goes on.
        class_groups: classes of each of the T experiences, for the labels.
        title: heading.
    """
    matrix = _rectangular(R)
    rows, columns = matrix.shape
    side = 0.52 if columns <= 12 else 0.4
    width = wide_enough(2.0 + side * columns, title)
    with drawing(width, 1.5 + side * rows) as (figure, (axes,)):
        future = np.triu(np.ones_like(matrix, dtype=bool), 1)
        axes.imshow(np.where(future, np.nan, matrix), cmap="cividis", vmin=0, vmax=1)
        axes.set_facecolor("#f4f4f4")
        for i, j in np.ndindex(rows, columns):
            light_cell = matrix[i, j] > 0.55
            colour = FAINT if future[i, j] else (INK if light_cell else "white")
            write_cell(axes, i, j, f"{100 * matrix[i, j]:.1f}", colour, 8.5 * side / 0.52)
        _cells(axes, rows, columns)
        labels = _experience_names(class_groups, columns)
        tilt = 0 if max(map(len, labels)) <= 8 and columns <= 12 else 90
        axes.set_xticks(range(columns), labels, rotation=tilt)
        axes.set_yticks(range(rows), labels[:rows])
        axes.set_xlabel("accuracy on experience (%)")
        axes.set_ylabel("after learning experience")
        axes.set_title(title)
    return figure


def _rectangular(R: metrics.Matrix) -> npt.NDArray[np.float64]:
    matrix = np.asarray(R, dtype=np.float64)
    if matrix.ndim != 2 or not 1 <= matrix.shape[0] <= matrix.shape[1]:
        raise InputError(f"expected up to T rows of T accuracies, found shape {matrix.shape}")
    return matrix


def _cells(axes: Axes, rows: int, columns: int) -> None:
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(False, which="major")
    axes.grid(True, which="minor", axis="both", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _experience_names(class_groups: Sequence[Sequence[int]] | None, count: int) -> list[str]:
    if class_groups is None:
        return [f"{k + 1}" for k in range(count)]
    return [f"{k + 1} ({_classes(group)})" for k, group in enumerate(class_groups)]


def _classes(group: Sequence[int]) -> str:
    if len(group) > 4:
        return f"{len(group)} classes"
    return ", ".join(str(c) for c in group)


def forgetting_curves_figure(
    R: metrics.Matrix,
    *,
    class_groups: Sequence[Sequence[int]] | None = None,
    title: str = "Accuracy on each experience, from the moment it is learnt",
) -> Figure:
    """Accuracy on every experience over the experiences learnt, and their average in black.

    Args:
        R: (T, T) accuracies in 0..1.
        class_groups: classes of each experience, for the legend.
        title: heading.
    """
    average = metrics.average_accuracy_curve(R)
    matrix, count = np.asarray(R, dtype=np.float64), len(average)
    steps = np.arange(1, count + 1)
    with drawing(7.2, 3.8) as (figure, (axes,)):
        names = _experience_names(class_groups, count)
        for j, colour in enumerate(ordered_colours(count)):
            marker = MARKERS[j % len(MARKERS)]
            curve = 100 * matrix[j:, j]
            axes.plot(steps[j:], curve, color=colour, marker=marker, label=names[j], clip_on=False)
        axes.plot(
            steps,
            [100 * a for a in average],
            color="black",
            linestyle=(0, (4, 2)),
            linewidth=2.2,
            label="average",
            clip_on=False,
        )
        learnt_axis(axes, count)
        per_cent(axes, "accuracy (%)")
        figure.legend(
            loc="outside right center",
            title="experience (classes)" if class_groups else "experience",
            ncols=1 if count <= 14 else 2,
            alignment="left",
        )
        axes.set_title(title)
    return figure


def distillation_figure(
    losses: Sequence[Sequence[float]], *, title: str = "Distillation loss"
) -> Figure:
    """Loss of every experience's distillation over its image updates, with a running mean.

    Args:
        losses: one list per experience, one number per update; empty lists are left out, and so is
            what is no number (None, nan, infinity).
        title: heading.

    Raises:
        InputError: no losses at all.
    """
    if not any(len(curve) for curve in losses):
        raise InputError("expected at least one distillation loss, found none")
    with drawing(7.2, 3.4) as (figure, (axes,)):
        for k, colour in enumerate(ordered_colours(len(losses))):
            if not len(losses[k]):
                continue
            curve = numbers(losses[k])
            updates = np.arange(1, len(curve) + 1)
            axes.plot(updates, curve, color=colour, alpha=0.22, linewidth=0.8)
            axes.plot(updates, _running_mean(curve), color=colour, label=str(k + 1))
        if (np.concatenate([numbers(curve) for curve in losses]) <= 0).sum() == 0:
            log_axis(axes)
        axes.set_xlabel("image update")
        axes.set_ylabel("loss")
        axes.grid(True)
        axes.margins(x=0.01)
        figure.legend(loc="outside right center", title="experience", alignment="left")
        axes.set_title(title)
    return figure


def _running_mean(curve: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over about a twentieth of the updates around each; windows are cut at the ends."""
    half = len(curve) // 40
    # A loss that was no number is left out, and leaves a gap where it stands alone.
    known = np.isfinite(curve)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, curve, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(len(curve))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(curve))
    num = counts[high] - counts[low]
    mean: npt.NDArray[np.float64] = (sums[high] - sums[low]) / np.where(num, num, np.nan)
    return mean
