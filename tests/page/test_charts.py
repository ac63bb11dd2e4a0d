from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import numpy as np
import pytest

from clbench.figures import Panel, Point, accuracy_over_bytes_figure, accuracy_over_compute_figure
from clbench.figures.style import plain_number, spread
from clbench.page.charts import Line, Look, bytes_chart, compute_chart
from clbench.page.svg import Drawing

SEEDS = [0.8, 0.82, 0.81]
# Rows that cost the same, but for rounding; that nearly do; and orders of magnitude apart.
PLACES = [
    [34.41806140396798, 34.418061403968],
    [3.0, 3.0],
    [1712.0, 1775.0],
    [0.5, 300.0],
    [3.0, 4e12],
]


def texts(drawing: Drawing) -> list[str]:
    return re.findall(r">([^<]+)<", drawing.content)


def rows(places: Sequence[float]) -> list[Line]:
    return [Line(f"a{i}", Look.of(i), [(x, SEEDS)]) for i, x in enumerate(places)]


@pytest.mark.parametrize("places", PLACES)
def test_logarithmic_charts_have_plain_numbers_wherever_their_points_lie(
    places: list[float],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for drawing in (
            compute_chart(rows(places), [], "accuracy", "seconds", "n"),
            bytes_chart(rows(places), [], "accuracy", "n"),
        ):
            numbers = texts(drawing)[: texts(drawing).index("accuracy (%)")]
            assert not any("$" in text or "math" in text for text in numbers)
            across = [text for text in numbers if re.fullmatch(r"[\d.,e]+", text)]
            assert across, "at least one number at x"
            assert len(set(across)) == len(across)


@pytest.mark.parametrize("places", PLACES)
def test_logarithmic_figures_have_plain_numbers_wherever_their_points_lie(
    places: list[float],
) -> None:
    points = {f"a{i}": [Point(2000.0, SEEDS, [x], [x])] for i, x in enumerate(places)}
    curves = {f"a{i}": {x: SEEDS} for i, x in enumerate(places)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (
            accuracy_over_compute_figure(points),
            accuracy_over_bytes_figure({"": Panel(curves, {})}),
        ):
            figure.canvas.draw()
            for axes in figure.axes:
                low, high = axes.get_xlim()
                shown = [
                    text.get_text()
                    for text in axes.get_xticklabels()
                    if low <= text.get_position()[0] <= high
                ]
                assert shown and all(re.fullmatch(r"[\d.,e]+", text) for text in shown)


def test_plain_numbers() -> None:
    shown = [plain_number(x) for x in (1e-3, 0.2, 1, 5000, 2e6, 2e10, 1e100)]
    assert shown == ["0.001", "0.2", "1", "5,000", "2,000,000", "2e10", "1e100"]


def test_an_axis_goes_to_half_and_twice_its_middle_at_least() -> None:
    assert spread(1.0, 100.0, 0) == (1.0, 100.0)
    assert np.allclose(spread(8.0, 8.0, 0), (4.0, 16.0))
    assert np.allclose(spread(4.0, 9.0, 0), (3.0, 12.0))
    assert np.allclose(spread(1.0, 100.0, 0.5), (0.1, 1000.0))
