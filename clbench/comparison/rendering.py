"""A comparison as a table for the terminal, Markdown, JSON and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clbench.comparison.records import Comparison, Contest, Group, Summary, Versus
from clbench.measuring.scores import AVERAGE, SCORES
from clbench.store.plain import readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.table import Table

    from clbench.figures import Panel

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


def _difference(versus: Versus | None) -> str:
    if versus is None:
        return NOTHING
    summary = versus.difference
    if summary.low is None or summary.high is None:
        return f"{100 * summary.mean:+.1f}"
    return f"{100 * summary.mean:+.1f} ({100 * summary.low:+.1f} to {100 * summary.high:+.1f})"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _raw_p(versus: Versus | None) -> str:
    return NOTHING if versus is None else _p(versus.p)


def _holm_p(versus: Versus | None) -> str:
    return NOTHING if versus is None else _p(versus.p_holm)


def _baseline(group: Group) -> str:
    return NOTHING if group.versus is None else group.versus.baseline


def _num_pairs(group: Group) -> str:
    return NOTHING if group.versus is None else str(len(group.versus.seeds))


def _effect(group: Group) -> str:
    if group.versus is None or group.versus.effect_size is None:
        return NOTHING
    return f"{group.versus.effect_size:.1f}"


LABEL: Column = ("strategy", lambda g: g.label)


def _columns(comparison: Comparison) -> list[Column]:
    """What every group has."""
    return [
        ("n", lambda g: str(len(g.seeds))),
        (SCORES[comparison.metric], lambda g: _percent(g.score)),
        ("95 % interval", lambda g: _interval(g.score)),
        ("forgetting %", lambda g: _percent(g.forgetting)),
        ("bytes", lambda g: _mean(g.memory_bytes)),
        ("seconds", lambda g: _seconds(g.seconds)),
    ]


TESTS: list[Column] = [
    ("baseline", _baseline),
    ("pairs", _num_pairs),
    ("points over it", lambda g: _difference(g.versus)),
    ("p", lambda g: _raw_p(g.versus)),
    ("Holm", lambda g: _holm_p(g.versus)),
    ("d", _effect),
]
TEXT_COLUMNS = ("strategy", "baseline", "stream", "distilled", "real", "ahead")


def _contest_rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table over budgets."""
    groups = {group.label: group for group in comparison.groups}
    several = any(contest.condition for contest in comparison.contests)

    def best(label: str | None) -> list[str]:
        if label is None:
            return [NOTHING, NOTHING]
        return [groups[label].memory, _percent(groups[label].score)]

    def row(contest: Contest) -> list[str]:
        winner = contest.winner
        return [
            *([contest.condition] if several else []),
            f"{contest.num_bytes:,.0f}",
            *best(contest.distilled),
            *best(contest.real),
            _difference(contest.versus),
            _raw_p(contest.versus),
            _holm_p(contest.versus),
            NOTHING if winner is None else "distilled" if winner == contest.distilled else "real",
        ]

    headers = ["bytes", "distilled", "%", "real", "%", "points", "p", "Holm", "ahead"]
    rows = [row(contest) for contest in comparison.contests]
    return [*(["stream"] if several else []), *headers], rows


CONTEST_LEGEND = (
    "At each budget the best distilled memory against the best real one, both chosen by the means "
    "above; points: distilled minus real, paired by seed, with a 95 % interval."
)


def _legend(comparison: Comparison) -> str:
    name = _title(comparison)
    text = f"{name[0].upper()}{name[1:]} and forgetting after the last experience: mean ± standard "
    text += "deviation."
    if any(group.versus for group in comparison.groups):
        text += (
            " Differences are paired by seed, with a 95 % interval; p: exact sign-flip test, then "
            "after Holm's correction; d: their mean over their standard deviation."
        )
    return text


def render_table(comparison: Comparison, console: Console) -> None:
    """Print what makes rows incomparable (first, in red), scores, tests and notes."""
    from rich.text import Text

    for warning in comparison.warnings:
        console.print(Text(readable(f"NOT COMPARABLE: {warning}"), style="bold red"))
    tested = [group for group in comparison.groups if group.versus is not None]
    # Two narrow tables, since one with all columns does not fit a terminal.
    for groups, columns in ((comparison.groups, _columns(comparison)), (tested, TESTS)):
        if groups:
            headers = [header for header, _ in (LABEL, *columns)]
            rows = [[cell(group) for _, cell in (LABEL, *columns)] for group in groups]
            console.print(_table(headers, rows))
    console.print(Text(_legend(comparison), style="dim"))
    if comparison.contests:
        console.print(_table(*_contest_rows(comparison)))
        console.print(Text(CONTEST_LEGEND, style="dim"))
    for note in comparison.notes:
        console.print(Text(readable(f"Note: {note}."), style="yellow"))


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for header in headers:
        text = header in TEXT_COLUMNS
        table.add_column(
            header, justify="left" if text else "right", overflow="fold", no_wrap=not text
        )
    for row in rows:
        table.add_row(*(Text(readable(cell)) for cell in row))
    return table


def to_markdown(comparison: Comparison) -> str:
    """The same as Markdown; ends with a newline."""

    def row(cells: list[str]) -> str:
        return "| " + " | ".join(_in_markdown(cell).replace("|", "\\|") for cell in cells) + " |"

    tested = any(group.versus is not None for group in comparison.groups)
    columns = [LABEL, *_columns(comparison), *(TESTS if tested else ())]
    lines = [f"**NOT COMPARABLE: {_in_markdown(w)}**\n" for w in comparison.warnings]

    def table(headers: list[str], rows: list[list[str]]) -> list[str]:
        rule = [":---" if header in TEXT_COLUMNS else "---:" for header in headers]
        return [row(cells) for cells in (headers, rule, *rows)]

    every = [[cell(group) for _, cell in columns] for group in comparison.groups]
    lines += [*table([header for header, _ in columns], every), "", _legend(comparison)]
    if comparison.contests:
        lines += ["", *table(*_contest_rows(comparison)), "", CONTEST_LEGEND]
    if comparison.notes:
        lines += ["", *(f"- {_in_markdown(note)}." for note in comparison.notes)]
    return "\n".join(lines) + "\n"


def _in_markdown(text: str) -> str:
    """The text as it is: no HTML, no link, no picture, no new line."""
    text = " ".join(readable(text).split())
    unwanted = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "](": "]\\(", "]:": "]\\:"}
    for sign, instead in unwanted.items():
        text = text.replace(sign, instead)
    return text


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
        "contests": [
            {**dataclasses.asdict(contest), "winner": contest.winner}
            for contest in comparison.contests
        ],
        "metric": comparison.metric,
        "warnings": list(comparison.warnings),
        "notes": list(comparison.notes),
    }


def _title(comparison: Comparison) -> str:
    """The metric in words."""
    if comparison.metric == AVERAGE:
        return "average accuracy"
    return SCORES[comparison.metric].removesuffix(" %")


def comparison_figures(comparison: Comparison) -> dict[str, Figure]:
    """Draw what `comparison_drawings` names."""
    return {stem: draw() for stem, draw in comparison_drawings(comparison).items()}


def comparison_drawings(comparison: Comparison) -> dict[str, Callable[[], Figure]]:
    """File stem -> draws the figure.

    ``forgetting_curves`` of all groups, and the metric of the comparison as bars, by its name.
    Where there are several budgets of bytes, ``accuracy_over_bytes`` too.
    Of two classes there is ``accuracy_of_all`` too, the accuracy over all test images beside what
    always saying the larger class has; the average over experiences is no match for that number.
    """
    from clbench import figures

    reports = {g.label: g.reports for g in comparison.groups}
    name = _title(comparison)
    drawn: dict[str, Callable[[], Figure]] = {
        "forgetting_curves": lambda: figures.comparison_curves_figure(
            {label: [r.accuracy_matrix for r in runs] for label, runs in reports.items()}
        ),
        comparison.metric: lambda: figures.comparison_bars_figure(
            {g.label: g.score.values for g in comparison.groups},
            title=f"{name[0].upper()}{name[1:]} after the stream",
        ),
    }
    if comparison.contests:
        drawn["accuracy_over_bytes"] = lambda: figures.accuracy_over_bytes_figure(
            _panels(comparison.groups), metric=name
        )
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


def _panels(groups: Sequence[Group]) -> dict[str, Panel]:
    """One panel for each stream and learner: its curves over bytes, and its bounds."""
    from clbench.figures import Panel

    panels: dict[str, Panel] = {}
    for group in groups:
        panel = panels.setdefault(group.condition, Panel({}, {}))
        if group.memory_bytes is None:
            panel.bounds[group.memory] = group.score.values
        else:
            points = panel.curves.setdefault(group.memory, {})
            points[group.memory_bytes.mean] = group.score.values
    return panels
