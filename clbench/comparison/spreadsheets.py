"""A comparison as CSV: one row for each group, and one for each run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clbench.comparison.readings import compute_flops, compute_seconds, final_memory_bytes
from clbench.comparison.records import Comparison, Group, Section, Summary
from clbench.store.plain import readable

_SUMMARIES = (
    "score",
    "average_accuracy",
    "learning_accuracy",
    "forgetting",
    "memory_bytes",
    "compute_seconds",
    "compute_flops",
)
# A cell that begins so is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(comparison: Comparison) -> str:
    """Return one line for each row of each section, under a line of names; ends with a newline.

    Shares are in 0..1, and differences of them; bytes, seconds and floating-point operations are
    counts. Cells without a value are empty. A bound has a line in every section it stands in.
    """
    rows = [
        {"section": section.heading, "metric": comparison.metric, **_row(section, group, name)}
        for section in comparison.sections
        for group, name in zip(section.groups, section.names(), strict=True)
    ]
    return _csv(rows)


def _row(section: Section, group: Group, name: str) -> dict[str, Any]:
    versus = group.versus
    row: dict[str, Any] = {
        "row": name,
        "label": group.label,
        "strategy": group.strategy,
        "n": len(group.seeds),
        "seeds": " ".join(map(str, group.seeds)),
    }
    for quantity in _SUMMARIES:
        row |= _summary(quantity, getattr(group, quantity))
    return {
        **row,
        "baseline": versus and versus.baseline,
        "pairs": versus and len(versus.seeds),
        **_summary("difference", None if versus is None else versus.difference),
        "p": versus and versus.p,
        "p_holm": versus and versus.p_holm,
        "effect_size": versus and versus.effect_size,
    }


def _summary(name: str, summary: Summary | None) -> dict[str, float | None]:
    parts = ("mean", "std", "low", "high")
    return {f"{name}_{part}": getattr(summary, part, None) for part in parts}


def to_runs_csv(comparison: Comparison) -> str:
    """Return one line for each run, under a line of names; ends with a newline.

    Columns: the group's label, strategy, benchmark, seed, every metric that a report holds, bytes
    of the last memory, seconds of each phase, and operations of each phase.
    """
    return _csv([_run(group, i) for group in comparison.groups for i in range(len(group.seeds))])


def _run(group: Group, position: int) -> dict[str, Any]:
    report = group.reports[position]
    seconds = report.measured.get("seconds") or {}
    return {
        "label": group.label,
        "strategy": group.strategy,
        "benchmark": (report.config.get("benchmark") or {}).get("name"),
        "seed": group.seeds[position],
        "score": group.score.values[position],
        **report.metrics,
        "memory_bytes": final_memory_bytes(report),
        **{f"{name}_seconds": value for name, value in seconds.items()},
        "compute_seconds": compute_seconds(report),
        **{f"{name}_flops": value for name, value in report.flops.items()},
        "compute_flops": compute_flops(report),
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_plain, names))
    writer.writerows(_cells(row.get(name) for name in names) for row in rows)
    return text.getvalue()


def _cells(values: Iterable[Any]) -> list[Any]:
    return [_plain(value) if isinstance(value, str) else value for value in values]


def _plain(text: str) -> str:
    """The text on one line; an apostrophe keeps a spreadsheet from computing it."""
    text = " ".join(readable(text).split())
    return f"'{text}" if text.startswith(_FORMULA) else text
