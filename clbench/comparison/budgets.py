"""Memories of several sizes: which share a budget of bytes, and who is ahead at each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clbench.comparison.grouping import STREAM, Cell, Fields, label_fields
from clbench.comparison.readings import final_memory_bytes
from clbench.distillation.table import DISTILLERS
from clbench.errors import InputError
from clbench.strategies.table import STRATEGIES

# Streams of one capacity differ by what is left of each share, where one image more does not fit.
SAME_BYTES = 1.03
CAPACITY = ("memory.capacity_bytes", "memory.images_per_class")
_CONDITION = (*STREAM, "learner.")
_HOW = ("memory.", "distillation.", "set_training.")


def memory_sizes(cell: Cell) -> list[float]:
    """Return the bytes of memory after the last experience, ascending, each size once."""
    return sorted({b for r in cell.runs.values() if (b := final_memory_bytes(r)) is not None})


def condition(cell: Cell) -> str:
    """Return what tells the stream and the learner of a group apart from others."""
    return repr(sorted(_conditions_of(cell).items()))


def conditions(cells: Sequence[Cell]) -> dict[str, str]:
    """Return `condition` -> the same for a reader; "" where all groups have one."""
    names = label_fields([("", _conditions_of(cell)) for cell in cells])
    return {condition(cell): name for cell, name in zip(cells, names, strict=True)}


def _conditions_of(cell: Cell) -> Fields:
    return {n: v for n, v in cell.fields.items() if n.startswith(_CONDITION)}


def budgets(cells: Sequence[Cell]) -> dict[str, float | None]:
    """Return label -> bytes of the budget that the group belongs to; None without memory.

    Two groups of one stream and learner share a budget if they were given the same capacity, or if
    their memories take the same bytes within 3 %. A budget is named by the mean bytes of its
    largest memory.
    """
    found: dict[str, float | None] = {cell.label: None for cell in cells}
    for stream in {condition(cell) for cell in cells}:
        rivals = [cell for cell in cells if condition(cell) == stream and memory_sizes(cell)]
        for group in _merged(sorted(rivals, key=lambda cell: memory_sizes(cell)[0])):
            largest = max(float(np.mean(memory_sizes(cell))) for cell in group)
            found |= {cell.label: largest for cell in group}
    return found


def _merged(cells: Sequence[Cell]) -> list[list[Cell]]:
    merged: list[list[Cell]] = []
    for cell in cells:
        near = [group for group in merged if any(_same_budget(cell, other) for other in group)]
        rest = [group for group in merged if group not in near]
        merged = [*rest, [cell, *(other for group in near for other in group)]]
    return merged


def _same_budget(one: Cell, other: Cell) -> bool:
    if _capacity(one) == _capacity(other):
        return True
    mine, theirs = memory_sizes(one), memory_sizes(other)
    return max(mine[-1], theirs[-1]) <= SAME_BYTES * min(mine[0], theirs[0])


def _capacity(cell: Cell) -> tuple[object, ...]:
    wanted = cell.fields.get(CAPACITY[0])
    return ("bytes", wanted) if wanted is not None else ("images", cell.fields.get(CAPACITY[1]))


def is_real(strategy: str) -> bool | None:
    """Return whether a strategy's memory holds real images; None without memory, or unknown."""
    try:
        memory = STRATEGIES.find(strategy).memory
        if memory is None:
            return None
        return memory not in DISTILLERS.names() or DISTILLERS.find(memory).real_images
    except InputError:
        return None


def best(cells: Sequence[Cell], *, real: bool) -> Cell | None:
    """Return the real, or the distilled, memory of the highest mean score; None without one."""
    rivals = (cell for cell in cells if is_real(cell.strategy) is real)
    return max(rivals, key=lambda cell: cell.mean_score, default=None)


def memories(cells: Sequence[Cell], held: Mapping[str, float | None]) -> dict[str, str]:
    """Return label -> name of the curve over bytes that the group is a point of.

    Whatever tells how images are stored or distilled is left out of the name where a curve has one
    group at each budget without it: each memory may have its own codec at each budget.
    """
    labels = [cell.label for cell in cells]
    for left_out in ((*_CONDITION, *_HOW), (*_CONDITION, *CAPACITY)):
        parts = [(cell.strategy, _without(cell.fields, left_out)) for cell in cells]
        names = dict(zip(labels, label_fields(parts), strict=True))
        points = [(names[c.label], condition(c), held[c.label]) for c in cells]
        if len(set(points)) == len(points):
            return names
    return dict(zip(labels, labels, strict=True))


def _without(fields: Fields, prefixes: tuple[str, ...]) -> Fields:
    return {name: value for name, value in fields.items() if not name.startswith(prefixes)}
