"""The table that a run ends with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from clbench.cli.display import console, print_table, table
from clbench.measuring import metrics
from clbench.measuring.format import count, per_cent, points, seconds

if TYPE_CHECKING:
    from rich.table import Table

    from clbench.report import RunReport

MOST_WITH_DIFFERENCES = 3  # more strategies side by side leave no room; compare shows all
MOST_NAMED = 12  # classes of an experience
MOST_RECALLS = 20  # rows
PHASES = ("train", "distil", "evaluate", "total")


def print_reports(reports: Sequence[RunReport]) -> None:
    """Accuracy and forgetting per experience, then the summary and the cost; notes below."""
    out, first = console(), reports[0]
    names = [str(report.config["strategy"]) for report in reports]
    benchmark, seed = first.config["benchmark"]["name"], first.config["seed"]
    # What the data are, where the name of the stream would say too much.
    data = f" ({first.data['title']})" if "title" in first.data else ""
    title = f"{benchmark}{data}, seed {seed}: after the last experience"
    print_table(title, _experiences(reports, names))
    out.print(_summary(reports, names))
    recalls = _recalls(reports, names)
    if recalls is not None:
        print_table("recall of each class, %", recalls)
    for report, name in zip(reports, names, strict=True):
        _diverged(report, name)
        cached = report.measured.get("from_cache")
        if cached:
            sets = "1 distilled set" if cached == 1 else f"{cached} distilled sets"
            text = f"{sets} taken from the cache; the seconds are those it took to distil"
            out.print(f"Note ({name}): {text}")
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        told = [n for n, report in zip(names, reports, strict=True) if note in report.notes]
        whose = "" if len(told) == len(names) > 1 else f" ({', '.join(told)})"
        out.print(f"Note{whose}: {note}")


def _diverged(report: RunReport, name: str) -> None:
    for found in report.evaluations.values():
        for line in found.get("diverged_networks", []) if isinstance(found, dict) else ():
            text = f"Note ({name}): diverged: {line}; lower --set-learning-rate"
            console().print(text)


def _experiences(reports: Sequence[RunReport], names: Sequence[str]) -> Table:
    columns = ["experience", "classes"]
    for name in names:
        columns += [f"{name}\naccuracy %", "\nforgetting"]
    made = table(columns, left=2)
    forgotten = [metrics.forgetting_per_experience(r.accuracy_matrix) for r in reports]
    for j, group in enumerate(reports[0].class_groups):
        cells = []
        for report, lost in zip(reports, forgotten, strict=True):
            cells.append(per_cent(report.accuracy_matrix[-1][j]))
            cells.append(points(lost[j]) if j < len(lost) else "-")
        made.add_row(str(j + 1), _classes(reports[0], group), *cells)
    return made


def _names(report: RunReport) -> list[str]:
    """Names of the classes; empty where they are the numbers themselves, or unknown."""
    found = report.data.get("class_names")
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        return []
    return [] if found == [str(c) for c in range(len(found))] else found


def _classes(report: RunReport, group: Sequence[int]) -> str:
    """The classes of an experience, by name where they have names; the first of many."""
    names = _names(report)
    if not names or max(group, default=0) >= len(names):
        shown, between = [str(c) for c in group], " "
    else:
        shown, between = [names[c] for c in group], ", "
    more = f" and {len(shown) - MOST_NAMED:,} more" if len(shown) > MOST_NAMED else ""
    return between.join(shown[:MOST_NAMED]) + more


def _recalls(reports: Sequence[RunReport], names: Sequence[str]) -> Table | None:
    """Rows of the classes, the first report's worst first; None where all have equal tests."""
    first = reports[0]
    known = all(len(report.recall) == len(first.recall) > 2 for report in reports)
    if not known or "majority_share" not in first.metrics:
        return None
    classes = [c for c, value in enumerate(first.recall) if value is not None]
    classes.sort(key=lambda c: (first.recall[c] or 0.0, c))
    titles = _names(first)
    made = table(["class", *names])
    for c in classes[:MOST_RECALLS]:
        cells = [report.recall[c] for report in reports]
        title = titles[c] if c < len(titles) else str(c)
        made.add_row(title, *("-" if v is None else per_cent(v) for v in cells))
    if len(classes) > MOST_RECALLS:
        made.add_row(f"and {len(classes) - MOST_RECALLS:,} more", *("" for _ in names))
    return made


def _summary(reports: Sequence[RunReport], names: Sequence[str]) -> Table:
    difference = 1 < len(reports) <= MOST_WITH_DIFFERENCES
    columns = ["", *names]
    if difference:
        columns += [f"{names[0]} - {name}" for name in names[1:]]
    made = table(columns)
    held = {name for report in reports for name in report.metrics}
    first = _first_rows(held)
    for title, read, show, compared in (*first, *ROWS):
        values = [read(report) for report in reports]
        cells = ["-" if value is None else show(value) for value in values]
        for other in values[1:] if difference else ():
            known = compared is not None and values[0] is not None and other is not None
            cells.append(compared(values[0] - other) if known else "")  # type: ignore[misc,operator]
        made.add_row(title, *cells)
    return made


def _first_rows(held: set[str]) -> tuple[Row, ...]:
    """What classes of unequal numbers of test images need before all else."""
    if "sensitivity" in held:
        return TWO_CLASSES
    if "majority_share" in held:
        return UNEQUAL
    return (_BALANCED,) if "balanced_accuracy" in held else ()


Read = Callable[["RunReport"], "float | None"]
Show = Callable[[float], str]


def _metric(name: str) -> Read:
    return lambda report: report.metrics.get(name)


def _phase(name: str) -> Read:
    return lambda report: (report.measured.get("seconds") or {}).get(name)


def _memory_bytes(report: RunReport) -> float | None:
    return report.memory[-1]["num_bytes"] if report.memory else None


def _more(value: float) -> str:
    return f"{value:+,.0f}"


Row = tuple[str, Read, Show, Show | None]
# Over all test images after the last experience; the averages below are over experiences.
_MAJORITY: Row = ("always the largest class %", _metric("majority_share"), per_cent, None)
_OF_ALL: Row = (
    "accuracy over all test images %",
    _metric("weighted_average_accuracy"),
    per_cent,
    points,
)
_BALANCED: Row = ("balanced accuracy %", _metric("balanced_accuracy"), per_cent, points)
UNEQUAL: tuple[Row, ...] = (_MAJORITY, _OF_ALL, _BALANCED)
TWO_CLASSES: tuple[Row, ...] = (
    _MAJORITY,
    _OF_ALL,
    ("AUC %", _metric("auc"), per_cent, points),
    _BALANCED,
    ("sensitivity %", _metric("sensitivity"), per_cent, points),
    ("specificity %", _metric("specificity"), per_cent, points),
)
ROWS: tuple[Row, ...] = (
    ("average accuracy %", _metric("average_accuracy"), per_cent, points),
    ("average incremental accuracy %", _metric("average_incremental_accuracy"), per_cent, points),
    ("learning accuracy %", _metric("learning_accuracy"), per_cent, points),
    ("forgetting", _metric("forgetting"), points, points),
    ("backward transfer", _metric("bwt"), points, points),
    ("memory bytes", _memory_bytes, count, _more),
    *((f"seconds: {name}", _phase(name), seconds, None) for name in PHASES),
)
