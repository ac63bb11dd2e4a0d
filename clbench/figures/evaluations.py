"""Evaluations: an offline training, sets against networks, a search's rankings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clbench.errors import InputError
from clbench.figures.style import (
    FAINT,
    INK,
    colours,
    drawing,
    log_axis,
    majority_line,
    numbers,
    wide_enough,
    write_cell,
)


def offline_figure(
    losses: Sequence[float],
    accuracies: Sequence[float],
    *,
    test_accuracy: float,
    title: str,
    majority_share: float | None = None,
) -> Figure:
    """Loss and accuracy of the training images by epoch, and the test accuracy after the last.

    Args:
        losses: (E,) mean cross-entropy of each epoch.
        accuracies: (E,) share of right training images, 0..1.
        test_accuracy: 0..1.
        title: heading.
        majority_share: of the larger of two classes among the test images, drawn as a line.
    """
    if not losses:
        raise InputError("expected at least one epoch, found none")
    accuracy = 100 * float(numbers([test_accuracy])[0])
    epochs = range(1, len(losses) + 1)
    with drawing(8.6, 3.4, 2) as (figure, (left, right)):
        marker = "o" if len(losses) < 40 else ""
        left.plot(epochs, numbers(losses), color=colours(2)[0], marker=marker)
        left.set_ylabel("training loss")
        log_axis(left)
        right.plot(epochs, 100 * numbers(accuracies), color=colours(2)[0], label="training")
        right.axhline(accuracy, color=colours(2)[1], label="test, last epoch")
        majority_line(right, majority_share)
        right.set_ylabel("accuracy (%)")
        right.legend(loc="lower right")
        for axes in (left, right):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.grid(True)
        left.set_title(title)
        right.set_title(f"Test accuracy {accuracy:.2f} %")
    return figure


def cross_architecture_figure(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    networks: Sequence[str],
    *,
    title: str = "Networks trained on each set alone",
    majority_share: float | None = None,
) -> Figure:
    """Heat map of sets (rows) against networks (columns): mean accuracy and its deviation.

    Args:
        scores: row name -> column name -> accuracies in 0..1; cells may be missing or no number.
        networks: column names.
        title: heading.
        majority_share: of the larger of two classes among the test images, told below the map.
    """
    if not scores or not networks:
        raise InputError("expected at least one set and one network, found none")
    rows = list(scores)
    means = np.full((len(rows), len(networks)), np.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(networks):
            if scores[row].get(column):
                means[i, j] = np.mean(numbers(scores[row][column]))
    low = math.floor(10 * np.nanmin(means)) / 10 if np.isfinite(means).any() else 0.0
    width = wide_enough(1.2 + 0.075 * max(map(len, rows)) + 0.95 * len(networks), title)
    with drawing(width, 1.3 + 0.5 * len(rows)) as (figure, (axes,)):
        axes.imshow(means, cmap="cividis", vmin=min(low, 0.9), vmax=1, aspect="auto")
        for i, j in np.ndindex(means.shape):
            values = scores[rows[i]].get(networks[j])
            light = not means[i, j] <= (1 + min(low, 0.9)) / 2
            write_cell(axes, i, j, _cell(values), INK if light else "white", 8.5)
        axes.set_xticks(range(len(networks)), networks, rotation=0 if _short(networks) else 30)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(title)
        if majority_share is not None:
            axes.set_xlabel(f"always the largest class: {100 * majority_share:.1f}")
    return figure


def _short(names: Sequence[str]) -> bool:
    return max(map(len, names)) <= 11


def _cell(values: Sequence[float] | None) -> str:
    known = numbers(values or ())
    if not len(known) or not np.isfinite(known).all():
        return "-"
    mean = f"{100 * np.mean(known):.1f}"
    return mean if len(known) == 1 else f"{mean} ± {100 * np.std(known, ddof=1):.1f}"


def search_figure(
    proxies: Mapping[str, Sequence[float]], truth: Sequence[float], captions: Mapping[str, str]
) -> Figure:
    """One panel per way to rank: each candidate's accuracy so trained against that of full data.

    Args:
        proxies: name -> (M,) accuracies of the candidates, 0..1.
        truth: (M,) accuracies after training on the full data; without them each panel shows the
            candidates from best to worst.
        captions: name -> what stands below the name.
    """
    if not proxies:
        raise InputError("expected at least one way to rank, found none")
    with drawing(2.9 * len(proxies) + 0.4, 3.3, len(proxies)) as (figure, panels):
        for axes, (name, scores), colour in zip(
            panels, proxies.items(), colours(len(proxies)), strict=True
        ):
            values = 100 * numbers(scores)
            if len(truth):
                full = 100 * numbers(truth)
                axes.scatter(values, full, s=14, color=colour, alpha=0.8)
                best = int(np.argmax(np.nan_to_num(values, nan=-1.0)))
                axes.scatter(values[best], full[best], s=90, facecolor="none", edgecolor=INK)
                axes.set_xlabel("ranked by (%)")
            else:
                axes.plot(np.arange(1, len(values) + 1), np.sort(values)[::-1], color=colour)
                axes.set_xlabel("candidates, best first")
            axes.set_title(f"{name}\n{captions.get(name, '')}", fontsize=8.5)
            axes.grid(True)
        panels[0].set_ylabel("full data, test (%)" if len(truth) else "accuracy (%)")
        for axes in panels[1:] if len(truth) else ():
            axes.set_yticklabels([])
            axes.spines["left"].set_color(FAINT)
    return figure
