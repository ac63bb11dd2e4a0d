"""The page: its sections, and the template that they fill."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.colors import to_hex

from clbench.comparison import Comparison, Group, Runs
from clbench.figures import not_drawn
from clbench.measuring import metrics
from clbench.measuring.format import per_cent, points
from clbench.measuring.scores import AVERAGE, SCORES
from clbench.page import words
from clbench.page.answers import LEVEL, Answer, answers, is_bound
from clbench.page.charts import Line, bytes_chart, experience_chart
from clbench.page.rows import NO_COMMAND, PHASES, Row, make_rows
from clbench.page.svg import SERIES, Drawing
from clbench.store.plain import readable

_STEPS = 21  # colours of a heat map
# The same hues, light enough for a dark page.
_DARK = (
    "#4aa3e0", "#ff8a3d", "#2fc79a", "#e49ac4", "#f2b63c", "#8accf2", "#f0f0f0", "#b48be0",
    "#c9a07a", "#b5bd3a",
)  # fmt: skip


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


@dataclass(frozen=True)
class Section:
    """All of one stream and learner.

    Attributes:
        number: from 1.
        heading: what tells it apart; "" where there is one.
        rows: in the order of the comparison.
        answers: for each budget.
        curves: a chart for each budget.
        over_bytes: None where there is one budget.
        most_seconds: of all rows, what a full bar is.
    """

    number: int
    heading: str
    rows: list[Row]
    answers: list[Answer]
    curves: list[Chart]
    over_bytes: Chart | None
    most_seconds: float

    @property
    def memories(self) -> list[list[Row]]:
        """The rows of each memory, learners without one last."""
        found: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=lambda row: is_bound(row.group)):
            found.setdefault(row.name, []).append(row)
        return list(found.values())


def build_page(comparison: Comparison, runs: Runs | None = None) -> str:
    """Return a comparison as one HTML page that needs nothing beside it.

    The same comparison and memories give the same page to the last byte. A chart that cannot be
    drawn, and a memory that cannot be read, cost a sentence.

    Args:
        comparison: what is shown.
        runs: what it was made of, for the folders of the runs and the images in their memories;
            None where nobody knows.
    """
    rows = make_rows(comparison.groups, runs)
    found = answers(comparison)
    names = dict.fromkeys(group.condition for group in comparison.groups)
    sections = [
        _section(i, name, rows, found, comparison.metric) for i, name in enumerate(names, 1)
    ]
    style, script = (_text(f"page.{kind}") for kind in ("css", "js"))
    return _template().render(
        comparison=comparison,
        sections=sections,
        rows=rows,
        by_label={row.group.label: row for row in rows},
        answers=found,
        num_tests=sum(answer.versus is not None for answer in found),
        verdicts={v: sum(a.verdict == v for a in found) for v in ("yes", "no", "open", "unknown")},
        score=SCORES[comparison.metric].removesuffix(" %"),
        num_runs=sum(len(row.runs) for row in rows),
        streams=words.listed(list(dict.fromkeys(_stream(group) for group in comparison.groups))),
        style=Markup(style),
        script=Markup(script),
        script_hash=_hash(script),
        colours=list(zip(SERIES, _DARK, strict=True)),
        heat=_heat(),
    )


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("clbench.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # What a terminal is not shown, a page is not either.
        finalize=lambda value: readable(value) if type(value) is str else value,
    )
    environment.globals.update(
        words=words, per_cent=per_cent, points=points, is_bound=is_bound, level=LEVEL,
        phases=PHASES, no_command=NO_COMMAND, heat_of=_heat_of,
    )  # fmt: skip
    environment.filters["breakable"] = _breakable
    return environment.get_template("page.html.j2")


def _breakable(name: str) -> Markup:
    """Return a name that a narrow column may break behind its underscores."""
    return escape(readable(name)).replace("_", Markup("_<wbr>"))


def _text(name: str) -> str:
    return files("clbench.page").joinpath("templates", name).read_text("utf-8")


def _hash(script: str) -> str:
    """What the page's policy knows its only script by."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _heat() -> list[tuple[str, str]]:
    """Background and ink for 0 %, 5 % and so on."""
    colours = mpl.colormaps["cividis"](np.linspace(0, 1, _STEPS))
    inks = ["#fff" if i < _STEPS / 2 else "#111" for i in range(_STEPS)]
    return [(to_hex(colour), ink) for colour, ink in zip(colours, inks, strict=True)]


def _heat_of(per_cent: float) -> int:
    return round(per_cent / 100 * (_STEPS - 1))


def _stream(group: Group) -> str:
    benchmark = group.reports[0].config.get("benchmark") or {}
    return str(benchmark.get("name", "an unnamed stream"))


def _section(
    number: int, name: str, rows: Sequence[Row], found: Sequence[Answer], metric: str
) -> Section:
    mine = [row for row in rows if row.group.condition == name]
    bounds = [row for row in mine if is_bound(row.group)]
    budgets = dict.fromkeys(row.group.budget for row in mine if row not in bounds) or {None: None}
    curves = []
    for i, budget in enumerate(budgets, 1):
        rivals = [r for r in mine if r not in bounds and r.group.budget == budget]
        curves.append(_curves(f"curve-{number}-{i}", budget, rivals, bounds))
    over = None
    if len(budgets) > 1:
        remembering = [row for row in mine if row not in bounds]
        over = _over_bytes(f"bytes-{number}", remembering, bounds, metric)
    totals = [sum(row.seconds.values()) for row in mine]
    own = [answer for answer in found if answer.condition == name]
    return Section(number, name, mine, own, curves, over, max([*totals, 1e-9]))


def _curves(name: str, budget: float | None, rivals: Sequence[Row], bounds: Sequence[Row]) -> Chart:
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
    return Line(row.name, row.look, {k: list(v) for k, v in enumerate(values, 1)})


def _over_bytes(name: str, remembering: Sequence[Row], bounds: Sequence[Row], metric: str) -> Chart:
    lines: dict[str, Line] = {}
    first: dict[str, Row] = {}
    for row in remembering:
        line = lines.setdefault(row.name, Line(row.name, row.look, {}))
        assert row.group.memory_bytes is not None and row.group.budget is not None
        line.points[row.group.memory_bytes.mean] = row.group.score.values
        first.setdefault(row.name, row)
    flat = [Line(row.name, row.look, {0.0: row.group.score.values}) for row in bounds]
    score = "accuracy" if metric == AVERAGE else SCORES[metric].removesuffix(" %")
    title = "average accuracy" if metric == AVERAGE else score
    drawing, note = _drawn(name, lambda: bytes_chart(list(lines.values()), flat, title, name))
    budgets = sorted({row.group.budget or 0.0 for row in remembering})
    held = {(row.name, row.group.budget): row for row in remembering}
    texts = []
    for memory, row in first.items():
        found = [held.get((memory, budget)) for budget in budgets]
        texts.append((row, [_score(one) for one in found]))
    texts += [(row, [_score(row)] * len(budgets)) for row in bounds]
    columns = [f"{budget:,.0f} bytes" for budget in budgets]
    alt = f"{title} over bytes of memory: {_ends(texts)}"
    return Chart("", alt, drawing, note, columns, texts)


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
