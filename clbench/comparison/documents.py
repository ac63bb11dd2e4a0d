"""A comparison as Markdown and as LaTeX, whatever its rows are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clbench.comparison.columns import (
    CONTEST_LEGEND,
    Shown,
    contest_columns,
    differences_to,
    legend,
    name_columns,
    number_columns,
)
from clbench.comparison.records import Comparison
from clbench.store.plain import readable


def to_markdown(comparison: Comparison) -> str:
    """Return the tables and notes as Markdown; ends with a newline."""
    lines = [f"**NOT COMPARABLE: {_in_markdown(w)}**\n" for w in comparison.warnings]
    for section in comparison.sections:
        if section.heading:
            lines += [f"### {_in_markdown(section.heading)}", ""]
        columns = [*name_columns(section), *number_columns(section, comparison.metric)]
        lines += [*_markdown_table(columns), ""]
        if differences_to(section):
            lines += [_in_markdown(differences_to(section)), ""]
    lines += [legend(comparison)]
    if comparison.contests:
        lines += ["", *_markdown_table(contest_columns(comparison)), "", CONTEST_LEGEND]
    told = [f"Cost: {worth.sentence}" for worth in comparison.costs] + list(comparison.notes)
    if told:
        lines += ["", *(f"- {_in_markdown(sentence)}." for sentence in told)]
    return "\n".join(lines) + "\n"


def _markdown_table(columns: Sequence[Shown]) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_in_markdown(cell).replace("|", "\\|") for cell in cells) + " |"

    rule = "| " + " | ".join(":---" if column.text else "---:" for column in columns) + " |"
    rows = zip(*(column.cells for column in columns), strict=True)
    return [row([column.heading for column in columns]), rule, *map(row, rows)]


def _in_markdown(text: str) -> str:
    """The text as it is: no HTML, no link, no picture, no new line."""
    text = " ".join(readable(text).split())
    unwanted = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "](": "]\\(", "]:": "]\\:"}
    for sign, instead in unwanted.items():
        text = text.replace(sign, instead)
    return text


def to_latex(comparison: Comparison) -> str:
    r"""Return tables for ``\input``, one a section and one over budgets; ends with a newline.

    They need the packages booktabs and adjustbox, which shrinks a table that is wider than the
    text. Columns that matter less are in CSV and Markdown only. Legend and notes are comments.
    """
    lines = [r"% \usepackage{booktabs,adjustbox}"]
    lines += [f"% NOT COMPARABLE: {_comment(warning)}" for warning in comparison.warnings]
    for number, section in enumerate(comparison.sections, 1):
        numbers = number_columns(section, comparison.metric)
        columns = [*name_columns(section), *(c for c in numbers if c.rank in _PRINTED)]
        heading = f"{section.heading}." if section.heading else ""
        told = " ".join(filter(None, [heading, differences_to(section)]))
        lines += _table(columns, told or "Runs.", str(number))
    lines.append(f"% {_comment(legend(comparison))}")
    if comparison.contests:
        lines += _table(contest_columns(comparison), CONTEST_LEGEND, "bytes")
    lines += [f"% Cost: {_comment(worth.sentence)}." for worth in comparison.costs]
    lines += [f"% Note: {_comment(note)}." for note in comparison.notes]
    return "\n".join(lines) + "\n"


def _table(columns: Sequence[Shown], caption: str, label: str) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{in_latex(caption)}}}",
        rf"\label{{tab:clbench-{label}}}",
        r"\begin{adjustbox}{max width=\textwidth}",
        *_tabular(columns),
        r"\end{adjustbox}",
        r"\end{table}",
    ]


def _comment(text: str) -> str:
    return " ".join(readable(text).split())


def _tabular(columns: Sequence[Shown]) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return " & ".join(map(in_latex, cells)) + r" \\"

    rows = zip(*(column.cells for column in columns), strict=True)
    return [
        rf"\begin{{tabular}}{{{''.join('l' if column.text else 'r' for column in columns)}}}",
        r"\toprule",
        row([column.heading for column in columns]),
        r"\midrule",
        *map(row, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]


# Ranks of the columns that a page can show: score and interval, n, forgetting, difference and its
# interval, p, Holm, and the baseline where rows have different ones.
_PRINTED = {0, 1, 2, 3, 4, 5, 6, 9, 14}
# Brackets and stars are arguments of the \\ that ends the row before; two hyphens are a dash.
_IN_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\char96{}",
    **{sign: f"{{{sign}}}" for sign in "[]*'-"},
    "±": r"$\pm$",
}
_NUMBER = re.compile(r"[-+<]? ?[\d.,]+(e\d+)?( (±|to) [-+]?[\d.,]+)?")


def in_latex(text: str) -> str:
    """Return LaTeX that shows the text as it is, on one line.

    A letter that the fonts of pdflatex lack is shown by its number, as U+4E2D.
    """
    text = " ".join(readable(text).split())
    number = _NUMBER.fullmatch(text) is not None
    signs = {**_IN_LATEX, "-": "$-$"} if number else _IN_LATEX
    return "".join(signs.get(c, c if ord(c) < 0x180 else f"U+{ord(c):04X}") for c in text)
