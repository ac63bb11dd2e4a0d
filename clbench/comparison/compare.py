"""From reports to a comparison: spread over seeds, paired tests, and what a reader must know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from clbench.comparison import notes
from clbench.comparison.budgets import best, budgets, condition, conditions, memories
from clbench.comparison.costs import worths
from clbench.comparison.grouping import Cell, group_runs, telling_settings
from clbench.comparison.loading import Runs
from clbench.comparison.readings import (
    compute_flops,
    compute_seconds,
    final_memory_bytes,
    total_seconds,
)
from clbench.comparison.records import Comparison, Contest, Group, Section, Summary, Versus
from clbench.comparison.sections import AUTO, Part, check_divisions, one_protocol, parts
from clbench.errors import InputError
from clbench.fields import check
from clbench.measuring import metrics
from clbench.measuring.scores import AVERAGE, SCORES
from clbench.measuring.statistics import cohens_d_paired, holm, sign_flip_p
from clbench.report import RunReport

# seeding.derive(0, "sign_flip"), written out: seeding takes torch along, a second of every table.
SIGN_FLIPS = 484679367877643656
Budgets = Mapping[str, float | None]


def compare(
    runs: Runs | Sequence[RunReport],
    *,
    baseline: str | None = None,
    metric: str = AVERAGE,
    group_by: Sequence[str] = (AUTO,),
) -> Comparison:
    """Group runs by everything but the seed and test each group against its baseline.

    Args:
        runs: what `load_runs` returns, or reports.
        baseline: label of the group that all others of its section are tested against, or name of
            a strategy: then each group meets that strategy's group of the same section. Default:
            the random memory of the same kind (``random_replay`` for ``*_replay``,
            ``random_gdumb`` for ``*_gdumb``), else ``random_replay``, of the same budget and
            section; of several that of the same codec, else the best. Without one the group is not
            tested and a note says so. Strategies without memory (naive, cumulative) are bounds and
            tested only against a baseline that is named.
        metric: what groups are ranked and tested by, one of `SCORES`.
        group_by: what divides the table into sections, beside stream and learner, which always do:
            ``bytes``, ``codec``, ``protocol`` (other data or another split of one benchmark).
            ``auto`` is bytes, and codec where each has several strategies; see
            `clbench.comparison.sections.parts`.

    Raises:
        InputError: no reports, two runs of one configuration and seed, an unknown baseline, an
            accuracy matrix that is none, a metric that a report does not hold, or benchmarks whose
            data, split or class orders differ, unless ``group_by`` keeps these apart.
    """
    if not len(runs):
        raise InputError("expected at least one report to compare, found none")
    check(metric in SCORES, "metric", f"one of {', '.join(SCORES)}", metric)
    check_divisions(group_by)
    cells = one_protocol(group_runs(_named(runs), metric), group_by)
    held = budgets(cells)
    cells = _sorted(cells, held)
    if baseline is not None and not any(baseline in (c.label, c.strategy) for c in cells):
        labels = "; ".join(cell.label for cell in cells)
        raise InputError(f"baseline: expected a strategy or one of: {labels}; found {baseline!r}")
    groups = _groups(cells, held)
    found = [
        (part, [_baseline(cell, part.cells, held, baseline) for cell in part.cells])
        for part in parts(cells, held, group_by)
    ]
    sections = tuple(_section(part, against, groups) for part, against in found)
    known = runs if isinstance(runs, Runs) else Runs((), ())
    return Comparison(
        _once(cells, sections),
        tuple(notes.comparability(cells, held)),
        (
            *_notes_on_tests(found, sections, cells),
            *notes.majority(cells),
            *notes.method_settings(cells),
            *notes.surroundings(cells),
            *notes.diverged(known.diverged),
            *notes.unfinished(known.unfinished),
            *notes.reported(cells),
        ),
        contests=_contests(cells, held),
        metric=metric,
        sections=sections,
        costs=worths(cells, held, groups),
    )


def _groups(cells: Sequence[Cell], held: Budgets) -> dict[str, Group]:
    curves, streams = memories(cells, held), conditions(cells)
    return {
        cell.label: replace(
            _group(cell),
            budget=held[cell.label],
            memory=curves[cell.label],
            condition=streams[condition(cell)],
        )
        for cell in cells
    }


def _section(part: Part, against: list[Cell | None], groups: Mapping[str, Group]) -> Section:
    pairs = zip(part.cells, against, strict=True)
    tests = _correct([_versus(cell, other) for cell, other in pairs])
    tested = zip(part.cells, tests, strict=True)
    settings = telling_settings([(cell.strategy, cell.fields) for cell in part.cells])
    rows = tuple(replace(groups[cell.label], versus=versus) for cell, versus in tested)
    return Section(part.heading, rows, tuple(settings))


def _once(cells: Sequence[Cell], sections: Sequence[Section]) -> tuple[Group, ...]:
    """Each group with the test of the first section that it is a row of."""
    found: dict[str, Group] = {}
    for section in sections:
        for group in section.groups:
            found.setdefault(group.label, group)
    return tuple(found[cell.label] for cell in cells)


def _notes_on_tests(
    found: Sequence[tuple[Part, list[Cell | None]]],
    sections: Sequence[Section],
    cells: Sequence[Cell],
) -> Iterator[str]:
    yield from notes.few_seeds(cells)
    tested = [{g.label: len(g.versus.seeds) for g in s.groups if g.versus} for s in sections]
    yield from notes.weak_tests({label: n for pairs in tested for label, n in pairs.items()})
    for section, pairs in zip(sections, tested, strict=True):
        yield from notes.weak_family(pairs, section.heading)
    alone = [
        cell.label
        for (part, against), pairs in zip(found, tested, strict=True)
        for cell, other in zip(part.cells, against, strict=True)
        if other is not cell and cell.label not in pairs
    ]
    yield from notes.without_baseline(list(dict.fromkeys(alone)))


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
            distilled, real = (best(rivals, real=kind) for kind in (False, True))
            versus = _versus(distilled, real) if distilled is not None else None
            label = [None if cell is None else cell.label for cell in (distilled, real)]
            found.append(Contest(names[stream], size, label[0], label[1], versus))
    corrected = _correct([contest.versus for contest in found])
    return tuple(replace(c, versus=v) for c, v in zip(found, corrected, strict=True))


def _baseline(cell: Cell, cells: Sequence[Cell], held: Budgets, wanted: str | None) -> Cell | None:
    """The cell of a section that ``cell`` is tested against; itself if it is one; None without."""
    exact = [other for other in cells if other.label == wanted]
    if exact:
        return exact[0]
    if wanted is None and held[cell.label] is None:
        return cell  # no memory at all: a bound to look at, not a method to test
    names = [wanted] if wanted else [f"random_{cell.strategy.rpartition('_')[2]}", "random_replay"]
    if cell.strategy in names:
        return cell
    for name in names:
        matched = [
            other
            for other in cells
            if other.strategy == name
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


def _versus(cell: Cell, baseline: Cell | None) -> Versus | None:
    if baseline is None or baseline is cell:
        return None
    mine, theirs = cell.scores, baseline.scores
    seeds = tuple(seed for seed in mine if seed in theirs)
    if not seeds:
        return None
    differences = [mine[seed] - theirs[seed] for seed in seeds]
    # Only beyond 20 pairs are sign patterns drawn; the same ones every time.
    p = sign_flip_p(differences, np.random.default_rng(SIGN_FLIPS))
    effect = cohens_d_paired(differences)
    return Versus(baseline.label, seeds, Summary.of(differences), p, p, effect)


def _correct(versus: list[Versus | None]) -> list[Versus | None]:
    adjusted = iter(holm([v.p for v in versus if v is not None]))
    return [None if v is None else replace(v, p_holm=next(adjusted)) for v in versus]


def _group(cell: Cell) -> Group:
    reports = tuple(cell.runs.values())
    matrices = [report.accuracy_matrix for report in reports]

    def summary(values: Iterable[float | None]) -> Summary | None:
        known = [value for value in values if value is not None]
        return Summary.of(known) if known else None

    return Group(
        label=cell.label,
        strategy=cell.strategy,
        seeds=tuple(cell.runs),
        reports=reports,
        score=Summary.of(list(cell.scores.values())),
        average_accuracy=Summary.of([metrics.average_accuracy(R) for R in matrices]),
        forgetting=summary(metrics.forgetting(R) for R in matrices if len(R) > 1),
        memory_bytes=summary(map(final_memory_bytes, reports)),
        seconds=summary(map(total_seconds, reports)),
        learning_accuracy=summary(map(metrics.learning_accuracy, matrices)),
        compute_seconds=summary(map(compute_seconds, reports)),
        compute_flops=summary(map(compute_flops, reports)),
    )
