"""From reports to a comparison: spread over seeds, paired tests, and what a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from clbench.comparison import notes
from clbench.comparison.budgets import budgets, condition, conditions, is_real, memories
from clbench.comparison.grouping import STREAM, Cell, group_runs
from clbench.comparison.loading import Runs
from clbench.comparison.readings import final_memory_bytes, total_seconds
from clbench.comparison.records import Comparison, Contest, Group, Summary, Versus
from clbench.errors import InputError
from clbench.fields import check
from clbench.measuring import metrics
from clbench.measuring.scores import AVERAGE, SCORES
from clbench.measuring.statistics import cohens_d_paired, holm, sign_flip_p
from clbench.report import RunReport
from clbench.seeding import derive

Budgets = Mapping[str, float | None]


def compare(
    runs: Runs | Sequence[RunReport], *, baseline: str | None = None, metric: str = AVERAGE
) -> Comparison:
    """Group runs by everything but the seed and test each group against its baseline.

    Args:
        runs: what `load_runs` returns, or reports.
        baseline: label of the group that all others are tested against, or name of a strategy:
            then each group meets that strategy's group of the same stream, learner and budget of
            bytes, and of the same codec; where the codec is another one, the best group of that
            budget. Default: the random memory of the same kind (``random_replay`` for ``*_replay``,
            ``random_gdumb`` for ``*_gdumb``), else ``random_replay``, matched likewise; without
            one the group is not tested and a note says so. Strategies without memory (naive,
            cumulative) are bounds and tested only against a baseline that is named.
        metric: what groups are ranked and tested by, one of `SCORES`.

    Raises:
        InputError: no reports, two runs of one configuration and seed, an unknown baseline, an
            accuracy matrix that is none, or a metric that a report does not hold.
    """
    if not len(runs):
        raise InputError("expected at least one report to compare, found none")
    check(metric in SCORES, "metric", f"one of {', '.join(SCORES)}", metric)
    cells = group_runs(_named(runs), metric)
    held = budgets(cells)
    cells = _sorted(cells, held)
    if baseline is not None and not any(baseline in (c.label, c.strategy) for c in cells):
        labels = "; ".join(cell.label for cell in cells)
        raise InputError(f"baseline: expected a strategy or one of: {labels}; found {baseline!r}")
    pairs = [(cell, _baseline(cell, cells, held, baseline)) for cell in cells]
    versus = _correct([_versus(cell, other) for cell, other in pairs])
    curves, streams = memories(cells, held), conditions(cells)
    groups = tuple(
        replace(
            _group(cell, against),
            budget=held[cell.label],
            memory=curves[cell.label],
            condition=streams[condition(cell)],
        )
        for cell, against in zip(cells, versus, strict=True)
    )
    tested = {group.label: len(group.versus.seeds) for group in groups if group.versus}
    alone = [c.label for c, other in pairs if other is not c and c.label not in tested]
    unfinished = runs.unfinished if isinstance(runs, Runs) else ()
    return Comparison(
        groups,
        tuple(notes.comparability(cells, held)),
        (
            *notes.few_seeds(cells),
            *notes.weak_tests(tested),
            *notes.weak_family(tested),
            *notes.without_baseline(alone),
            *notes.majority(cells),
            *notes.method_settings(cells),
            *notes.surroundings(cells),
            *notes.diverged(runs.diverged if isinstance(runs, Runs) else ()),
            *notes.unfinished(unfinished),
            *notes.reported(cells),
        ),
        contests=_contests(cells, held),
        metric=metric,
    )


def _named(runs: Runs | Sequence[RunReport]) -> list[tuple[str, RunReport]]:
    names = [str(p) for p in runs.paths] if isinstance(runs, Runs) else []
    names = names or [f"report {i + 1}" for i in range(len(runs))]
    return list(zip(names, runs, strict=True))


def _setting(cell: Cell, *prefixes: str) -> list[tuple[str, str]]:
    return [(n, repr(v)) for n, v in sorted(cell.fields.items()) if n.startswith(prefixes)]


def _sorted(cells: list[Cell], held: Budgets) -> list[Cell]:
    several = {name for name, sizes in _sizes(cells, held).items() if len(sizes) > 1}

    def key(cell: Cell) -> tuple[str, float, float, str]:
        size = held[cell.label]
        budget = 0.0 if condition(cell) not in several else np.inf if size is None else size
        return condition(cell), budget, -cell.mean_score, cell.label

    return sorted(cells, key=key)


def _sizes(cells: Sequence[Cell], held: Budgets) -> dict[str, list[float]]:
    """Return condition -> its budgets, ascending."""
    found: dict[str, set[float]] = {}
    for cell in cells:
        size = held[cell.label]
        if size is not None:
            found.setdefault(condition(cell), set()).add(size)
    return {name: sorted(sizes) for name, sizes in found.items()}


def _contests(cells: Sequence[Cell], held: Budgets) -> tuple[Contest, ...]:
    names, sizes = conditions(cells), _sizes(cells, held)
    if all(len(found) < 2 for found in sizes.values()):
        return ()
    found = []
    for stream, budgets_there in sizes.items():
        for size in budgets_there:
            rivals = [c for c in cells if condition(c) == stream and held[c.label] == size]
            distilled, real = (_best(rivals, real=kind) for kind in (False, True))
            versus = _versus(distilled, real) if distilled is not None else None
            label = [None if cell is None else cell.label for cell in (distilled, real)]
            found.append(Contest(names[stream], size, label[0], label[1], versus))
    corrected = _correct([contest.versus for contest in found])
    return tuple(replace(c, versus=v) for c, v in zip(found, corrected, strict=True))


def _best(cells: Sequence[Cell], *, real: bool) -> Cell | None:
    rivals = (cell for cell in cells if is_real(cell.strategy) is real)
    return max(rivals, key=lambda cell: cell.mean_score, default=None)


def _baseline(cell: Cell, cells: list[Cell], held: Budgets, wanted: str | None) -> Cell | None:
    """The group that ``cell`` is tested against; itself if it is a baseline; None without one."""
    exact = [other for other in cells if other.label == wanted]
    if exact:
        return exact[0] if _same(exact[0], cell, *STREAM) else None
    if wanted is None and held[cell.label] is None:
        return cell  # no memory at all: a bound to look at, not a method to test
    names = [wanted] if wanted else [f"random_{cell.strategy.rpartition('_')[2]}", "random_replay"]
    if cell.strategy in names:
        return cell
    for name in names:
        matched = [
            other
            for other in cells
            if other.strategy == name and condition(other) == condition(cell)
            # A strategy without memory has no bytes to agree in.
            if held[cell.label] in (None, held[other.label])
        ]
        if matched:
            return max(matched, key=lambda other: _likeness(cell, other))
    return None


def _likeness(cell: Cell, other: Cell) -> tuple[bool, bool, int, float]:
    """How well ``other`` suits as a baseline; of several that suit equally, the best."""
    codecs = (_codec(cell), _codec(other))
    shared = len(set(_setting(cell, "memory.")) & set(_setting(other, "memory.")))
    alike = codecs[0] == codecs[1]
    plain = codecs[0] is None and codecs[1] == "raw"
    return alike, plain, shared if alike else 0, other.mean_score


def _codec(cell: Cell) -> str | None:
    codec = cell.fields.get("memory.codec")
    return None if codec is None else str(codec)


def _same(one: Cell, other: Cell, *prefixes: str) -> bool:
    return _setting(one, *prefixes) == _setting(other, *prefixes)


def _versus(cell: Cell, baseline: Cell | None) -> Versus | None:
    if baseline is None or baseline is cell:
        return None
    mine, theirs = cell.scores, baseline.scores
    seeds = tuple(seed for seed in mine if seed in theirs)
    if not seeds:
        return None
    differences = [mine[seed] - theirs[seed] for seed in seeds]
    # Only beyond 20 pairs are sign patterns drawn; the same ones every time.
    p = sign_flip_p(differences, np.random.default_rng(derive(0, "sign_flip")))
    effect = cohens_d_paired(differences)
    return Versus(baseline.label, seeds, Summary.of(differences), p, p, effect)


def _correct(versus: list[Versus | None]) -> list[Versus | None]:
    adjusted = iter(holm([v.p for v in versus if v is not None]))
    return [None if v is None else replace(v, p_holm=next(adjusted)) for v in versus]


def _group(cell: Cell, versus: Versus | None) -> Group:
    reports = tuple(cell.runs.values())
    matrices = [report.accuracy_matrix for report in reports]
    forgetting = [metrics.forgetting(R) for R in matrices if len(R) > 1]
    memory = [b for b in map(final_memory_bytes, reports) if b is not None]
    seconds = [s for s in map(total_seconds, reports) if s is not None]
    return Group(
        label=cell.label,
        strategy=cell.strategy,
        seeds=tuple(cell.runs),
        reports=reports,
        score=Summary.of(list(cell.scores.values())),
        average_accuracy=Summary.of([metrics.average_accuracy(R) for R in matrices]),
        forgetting=Summary.of(forgetting) if forgetting else None,
        memory_bytes=Summary.of(memory) if memory else None,
        seconds=Summary.of(seconds) if seconds else None,
        versus=versus,
    )
