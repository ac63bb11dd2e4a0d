"""Whether distilling pays: its accuracy and compute against real memories that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clbench.comparison.budgets import best, condition, conditions, is_real
from clbench.comparison.grouping import STREAM, Cell, label_fields
from clbench.comparison.records import Group, Summary, Worth

OPEN = "it is open whether distilling pays"


def worths(
    cells: Sequence[Cell], held: Mapping[str, float | None], groups: Mapping[str, Group]
) -> tuple[Worth, ...]:
    """Hold the best distilled memory of each budget against real memories.

    A real memory reaches a distilled one if its mean score is no lower. It takes less if it takes
    fewer operations and fewer seconds of training and distilling, as far as reports hold them.

    Args:
        cells: all cells.
        held: label -> bytes of the budget, None without memory.
        groups: label -> group.
    """
    names, found = conditions(cells), []
    places = dict.fromkeys((condition(c), size) for c in cells if (size := held[c.label]))
    for stream, size in places:
        rivals = [c for c in cells if condition(c) == stream and held[c.label] == size]
        distilled = best(rivals, real=False)
        if distilled is None:
            continue
        others = [c for c in cells if c not in rivals and _stream(c) == _stream(distilled)]
        found.append(_worth(names[stream], size, distilled, rivals, others, groups))
    return tuple(found)


def _stream(cell: Cell) -> list[tuple[str, str]]:
    return [(n, repr(v)) for n, v in sorted(cell.fields.items()) if n.startswith(STREAM)]


def _worth(
    name: str,
    size: float,
    distilled: Cell,
    rivals: Sequence[Cell],
    others: Sequence[Cell],
    groups: Mapping[str, Group],
) -> Worth:
    mine = groups[distilled.label]
    reaching = [cell for cell in rivals if _reaches(cell, distilled)]
    rival = min(reaching, key=lambda c: _cost(groups[c.label]), default=best(rivals, real=True))
    # Within a budget nothing but the memories' own settings tells rows apart.
    local = label_fields([(cell.strategy, cell.fields) for cell in rivals])
    short = {cell.label: label for cell, label in zip(rivals, local, strict=True)}
    pays, told = None, f"{short[mine.label]} meets no real memory of these bytes"
    if rival is not None:
        pays, told = _verdict(distilled, rival, groups, short)
    elsewhere = _elsewhere(distilled, others, groups)
    if elsewhere is not None:
        near = [*others, distilled]
        names = label_fields([(cell.strategy, cell.fields) for cell in near])
        where = names[[cell.label for cell in near].index(elsewhere.label)]
        told += f"; {where} reaches {_percent(elsewhere.score)} with "
        told += f"{_times(elsewhere, mine)} of {short[mine.label]}"
    elif others:
        told += "; no real memory of other bytes or of another learner reaches it with less"
    heading = f"{name}, {size:,.0f} bytes" if name else f"{size:,.0f} bytes"
    labels = [None if one is None else one.label for one in (rival, elsewhere)]
    return Worth(name, size, mine.label, labels[0], labels[1], pays, f"{heading}: {told}")


def _reaches(cell: Cell, distilled: Cell) -> bool:
    return bool(is_real(cell.strategy)) and cell.mean_score >= distilled.mean_score


def _elsewhere(
    distilled: Cell, others: Sequence[Cell], groups: Mapping[str, Group]
) -> Group | None:
    """The cheapest that reaches it with less; one of the same learner first."""
    reaching = [
        cell
        for cell in others
        if _reaches(cell, distilled) and _less(groups[cell.label], groups[distilled.label])
    ]
    own = [cell for cell in reaching if condition(cell) == condition(distilled)]
    return min((groups[c.label] for c in own or reaching), key=_cost, default=None)


def _cost(group: Group) -> tuple[float, float]:
    """Operations, then seconds; what is not known costs most."""
    known = (group.compute_flops, group.compute_seconds)
    flops, seconds = (float("inf") if one is None else one.mean for one in known)
    return flops, seconds


def _less(one: Group, other: Group) -> bool:
    """Whether it takes less of all that both reports hold."""
    pairs = (
        (one.compute_flops, other.compute_flops),
        (one.compute_seconds, other.compute_seconds),
    )
    known = [(mine.mean, theirs.mean) for mine, theirs in pairs if mine and theirs]
    return bool(known) and all(mine < theirs for mine, theirs in known)


def _verdict(
    distilled: Cell, rival: Cell, groups: Mapping[str, Group], short: Mapping[str, str]
) -> tuple[bool | None, str]:
    """Whether distilling pays against this real memory of equal bytes, and in words."""
    mine, theirs = groups[distilled.label], groups[rival.label]
    own, other = short[mine.label], short[theirs.label]
    if rival.mean_score >= distilled.mean_score:
        pays = False if _less(theirs, mine) else None
        return pays, (
            f"{OPEN if pays is None else 'distilling does not pay'}: {other}, real, scores "
            f"{_percent(theirs.score)} with {_times(theirs, mine)} of {own}, the best distilled "
            f"memory ({_percent(mine.score)})"
        )
    seeds = [seed for seed in distilled.scores if seed in rival.scores]
    gains = [distilled.scores[seed] - rival.scores[seed] for seed in seeds]
    gain = Summary.of(gains) if gains else None
    sure = gain is not None and gain.low is not None and gain.low > 0
    return (True if sure else None), (
        f"{'distilling pays' if sure else OPEN}: {own} scores {_percent(mine.score)} with "
        f"{_times(mine, theirs)} of {other}, the best real memory ({_percent(theirs.score)}"
        f"{_interval(gain)})"
    )


def _percent(score: Summary) -> str:
    return f"{100 * score.mean:.1f} %"


def _interval(gain: Summary | None) -> str:
    if gain is None or gain.low is None or gain.high is None:
        return ""
    low, high = 100 * gain.low, 100 * gain.high
    return f"; difference {100 * gain.mean:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"


def _times(one: Group, other: Group) -> str:
    """How many times the compute of ``other``."""
    told = []
    for name, mine, theirs in (
        ("operations", one.compute_flops, other.compute_flops),
        ("seconds", one.compute_seconds, other.compute_seconds),
    ):
        if mine is not None and theirs is not None and theirs.mean > 0:
            told.append(f"{mine.mean / theirs.mean:.2g} times the {name}")
    return " and ".join(told) or "compute that the reports do not hold, beside that"
