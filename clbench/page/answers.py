"""The question of a comparison and its answer, for each stream, learner and budget of bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from clbench.comparison import Comparison, Contest, Group, Versus, compare
from clbench.comparison.budgets import is_real
from clbench.measuring.statistics import holm

LEVEL = 0.05
Verdict = Literal["yes", "no", "open", "unknown"]


@dataclass(frozen=True)
class Answer:
    """One contest in words.

    Attributes:
        condition: see `Contest`.
        num_bytes: the budget; None where the comparison knows of no memory.
        distilled, real: the groups that met; None where there is none.
        versus: distilled minus real; None where they were not tested.
        verdict: yes (distilled is ahead), no (real is ahead), open (no difference is shown), or
            unknown (nothing was tested); before correction.
        bounds: groups without memory of the same stream and learner.
    """

    condition: str
    num_bytes: float | None
    distilled: Group | None
    real: Group | None
    versus: Versus | None
    verdict: Verdict
    bounds: tuple[Group, ...]

    @property
    def holds(self) -> bool:
        """Whether one is ahead after Holm's correction too."""
        ahead = self.verdict in ("yes", "no")
        return ahead and self.versus is not None and self.versus.p_holm <= LEVEL


def answers(comparison: Comparison) -> list[Answer]:
    """Return an answer for each stream, learner and budget."""
    groups = {group.label: group for group in comparison.groups}
    contests = comparison.contests or _single_budgets(comparison)
    found = []
    for contest in contests:
        bounds = tuple(
            group
            for group in comparison.groups
            if group.condition == contest.condition and is_bound(group)
        )
        found.append(
            Answer(
                contest.condition,
                contest.num_bytes,
                groups.get(contest.distilled or ""),
                groups.get(contest.real or ""),
                contest.versus,
                _verdict(contest.versus),
                bounds,
            )
        )
    return found


def is_bound(group: Group) -> bool:
    """Whether a group remembers nothing: naive and cumulative learners."""
    return group.memory_bytes is None


def _verdict(versus: Versus | None) -> Verdict:
    if versus is None:
        return "unknown"
    if versus.p > LEVEL or not versus.difference.mean:
        return "open"
    return "yes" if versus.difference.mean > 0 else "no"


def _single_budgets(comparison: Comparison) -> tuple[Contest, ...]:
    """Contests where each stream has one budget: a comparison makes them for several only."""
    pairs = dict.fromkeys((g.condition, g.budget) for g in comparison.groups if g.budget)
    kinds = {name: is_real(name) for name in {group.strategy for group in comparison.groups}}
    found = []
    for condition, budget in pairs:
        rivals = [g for g in comparison.groups if (g.condition, g.budget) == (condition, budget)]
        distilled, real = (
            _best(group for group in rivals if kinds[group.strategy] is kind)
            for kind in (False, True)
        )
        versus = _meeting(distilled, real, comparison.metric) if distilled and real else None
        labels = [group.label if group else None for group in (distilled, real)]
        assert budget is not None
        found.append(Contest(condition, budget, labels[0], labels[1], versus))
    return tuple(_corrected(found))


def _best(groups: Iterable[Group]) -> Group | None:
    return max(groups, key=lambda group: group.score.mean, default=None)


def _meeting(distilled: Group, real: Group, metric: str) -> Versus | None:
    """Compare the two alone, the real one as the baseline."""
    pair = compare([*distilled.reports, *real.reports], baseline=real.strategy, metric=metric)
    (versus,) = [group.versus for group in pair.groups if group.strategy == distilled.strategy]
    return None if versus is None else dataclasses.replace(versus, baseline=real.label)


def _corrected(contests: Sequence[Contest]) -> Iterable[Contest]:
    adjusted = iter(holm([c.versus.p for c in contests if c.versus is not None]))
    for contest in contests:
        versus = contest.versus
        if versus is not None:
            versus = dataclasses.replace(versus, p_holm=next(adjusted))
        yield dataclasses.replace(contest, versus=versus)
