"""The columns of a comparison's tables: what each says of a row, and how much it matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clbench.comparison.records import Comparison, Group, Section, Summary, Versus
from clbench.measuring.scores import AVERAGE, SCORES

NOTHING = "-"
NAME = -1  # the rank of what names a row
STRATEGY = "strategy"


@dataclass(frozen=True)
class Shown:
    """A column of a table.

    Attributes:
        heading: at its top.
        cells: one text for each row.
        rank: 0 matters most; the columns of the highest ranks are left out first where there is
            no room; `NAME` is never left out.
        text: whether it is text, not numbers.
        tests: whether it is about a row's difference to its baseline.
    """

    heading: str
    cells: tuple[str, ...]
    rank: int
    text: bool = False
    tests: bool = False


_Column = tuple[str, int, Callable[[Group], str]]


def title(comparison: Comparison) -> str:
    """Return the metric in words."""
    if comparison.metric == AVERAGE:
        return "average accuracy"
    return SCORES[comparison.metric].removesuffix(" %")


def name_columns(section: Section) -> list[Shown]:
    """Return the strategy, and a column for each setting that differs in the section."""
    names = dict.fromkeys(name for found in section.settings for name in found)
    cells = tuple(group.strategy for group in section.groups)
    return [
        Shown(STRATEGY, cells, NAME, text=True),
        *(
            Shown(name, tuple(s.get(name, NOTHING) for s in section.settings), NAME, text=True)
            for name in names
        ),
    ]


def number_columns(section: Section, metric: str) -> list[Shown]:
    """Return the columns of scores and tests; one that says nothing of any row is left out."""
    tested = [group for group in section.groups if group.versus is not None]
    baselines = {group.versus.baseline for group in tested if group.versus}
    found = [
        *(_shown(column, section.groups) for column in _scores(metric)),
        *([_baselines(section)] if len(baselines) > 1 else []),
        *(_shown(column, section.groups, tests=True) for column in _TESTS),
    ]
    return [column for column in found if set(column.cells) != {NOTHING}]


def _shown(column: _Column, groups: Sequence[Group], *, tests: bool = False) -> Shown:
    heading, rank, cell = column
    return Shown(heading, tuple(cell(group) for group in groups), rank, tests=tests)


def _baselines(section: Section) -> Shown:
    names = _names(section)
    cells = (NOTHING if g.versus is None else names[g.versus.baseline] for g in section.groups)
    return Shown("baseline", tuple(cells), 14, text=True, tests=True)


def _names(section: Section) -> dict[str, str]:
    """Label -> name of the row."""
    return {g.label: name for g, name in zip(section.groups, section.names(), strict=True)}


def _scores(metric: str) -> list[_Column]:
    columns: list[_Column] = [
        ("n", 3, lambda g: str(len(g.seeds))),
        (SCORES[metric], 0, lambda g: percent(g.score)),
        ("95 % interval", 4, lambda g: _interval(g.score)),
        ("forgetting %", 9, lambda g: percent(g.forgetting)),
        ("learning %", 12, lambda g: percent(g.learning_accuracy)),
        (
            "bytes",
            8,
            lambda g: NOTHING if g.memory_bytes is None else f"{g.memory_bytes.mean:,.0f}",
        ),
        ("seconds", 10, lambda g: _seconds(g.compute_seconds)),
        ("FLOPs", 11, lambda g: _flops(g.compute_flops)),
    ]
    return [c for c in columns if c[0] != "learning %" or metric != "learning_accuracy"]


_TESTS: list[_Column] = [
    ("pairs", 13, lambda g: NOTHING if g.versus is None else str(len(g.versus.seeds))),
    ("difference", 1, lambda g: points(g.versus)),
    ("its 95 % interval", 6, lambda g: points_interval(g.versus)),
    ("p", 5, lambda g: NOTHING if g.versus is None else p_value(g.versus.p)),
    ("Holm", 2, lambda g: NOTHING if g.versus is None else p_value(g.versus.p_holm)),
    ("d", 7, lambda g: _effect(g.versus)),
]


def contest_columns(comparison: Comparison) -> list[Shown]:
    """Return the table over budgets."""
    contests = comparison.contests
    groups = {group.label: group for group in comparison.groups}

    def memory(label: str | None) -> str:
        return NOTHING if label is None else groups[label].memory

    def score(label: str | None) -> str:
        return NOTHING if label is None else percent(groups[label].score)

    def ahead(winner: str | None, distilled: str | None) -> str:
        return NOTHING if winner is None else "distilled" if winner == distilled else "real"

    columns = [
        ("stream", NAME, [c.condition for c in contests]),
        ("bytes", NAME, [f"{c.num_bytes:,.0f}" for c in contests]),
        ("distilled", 2, [memory(c.distilled) for c in contests]),
        ("%", 6, [score(c.distilled) for c in contests]),
        ("real", 3, [memory(c.real) for c in contests]),
        ("%", 7, [score(c.real) for c in contests]),
        ("difference", 1, [points(c.versus) for c in contests]),
        ("its 95 % interval", 8, [points_interval(c.versus) for c in contests]),
        ("p", 5, [NOTHING if c.versus is None else p_value(c.versus.p) for c in contests]),
        ("Holm", 4, [NOTHING if c.versus is None else p_value(c.versus.p_holm) for c in contests]),
        ("ahead", 0, [ahead(c.winner, c.distilled) for c in contests]),
    ]
    texts = ("stream", "distilled", "real", "ahead")
    return [
        Shown(heading, tuple(cells), rank, text=heading in texts)
        for heading, rank, cells in columns
        if heading != "stream" or any(cells)
    ]


def legend(comparison: Comparison) -> str:
    """Return what the columns of scores and tests are."""
    name = title(comparison)
    found = [
        f"{name[0].upper()}{name[1:]} and forgetting after the last experience, learning: accuracy "
        "just after each was learnt; mean ± standard deviation.",
        "Seconds and FLOPs of training and distilling.",
    ]
    if any(group.versus for section in comparison.sections for group in section.groups):
        found.append(
            "Differences are paired by seed; p: exact sign-flip test, then after Holm's correction"
            + (" within a table" if len(comparison.sections) > 1 else "")
            + "; d: their mean over their standard deviation (Cohen)."
        )
    return " ".join(found)


CONTEST_LEGEND = (
    "At each budget the best distilled memory against the best real one, both chosen by the means "
    "above; difference: distilled minus real, in points, paired by seed."
)


def differences_to(section: Section) -> str:
    """Return a sentence on the baseline that all tested rows share; "" where they do not."""
    found = {group.versus.baseline for group in section.groups if group.versus}
    return f"Differences to {_names(section)[found.pop()]}, in points." if len(found) == 1 else ""


def percent(summary: Summary | None) -> str:
    """Return ``mean ± standard deviation`` of shares, in per cent."""
    if summary is None:
        return NOTHING
    spread = "" if summary.std is None else f" ± {100 * summary.std:.1f}"
    return f"{100 * summary.mean:.1f}{spread}"


def _interval(summary: Summary) -> str:
    if summary.low is None or summary.high is None:
        return NOTHING
    return f"{100 * summary.low:.1f} to {100 * summary.high:.1f}"


def _bytes(summary: Summary | None) -> str:
    return NOTHING if summary is None else f"{summary.mean:,.0f}"


def _seconds(summary: Summary | None) -> str:
    return NOTHING if summary is None else f"{summary.mean:,.1f}"


def _flops(summary: Summary | None) -> str:
    """Return two digits and a power of ten, as 1.1e12."""
    if summary is None:
        return NOTHING
    digits, _, power = f"{summary.mean:.1e}".partition("e")
    return f"{digits}e{int(power)}"


def points(versus: Versus | None) -> str:
    """Return the mean difference in points, signed."""
    return NOTHING if versus is None else f"{100 * versus.difference.mean:+.1f}"


def points_interval(versus: Versus | None) -> str:
    """Return the 95 % interval of the mean difference in points."""
    if versus is None or versus.difference.low is None or versus.difference.high is None:
        return NOTHING
    return f"{100 * versus.difference.low:+.1f} to {100 * versus.difference.high:+.1f}"


def p_value(p: float) -> str:
    """Return three decimals; a p below them is never printed as zero."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _effect(versus: Versus | None) -> str:
    if versus is None or versus.effect_size is None:
        return NOTHING
    return f"{versus.effect_size:.1f}"
