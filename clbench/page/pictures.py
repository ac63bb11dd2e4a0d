"""The charts of one stream and learner, each with the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clbench.comparison import Group, Summary
from clbench.figures import not_drawn
from clbench.measuring import metrics
from clbench.page import words
from clbench.page.charts import Line, bytes_chart, compute_chart, experience_chart
from clbench.page.rows import TERA, Row
from clbench.page.svg import Drawing

_COMPUTE: dict[str, tuple[Callable[[Group], Summary | None], float]] = {
    "10¹² operations of training and distilling": (lambda group: group.compute_flops, TERA),
    "seconds of training and distilling": (lambda group: group.compute_seconds, 1.0),
}


@dataclass(frozen=True)
class Chart:
    """A chart with the numbers behind it.

    Attributes:
        title: above it.
        alt: what it shows, for those who do not see it.
        drawing: None where it could not be drawn.
        note: why it could not be drawn.
        columns: headings of x, as "after 1".
        lines: what it shows: row -> a text for each column.
    """

    title: str
    alt: str
    drawing: Drawing | None
    note: str
    columns: list[str]
    lines: list[tuple[Row, list[str]]]


def curves(name: str, budget: float | None, rivals: Sequence[Row], bounds: Sequence[Row]) -> Chart:
    """Average accuracy after each experience, of the memories of one budget."""
    lines = {row.anchor: _curve(row) for row in (*rivals, *bounds)}
    longest = max(len(line.points) for line in lines.values())
    of = "without memory" if budget is None else f"{budget:,.0f} bytes"
    texts = [(row, _cells(lines[row.anchor], range(1, longest + 1))) for row in (*rivals, *bounds)]
    drawing, note = _drawn(
        name,
        lambda: experience_chart(
            [lines[row.anchor] for row in rivals], [lines[row.anchor] for row in bounds], name
        ),
    )
    alt = f"Average accuracy after each experience, {of}: {_ends(texts)}"
    return Chart(of, alt, drawing, note, [f"after {k + 1}" for k in range(longest)], texts)


def _curve(row: Row) -> Line:
    """Averages after each experience that every run of the row has learnt."""
    curves = [metrics.average_accuracy_curve(r.accuracy_matrix) for r in row.group.reports]
    values = list(zip(*curves, strict=False))
    return Line(row.name, row.look, [(k, list(v)) for k, v in enumerate(values, 1)])


def over_bytes(name: str, remembering: Sequence[Row], bounds: Sequence[Row], metric: str) -> Chart:
    """Scores over bytes of memory."""
    lines = _lines(remembering, _held)
    flat = [Line(row.name, row.look, [(0.0, row.group.score.values)]) for row in bounds]
    title = words.score(metric)
    drawing, note = _drawn(name, lambda: bytes_chart(lines, flat, title, name))
    budgets = sorted({row.group.budget or 0.0 for row in remembering})
    held = {(row.name, row.group.budget): row for row in remembering}
    texts = []
    for row in {row.name: row for row in remembering}.values():
        found = [held.get((row.name, budget)) for budget in budgets]
        texts.append((row, [_score(one) for one in found]))
    texts += [(row, [_score(row)] * len(budgets)) for row in bounds]
    columns = [f"{budget:,.0f} bytes" for budget in budgets]
    alt = f"{title} over bytes of memory: {_ends(texts)}"
    return Chart("", alt, drawing, note, columns, texts)


def _held(row: Row) -> float | None:
    """Bytes after the stream, mean over seeds."""
    return None if row.group.memory_bytes is None else row.group.memory_bytes.mean


def over_compute(
    name: str, remembering: Sequence[Row], bounds: Sequence[Row], metric: str
) -> Chart | None:
    """Scores over operations where every row has them, else over seconds; None without either."""
    rows = [*remembering, *bounds]
    unit = next((unit for unit in _COMPUTE if all(_taken(row, unit) for row in rows)), None)
    if unit is None:
        return None
    title = words.score(metric)
    drawing, note = _drawn(
        name,
        lambda: compute_chart(
            _lines(remembering, lambda row: _taken(row, unit)),
            _lines(bounds, lambda row: _taken(row, unit)),
            title,
            unit,
            name,
        ),
    )
    texts = [(row, [words.quantity(_taken(row, unit)), _score(row)]) for row in rows]
    alt = f"{title} over {unit}: {_ends(texts)}"
    return Chart("", alt, drawing, note, [unit, f"{title} %"], texts)


def _taken(row: Row, unit: str) -> float | None:
    """Mean over seeds."""
    of, scale = _COMPUTE[unit]
    found = of(row.group)
    return None if found is None else found.mean / scale


def _lines(rows: Sequence[Row], of: Callable[[Row], float | None]) -> list[Line]:
    """One line for each memory, with a point for each of its rows."""
    found: dict[str, tuple[Row, list[tuple[float, Sequence[float]]]]] = {}
    for row in rows:
        x = of(row)
        assert x is not None
        found.setdefault(row.name, (row, []))[1].append((x, row.group.score.values))
    return [Line(name, row.look, points) for name, (row, points) in found.items()]


def _score(row: Row | None) -> str:
    return words.NOTHING if row is None else words.mean_and_deviation(row.group.score)


def _drawn(name: str, draw: Callable[[], Drawing]) -> tuple[Drawing | None, str]:
    try:
        return draw(), ""
    except Exception as error:
        return None, not_drawn(name, error)


def _cells(line: Line, places: range) -> list[str]:
    found = {x: (mean, low, high) for x, mean, low, high in line.intervals()}
    texts = []
    for x in places:
        mean, low, high = found.get(float(x), (None, None, None))
        if mean is None:
            texts.append(words.NOTHING)
        elif low != low:  # nan: a single seed
            texts.append(f"{mean:.1f}")
        else:
            texts.append(f"{mean:.1f} ({low:.1f} to {high:.1f})")
    return texts


def _ends(texts: Sequence[tuple[Row, list[str]]]) -> str:
    """The last number of each line, in words."""
    return "; ".join(f"{row.name} {cells[-1]} %" for row, cells in texts)
