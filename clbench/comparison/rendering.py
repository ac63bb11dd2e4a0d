"""A comparison as a table for the terminal, Markdown, JSON and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clbench.comparison.compare import Comparison, Group, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

Column = tuple[str, Callable[[Group], str]]
NOTHING = "-"


def _percent(summary: Summary | None) -> str:
    if summary is None:
        return NOTHING
    spread = "" if summary.std is None else f" ± {100 * summary.std:.1f}"
    return f"{100 * summary.mean:.1f}{spread}"


def _interval(summary: Summary) -> str:
    if summary.low is None or summary.high is None:
        return NOTHING
    return f"{100 * summary.low:.1f} to {100 * summary.high:.1f}"


def _mean(summary: Summary | None) -> str:
    return NOTHING if summary is None else f"{summary.mean:,.0f}"


def _seconds(summary: Summary | None) -> str:
    return NOTHING if summary is None else f"{summary.mean:,.1f}"


def _difference(group: Group) -> str:
    if group.versus is None:
        return NOTHING
    summary = group.versus.difference
    if summary.low is None or summary.high is None:
        return f"{100 * summary.mean:+.1f}"
    return f"{100 * summary.mean:+.1f} ({100 * summary.low:+.1f} to {100 * summary.high:+.1f})"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _raw_p(group: Group) -> str:
    return NOTHING if group.versus is None else _p(group.versus.p)


def _holm_p(group: Group) -> str:
    return NOTHING if group.versus is None else _p(group.versus.p_holm)


def _baseline(group: Group) -> str:
    return NOTHING if group.versus is None else group.versus.baseline


def _num_pairs(group: Group) -> str:
    return NOTHING if group.versus is None else str(len(group.versus.seeds))


def _effect(group: Group) -> str:
    if group.versus is None or group.versus.effect_size is None:
        return NOTHING
    return f"{group.versus.effect_size:.1f}"


LABEL: Column = ("strategy", lambda g: g.label)
SCORES: list[Column] = [
    ("n", lambda g: str(len(g.seeds))),
    ("accuracy %", lambda g: _percent(g.average_accuracy)),
    ("95 % interval", lambda g: _interval(g.average_accuracy)),
    ("forgetting %", lambda g: _percent(g.forgetting)),
    ("bytes", lambda g: _mean(g.memory_bytes)),
    ("seconds", lambda g: _seconds(g.seconds)),
]
TESTS: list[Column] = [
    ("baseline", _baseline),
    ("pairs", _num_pairs),
    ("points over it", _difference),
    ("p", _raw_p),
    ("Holm", _holm_p),
    ("d", _effect),
]
TEXT_COLUMNS = ("strategy", "baseline")


def _legend(comparison: Comparison) -> str:
    text = "Average accuracy and forgetting after the last experience: mean ± standard deviation."
    if any(group.versus for group in comparison.groups):
        text += (
            " Differences are paired by seed, with a 95 % interval; p: exact sign-flip test, then "
            "after Holm's correction; d: their mean over their standard deviation."
        )
    return text


def render_table(comparison: Comparison, console: Console) -> None:
    """Print what makes rows incomparable (first, in red), scores, tests and notes."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    for warning in comparison.warnings:
        console.print(Text(f"NOT COMPARABLE: {warning}", style="bold red"))
    tested = [group for group in comparison.groups if group.versus is not None]
    # Two narrow tables, since one with all columns does not fit a terminal.
    for groups, columns in ((comparison.groups, SCORES), (tested, TESTS)):
        if not groups:
            continue
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for header, _ in (LABEL, *columns):
            text = header in TEXT_COLUMNS
            table.add_column(
                header, justify="left" if text else "right", overflow="fold", no_wrap=not text
            )
        for group in groups:
            table.add_row(*(Text(cell(group)) for _, cell in (LABEL, *columns)))
        console.print(table)
    console.print(Text(_legend(comparison), style="dim"))
    for note in comparison.notes:
        console.print(Text(f"Note: {note}.", style="yellow"))


def to_markdown(comparison: Comparison) -> str:
    """The same as Markdown, in one table; ends with a newline."""

    def row(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    tested = any(group.versus is not None for group in comparison.groups)
    columns = [LABEL, *SCORES, *(TESTS if tested else ())]
    lines = [f"**NOT COMPARABLE: {warning}**\n" for warning in comparison.warnings]
    lines.append(row([header for header, _ in columns]))
    lines.append(row([":---" if h in TEXT_COLUMNS else "---:" for h, _ in columns]))
    lines += [row([cell(group) for _, cell in columns]) for group in comparison.groups]
    lines += ["", _legend(comparison)]
    if comparison.notes:
        lines += ["", *(f"- {note}." for note in comparison.notes)]
    return "\n".join(lines) + "\n"


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Plain dictionary, ready for JSON: all numbers in 0..1, bytes, seconds; no reports."""
    groups = []
    for group in comparison.groups:
        # The reports lie beside; asdict would copy them.
        values = dataclasses.asdict(dataclasses.replace(group, reports=()))
        del values["reports"]
        groups.append(values)
    return {
        "groups": groups,
        "warnings": list(comparison.warnings),
        "notes": list(comparison.notes),
    }


def comparison_figures(comparison: Comparison) -> dict[str, Figure]:
    """Draw what `comparison_drawings` names."""
    return {stem: draw() for stem, draw in comparison_drawings(comparison).items()}


def comparison_drawings(comparison: Comparison) -> dict[str, Callable[[], Figure]]:
    """File stem -> draws the figure.

    ``forgetting_curves`` of all groups, and ``average_accuracy`` as bars.
    Of two classes there is ``accuracy_of_all`` too, the accuracy over all test images beside what
    always saying the larger class has; the average over experiences is no match for that number.
    """
    from clbench import figures

    reports = {g.label: g.reports for g in comparison.groups}
    drawn: dict[str, Callable[[], Figure]] = {
        "forgetting_curves": lambda: figures.comparison_curves_figure(
            {label: [r.accuracy_matrix for r in runs] for label, runs in reports.items()}
        ),
        "average_accuracy": lambda: figures.comparison_bars_figure(
            {g.label: g.average_accuracy.values for g in comparison.groups}
        ),
    }
    shares = {r.metrics.get("majority_share") for runs in reports.values() for r in runs}
    weighted = {
        label: [a for r in runs if (a := r.metrics.get("weighted_average_accuracy")) is not None]
        for label, runs in reports.items()
    }
    if len(shares) == 1 and None not in shares and all(weighted.values()):
        share = shares.pop()
        drawn["accuracy_of_all"] = lambda: figures.comparison_bars_figure(
            weighted,
            title="Accuracy over all test images after the stream",
            majority_share=share,
        )
    return drawn
