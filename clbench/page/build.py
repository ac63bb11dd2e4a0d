"""The page: its sections, and the template that they fill."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.colors import to_hex

from clbench.comparison import Comparison, Group, Runs
from clbench.measuring.format import per_cent, points
from clbench.measuring.scores import SCORES
from clbench.page import words
from clbench.page.answers import LEVEL, Answer, answers, is_bound
from clbench.page.pictures import Chart, curves, over_bytes, over_compute
from clbench.page.rows import NO_COMMAND, PHASES, Row, make_rows
from clbench.page.svg import SERIES
from clbench.store.plain import readable

_STEPS = 21  # colours of a heat map
# The same hues, light enough for a dark page.
_DARK = (
    "#4aa3e0", "#ff8a3d", "#2fc79a", "#e49ac4", "#f2b63c", "#8accf2", "#f0f0f0", "#b48be0",
    "#c9a07a", "#b5bd3a",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Rows that are tested together.

    Attributes:
        heading: what tells it apart from others of its stream and learner; "" where there is one.
        rows: (name in this table, row, the group with its test here).
    """

    heading: str
    rows: list[tuple[str, Row, Group]]


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
        over_compute: None where the reports do not hold what was taken.
        worths: whether distilling pays, a sentence for each budget.
        tables: the rows as they are tested, see `clbench.comparison.Section`.
        most_seconds: of all rows, what a full bar is.
    """

    number: int
    heading: str
    rows: list[Row]
    answers: list[Answer]
    curves: list[Chart]
    over_bytes: Chart | None
    over_compute: Chart | None
    worths: list[str]
    tables: list[Table]
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
    sections = [_section(i, name, rows, found, comparison) for i, name in enumerate(names, 1)]
    style, script = (_text(f"page.{kind}") for kind in ("css", "js"))
    return _template().render(
        comparison=comparison,
        sections=sections,
        rows=rows,
        by_label={row.group.label: row for row in rows},
        answers=found,
        num_tests=sum(answer.versus is not None for answer in found),
        verdicts={v: sum(a.verdict == v for a in found) for v in ("yes", "no", "open", "unknown")},
        holding=sum(a.holds for a in found),
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
    number: int, name: str, rows: Sequence[Row], found: Sequence[Answer], comparison: Comparison
) -> Section:
    mine = [row for row in rows if row.group.condition == name]
    bounds = [row for row in mine if is_bound(row.group)]
    remembering = [row for row in mine if not is_bound(row.group)]
    budgets = dict.fromkeys(row.group.budget for row in remembering) or {None: None}
    charts = []
    for i, budget in enumerate(budgets, 1):
        rivals = [row for row in remembering if row.group.budget == budget]
        charts.append(curves(f"curve-{number}-{i}", budget, rivals, bounds))
    over, metric = None, comparison.metric
    if len(budgets) > 1:
        over = over_bytes(f"bytes-{number}", remembering, bounds, metric)
    compute = over_compute(f"compute-{number}", remembering, bounds, metric)
    worths = [w.sentence.removeprefix(f"{name}, ") for w in comparison.costs if w.condition == name]
    totals = [sum(row.seconds.values()) for row in mine]
    own = [answer for answer in found if answer.condition == name]
    tables = _tables(name, mine, comparison)
    return Section(
        number, name, mine, own, charts, over, compute, worths, tables, max([*totals, 1e-9])
    )


def _tables(name: str, rows: Sequence[Row], comparison: Comparison) -> list[Table]:
    by_label = {row.group.label: row for row in rows}
    return [
        Table(
            section.heading.removeprefix(name).removeprefix(", "),
            [
                (told, by_label[group.label], group)
                for told, group in zip(section.names(), section.groups, strict=True)
            ],
        )
        for section in comparison.sections
        if section.groups[0].condition == name
    ]
