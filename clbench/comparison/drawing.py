"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clbench.comparison.columns import title
from clbench.comparison.records import Comparison, Group, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clbench.figures import Panel, Point


def comparison_figures(comparison: Comparison) -> dict[str, Figure]:
    """Draw what `comparison_drawings` names."""
    return {stem: draw() for stem, draw in comparison_drawings(comparison).items()}


def comparison_drawings(comparison: Comparison) -> dict[str, Callable[[], Figure]]:
    """Return file stem -> draws the figure.

    ``forgetting_curves`` of all groups, and the metric of the comparison as bars, by its name, each
    with a panel for each section. ``accuracy_over_compute`` where the reports hold it, one for each
    stream. Where there are several budgets of bytes, ``accuracy_over_bytes`` too. Of two classes
    there is ``accuracy_of_all`` too, the accuracy over all test images beside what always saying
    the larger class has; the average over experiences is no match for that number.
    """
    from clbench import figures

    name = title(comparison)
    drawn: dict[str, Callable[[], Figure]] = {
        "forgetting_curves": lambda: figures.section_curves_figure(
            _by_section(comparison, lambda g: [r.accuracy_matrix for r in g.reports])
        ),
        comparison.metric: lambda: figures.section_bars_figure(
            _by_section(comparison, lambda g: list(g.score.values)),
            title=f"{name[0].upper()}{name[1:]} after the stream",
        ),
    }
    if comparison.contests:
        drawn["accuracy_over_bytes"] = lambda: figures.accuracy_over_bytes_figure(
            _panels(comparison.groups), metric=name
        )
    return {**drawn, **_over_compute(comparison), **_of_all(comparison)}


def _by_section(
    comparison: Comparison, values: Callable[[Group], Sequence[Any]]
) -> dict[str, dict[str, Sequence[Any]]]:
    return {
        section.heading: {
            row: values(group) for row, group in zip(section.names(), section.groups, strict=True)
        }
        for section in comparison.sections
    }


def _of_all(comparison: Comparison) -> dict[str, Callable[[], Figure]]:
    from clbench import figures

    key = "weighted_average_accuracy"
    reports = [r for group in comparison.groups for r in group.reports]
    shares = {r.metrics.get("majority_share") for r in reports}
    share = shares.pop() if len(shares) == 1 else None
    if share is None or any(r.metrics.get(key) is None for r in reports):
        return {}
    return {
        "accuracy_of_all": lambda: figures.section_bars_figure(
            _by_section(comparison, lambda g: [r.metrics[key] or 0.0 for r in g.reports]),
            title="Accuracy over all test images after the stream",
            majority_share=share,
        )
    }


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
    return {heading: panel for heading, panel in panels.items() if panel.curves}


def _over_compute(comparison: Comparison) -> dict[str, Callable[[], Figure]]:
    from clbench import figures

    streams: dict[str, list[Group]] = {}
    for group in comparison.groups:
        if group.compute_seconds is not None or group.compute_flops is not None:
            streams.setdefault(_stream(group), []).append(group)
    if len(streams) == 1:
        (groups,) = streams.values()
        return {
            "accuracy_over_compute": lambda: figures.accuracy_over_compute_figure(
                _points(groups), metric=title(comparison)
            )
        }

    def draw(groups: list[Group]) -> Callable[[], Figure]:
        heading = str((groups[0].reports[0].config.get("benchmark") or {}).get("name"))
        return lambda: figures.accuracy_over_compute_figure(
            _points(groups), metric=title(comparison), title=heading
        )

    return {
        f"accuracy_over_compute-{number}": draw(groups)
        for number, groups in enumerate(streams.values(), 1)
    }


def _stream(group: Group) -> str:
    """What the accuracies of a group are accuracies on."""
    report = group.reports[0]
    return repr((report.config.get("benchmark"), report.data.get("fingerprint")))


def _points(groups: Sequence[Group]) -> dict[str, list[Point]]:
    """One curve for each memory of each learner, named without what all have in common."""
    from clbench.figures import Point

    found: dict[str, list[Point]] = {}
    conditions = [group.condition.split(", ") for group in groups]
    shared = set.intersection(*map(set, conditions))
    for group, condition in zip(groups, conditions, strict=True):
        name = ", ".join([group.memory, *(part for part in condition if part not in shared)])
        point = Point(
            group.budget,
            group.score.values,
            _values(group.compute_seconds),
            _values(group.compute_flops),
        )
        found.setdefault(name, []).append(point)
    return found


def _values(summary: Summary | None) -> tuple[float, ...]:
    return () if summary is None else summary.values
