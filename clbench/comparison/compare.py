"""From reports to a comparison: spread over seeds, paired tests, and what a reader must know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clbench.comparison import notes
from clbench.comparison.grouping import STREAM, Cell, group_runs
from clbench.comparison.loading import Runs
from clbench.comparison.readings import final_memory_bytes, total_seconds
from clbench.errors import InputError
from clbench.measuring import metrics
from clbench.measuring.statistics import cohens_d_paired, holm, mean_interval, sign_flip_p
from clbench.report import RunReport
from clbench.seeding import derive
from clbench.types import Scores

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Summary:
    """One quantity over the seeds of a group.

    Attributes:
        values: one per seed, in the order of the group's seeds.
        mean: their mean.
        std: sample standard deviation (n - 1), None for one seed.
        low, high: 95 % t-interval of the mean, None for one seed.
    """

    values: tuple[float, ...]
    mean: float
    std: float | None
    low: float | None
    high: float | None

    @staticmethod
    def of(values: Sequence[float]) -> Summary:
        """Summarise at least one value."""
        mean, low, high = mean_interval(values)
        if len(values) == 1:
            return Summary(tuple(values), mean, None, None, None)
        return Summary(tuple(values), mean, Scores(tuple(values)).std, low, high)


@dataclass(frozen=True)
class Versus:
    """A group's average accuracy against its baseline's, paired by seed.

    Attributes:
        baseline: label of the baseline group.
        seeds: the seeds that both have.
        difference: group minus baseline, in 0..1 accuracy, one value per common seed.
        p: exact two-sided sign-flip permutation test.
        p_holm: the same after Holm's correction over all tests of the comparison.
        effect_size: Cohen's d of the paired differences; None without spread.
    """

    baseline: str
    seeds: tuple[int, ...]
    difference: Summary
    p: float
    p_holm: float
    effect_size: float | None


@dataclass(frozen=True)
class Group:
    """The runs of one configuration under several seeds.

    Attributes:
        label: strategy and whatever sets the group apart.
        strategy: name of the strategy.
        seeds: ascending.
        reports: one per seed.
        average_accuracy: A_T, 0..1.
        forgetting: mean forgetting, 0..1 (max - last); None on a stream of one experience.
        memory_bytes: memory after the last experience; None without memory.
        seconds: wall time of the run; None where the reports hold none.
        versus: the test against the baseline; None for a baseline, or without one.
    """

    label: str
    strategy: str
    seeds: tuple[int, ...]
    reports: tuple[RunReport, ...]
    average_accuracy: Summary
    forgetting: Summary | None
    memory_bytes: Summary | None
    seconds: Summary | None
    versus: Versus | None = None


@dataclass(frozen=True)
class Comparison:
    """Groups side by side.

    Attributes:
        groups: those of one stream and learner together, best average accuracy first.
        warnings: why rows may not be compared, one sentence each; empty when all may.
        notes: what else a reader must know, one sentence each.
    """

    groups: tuple[Group, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row per run: the group's label and the run's own numbers."""
        import pandas

        rows = [
            {"group": group.label, **report.to_frame().iloc[0].to_dict()}
            for group in self.groups
            for report in group.reports
        ]
        return pandas.DataFrame(rows)


def compare(runs: Runs | Sequence[RunReport], *, baseline: str | None = None) -> Comparison:
    """Group runs by everything but the seed and test each group against its baseline.

    Args:
        runs: what `load_runs` returns, or reports.
        baseline: label of the group that all others are tested against, or name of a strategy:
            then each group meets that strategy's group of the same stream, learner and codec.
            Default: the random memory of the same kind (``random_replay`` for ``*_replay``,
            ``random_gdumb`` for ``*_gdumb``), else ``random_replay``, matched likewise; without
            one the group is not tested and a note says so. Strategies without memory (naive,
            cumulative) are bounds and tested only against a baseline that is named.

    Raises:
        InputError: no reports, two runs of one configuration and seed, an unknown baseline, or an
            accuracy matrix that is none.
    """
    if not len(runs):
        raise InputError("expected at least one report to compare, found none")
    cells = _sorted(group_runs(_named(runs)))
    if baseline is not None and not any(baseline in (c.label, c.strategy) for c in cells):
        labels = "; ".join(cell.label for cell in cells)
        raise InputError(f"baseline: expected a strategy or one of: {labels}; found {baseline!r}")
    pairs = [(cell, _baseline(cell, cells, baseline)) for cell in cells]
    versus = _correct([_versus(cell, other) for cell, other in pairs])
    groups = tuple(_group(cell, against) for cell, against in zip(cells, versus, strict=True))
    tested = {group.label: len(group.versus.seeds) for group in groups if group.versus}
    alone = [c.label for c, other in pairs if other is not c and c.label not in tested]
    unfinished = runs.unfinished if isinstance(runs, Runs) else ()
    return Comparison(
        groups,
        tuple(notes.comparability(cells)),
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
    )


def _named(runs: Runs | Sequence[RunReport]) -> list[tuple[str, RunReport]]:
    names = [str(p) for p in runs.paths] if isinstance(runs, Runs) else []
    names = names or [f"report {i + 1}" for i in range(len(runs))]
    return list(zip(names, runs, strict=True))


def _accuracies(cell: Cell) -> dict[int, float]:
    return {s: metrics.average_accuracy(r.accuracy_matrix) for s, r in cell.runs.items()}


def _setting(cell: Cell, *prefixes: str) -> list[tuple[str, str]]:
    return [(n, repr(v)) for n, v in sorted(cell.fields.items()) if n.startswith(prefixes)]


def _sorted(cells: list[Cell]) -> list[Cell]:
    def key(cell: Cell) -> tuple[str, float, str]:
        mean = float(np.mean(list(_accuracies(cell).values())))
        return repr(_setting(cell, *STREAM, "learner.")), -mean, cell.label

    return sorted(cells, key=key)


def _baseline(cell: Cell, cells: list[Cell], wanted: str | None) -> Cell | None:
    """The group that ``cell`` is tested against; itself if it is a baseline; None without one."""
    exact = [other for other in cells if other.label == wanted]
    if exact:
        return exact[0] if _same(exact[0], cell, *STREAM) else None
    if wanted is None and _codec(cell) is None:
        return cell  # no memory at all: a bound to look at, not a method to test
    names = [wanted] if wanted else [f"random_{cell.strategy.rpartition('_')[2]}", "random_replay"]
    if cell.strategy in names:
        return cell
    for name in names:
        matched = [
            other
            for other in cells
            if other.strategy == name and _same(other, cell, *STREAM, "learner.")
            # A strategy without memory has no codec to agree in.
            if _codec(cell) in (None, _codec(other))
        ]
        if matched:
            mine = set(_setting(cell, "memory."))
            shared = [len(mine & set(_setting(other, "memory."))) for other in matched]
            best = [other for other, n in zip(matched, shared, strict=True) if n == max(shared)]
            return min(best, key=lambda other: (_codec(other) != "raw", _codec(other) or ""))
    return None


def _codec(cell: Cell) -> str | None:
    codec = cell.fields.get("memory.codec")
    return None if codec is None else str(codec)


def _same(one: Cell, other: Cell, *prefixes: str) -> bool:
    return _setting(one, *prefixes) == _setting(other, *prefixes)


def _versus(cell: Cell, baseline: Cell | None) -> Versus | None:
    if baseline is None or baseline is cell:
        return None
    mine, theirs = _accuracies(cell), _accuracies(baseline)
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
        average_accuracy=Summary.of(list(_accuracies(cell).values())),
        forgetting=Summary.of(forgetting) if forgetting else None,
        memory_bytes=Summary.of(memory) if memory else None,
        seconds=Summary.of(seconds) if seconds else None,
        versus=versus,
    )
