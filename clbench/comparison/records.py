"""What a comparison found out: frozen records."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clbench.measuring.scores import AVERAGE
from clbench.measuring.statistics import mean_interval
from clbench.report import RunReport

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
        return Summary(tuple(values), mean, statistics.stdev(values), low, high)


@dataclass(frozen=True)
class Versus:
    """A group's score against its baseline's, paired by seed.

    Attributes:
        baseline: label of the baseline group.
        seeds: the seeds that both have.
        difference: group minus baseline, of a score in 0..1, one value per common seed.
        p: exact two-sided sign-flip permutation test.
        p_holm: the same after Holm's correction over the tests of the section (of a contest: over
            all contests).
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
        score: what groups are ranked and tested by, in 0..1; see `Comparison.metric`.
        average_accuracy: A_T, 0..1.
        forgetting: mean forgetting, 0..1 (max - last); None on a stream of one experience.
        memory_bytes: memory after the last experience; None without memory.
        seconds: wall time of the run; None where the reports hold none.
        versus: the test against the baseline; None for a baseline, or without one.
        budget: bytes of the largest memory among those that share this one's budget; None without
            memory.
        memory: name of the curve over bytes that the group is a point of.
        condition: what tells its stream and learner apart from others; "" where there is one.
        learning_accuracy: accuracy on each experience just after it was learnt, 0..1 (Riemer et
            al., ICLR 2019).
        compute_seconds: wall seconds of training and distilling; None where reports lack them.
        compute_flops: operations of training and distilling; None where reports lack them.
    """

    label: str
    strategy: str
    seeds: tuple[int, ...]
    reports: tuple[RunReport, ...]
    score: Summary
    average_accuracy: Summary
    forgetting: Summary | None
    memory_bytes: Summary | None
    seconds: Summary | None
    versus: Versus | None = None
    budget: float | None = None
    memory: str = ""
    condition: str = ""
    learning_accuracy: Summary | None = None
    compute_seconds: Summary | None = None
    compute_flops: Summary | None = None


@dataclass(frozen=True)
class Contest:
    """The best distilled memory against the best real one, at one budget of bytes.

    Attributes:
        condition: what tells its stream and learner apart from others; "" where there is one.
        num_bytes: the budget.
        distilled: label of the distilled memory of the highest mean score; None without one.
        real: label of the real memory of the highest mean score; None without one.
        versus: distilled minus real, paired by seed; Holm's correction is over all budgets. None
            where one of the two is missing, or they have no seed in common.
    """

    condition: str
    num_bytes: float
    distilled: str | None
    real: str | None
    versus: Versus | None

    @property
    def winner(self) -> str | None:
        """Label of the memory of the higher mean over common seeds; of the only one; or None."""
        if self.versus is None:
            return None if self.distilled and self.real else self.distilled or self.real
        return self.distilled if self.versus.difference.mean > 0 else self.real


@dataclass(frozen=True)
class Section:
    """The rows of one table; tests and Holm's correction stay within it.

    Attributes:
        heading: what tells its rows apart from other sections'; "" where there is one section.
        groups: best first, strategies without memory (bounds) last. A bound is a row of every
            section of its stream and learner.
        settings: for each group the settings that differ within the section: name -> value. With
            the strategy they name the row.
    """

    heading: str
    groups: tuple[Group, ...]
    settings: tuple[dict[str, str], ...]

    def names(self) -> list[str]:
        """Return a name of each row that no other row of the section has."""
        return [
            ", ".join([group.strategy, *(f"{name}={value}" for name, value in found.items())])
            for group, found in zip(self.groups, self.settings, strict=True)
        ]


@dataclass(frozen=True)
class Worth:
    """Whether a distilled memory is worth what it costs, by the rows that are there.

    Attributes:
        condition: what tells its stream and learner apart from others; "" where there is one.
        num_bytes: the budget.
        distilled: label of the distilled memory of the highest mean score.
        rival: label of the real memory of the same budget that it is held against: the cheapest
            that reaches it, else the best; None without one.
        elsewhere: label of the cheapest real memory of the stream, of other bytes or another
            learner, that reaches it with less; None without one.
        pays: True where no real memory of the budget reaches it and the 95 % interval of the
            difference lies above 0; False where one reaches it with less; None where that is open.
        sentence: the same in words, without the final stop.
    """

    condition: str
    num_bytes: float
    distilled: str
    rival: str | None
    elsewhere: str | None
    pays: bool | None
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """Groups side by side.

    Attributes:
        groups: those of one stream and learner together; within these by budget where there are
            several; then the best score first.
        warnings: why rows may not be compared, one sentence each; empty when all may.
        notes: what else a reader must know, one sentence each.
        contests: one per stream, learner and budget, ascending; empty with a single budget.
        metric: what a score is: average accuracy, or another name of a report's metrics.
        sections: the same groups, table by table.
        costs: whether distilling pays, one per stream, learner and budget with a distilled memory.
    """

    groups: tuple[Group, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    contests: tuple[Contest, ...] = ()
    metric: str = AVERAGE
    sections: tuple[Section, ...] = ()
    costs: tuple[Worth, ...] = ()

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row per run: the group's label and the run's own numbers."""
        import pandas

        rows = [
            {"group": group.label, **report.to_frame().iloc[0].to_dict()}
            for group in self.groups
            for report in group.reports
        ]
        return pandas.DataFrame(rows)
