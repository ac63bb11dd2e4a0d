"""A comparison in a terminal of any width: columns give way, names of rows never do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from clbench.comparison.columns import (
    CONTEST_LEGEND,
    NAME,
    STRATEGY,
    Shown,
    contest_columns,
    differences_to,
    legend,
    name_columns,
    number_columns,
)
from clbench.comparison.records import Comparison, Section
from clbench.store.plain import readable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NEEDED = 4
"""Columns up to this rank are worth that settings leave their own columns."""


def render_table(comparison: Comparison, console: Console) -> None:
    """Print what makes rows incomparable (first, in red), sections, costs and notes.

    A section is one table where the console is wide enough, else one of scores and one of tests.
    What does not fit is left out, the least important first, and named below. Settings that tell
    rows apart have columns of their own, are part of the rows' names, or stand in a list below the
    table, whichever fits first.
    """
    from rich.text import Text

    def say(text: str, style: str) -> None:
        console.print(Text(readable(text), style=style))

    for warning in comparison.warnings:
        say(f"NOT COMPARABLE: {warning}", "bold red")
    for section in comparison.sections:
        if section.heading:
            say(section.heading, "bold")
        tables, below = section_tables(section, comparison.metric, console.width)
        for table in tables:
            console.print(_table(table))
        for line in filter(None, [differences_to(section), *below]):
            say(line, "dim")
    say(legend(comparison), "dim")
    if comparison.contests:
        kept, left_out = _fitting(contest_columns(comparison), console.width)
        console.print(_table(kept))
        for line in (CONTEST_LEGEND, *_left_out(left_out)):
            say(line, "dim")
    for worth in comparison.costs:
        say(f"Cost: {worth.sentence}.", "none")
    for note in comparison.notes:
        say(f"Note: {note}.", "yellow")


def section_tables(
    section: Section, metric: str, width: int
) -> tuple[list[list[Shown]], list[str]]:
    """Return the tables of a section that fit so many columns of text, and lines below them."""
    numbers = number_columns(section, metric)
    ways = _ways_to_name(section)
    for names, listed in ways[:2]:
        if _width([*names, *numbers]) <= width:
            return [[*names, *numbers]], listed
    halves = [[column for column in numbers if column.tests is tests] for tests in (False, True)]
    halves = [half for half in halves if half]
    least = [[column for column in half if column.rank <= _NEEDED] for half in halves]
    names, listed = next(
        (way for way in ways if all(_width([*way[0], *half]) <= width for half in least)), ways[-1]
    )
    fitted = [_fitting([*names, *half], width) for half in halves]
    # A row without a test has nothing to say in the table of tests.
    tables = [_without_empty_rows(kept) for kept, _ in fitted if kept[len(names) :]]
    left_out = [heading for _, headings in fitted for heading in headings]
    return tables, [*listed, *_left_out(left_out)]


def _ways_to_name(section: Section) -> list[tuple[list[Shown], list[str]]]:
    """Ways to name the rows, the widest first, with what is to be listed below."""
    strategies = [group.strategy for group in section.groups]
    numbered, listed = [], []
    for number, (strategy, name) in enumerate(zip(strategies, section.names(), strict=True), 1):
        several = strategies.count(strategy) > 1
        numbered.append(f"{strategy} ({number})" if several else strategy)
        if several:
            listed.append(f"({number}) {name}")
    whole, short = (
        [Shown(STRATEGY, tuple(names), NAME, text=True)] for names in (section.names(), numbered)
    )
    return [(name_columns(section), []), (whole, []), (short, listed)]


def _without_empty_rows(columns: list[Shown]) -> list[Shown]:
    if not all(column.tests for column in columns if column.rank != NAME):
        return columns
    tested = [column for column in columns if column.tests]
    rows = [i for i in range(len(columns[0].cells)) if any(c.cells[i] != "-" for c in tested)]
    return [replace(c, cells=tuple(c.cells[i] for i in rows)) for c in columns]


def _left_out(headings: Sequence[str]) -> list[str]:
    return [f"Left out for want of width: {', '.join(headings)}."] if headings else []


def _fitting(columns: Sequence[Shown], width: int) -> tuple[list[Shown], list[str]]:
    """The columns that fit, and the headings of those that do not, the most important first."""
    kept: list[Shown] = list(columns)
    left_out: list[str] = []
    while _width(kept) > width:
        least = max(kept, key=lambda column: column.rank)
        # The most important number stays: a name that is too long for both is folded.
        if least.rank == NAME or sum(column.rank != NAME for column in kept) == 1:
            break
        kept.remove(least)
        left_out.insert(0, least.heading)
    return kept, left_out


def _width(columns: Sequence[Shown]) -> int:
    """Columns of text that a table takes: two between columns, one at each edge."""
    from rich.cells import cell_len

    texts = ((readable(text) for text in (c.heading, *c.cells)) for c in columns)
    return sum(max(map(cell_len, found)) for found in texts) + 2 * len(columns)


def _table(columns: Sequence[Shown]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            Text(readable(column.heading)),
            justify="left" if column.text else "right",
            overflow="fold",
            no_wrap=not column.text,
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text(readable(cell)) for cell in cells))
    return table
