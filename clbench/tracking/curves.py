"""The numbers that trackers draw: the same names and steps in all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from clbench.coded import CodedImages
from clbench.distillation import Update
from clbench.measuring import metrics
from clbench.measuring.metrics import Matrix, Vector

Point = tuple[str, float, int]  # name, value, step


def of_accuracies(accuracies: Vector, num_learnt: int) -> Iterator[Point]:
    """Yield the accuracy on each experience, under another name while it is not learnt.

    Args:
        accuracies: (T,) on every experience, in 0..1.
        num_learnt: experiences learnt, which is the step.
    """
    for j, accuracy in enumerate(accuracies):
        folder = "accuracy" if j < num_learnt else "untrained_accuracy"
        yield f"{folder}/experience_{j + 1}", float(accuracy), num_learnt


def of_experience(
    k: int, R_so_far: Matrix, untrained: Vector, num_test: Vector, memory: CodedImages | None
) -> Iterator[Point]:
    """Yield all curves at step ``k + 1``; of the first experience also those at step 0.

    Args:
        k: index of the experience.
        R_so_far: see `Tracker.on_experience_end`, like the others.
        untrained: (T,).
        num_test: (T,).
        memory: what is remembered now, or None.
    """
    R = np.asarray(R_so_far, dtype=np.float64)[: k + 1]
    if k == 0:
        yield from of_accuracies(untrained, 0)
    yield from of_accuracies(R[k], k + 1)
    seen = R[:, : k + 1]
    for j in range(k):
        curve = metrics.forgetting_curve(seen, j)
        if curve[-1] is not None:
            yield f"forgetting/experience_{j + 1}", float(curve[-1]), k + 1
    so_far = metrics.all_metrics(seen, untrained[: k + 1], num_test[: k + 1])
    for name, value in so_far.items():
        if value is not None:
            yield name, float(value), k + 1
    if memory is not None and len(memory):
        yield "memory_bytes", float(memory.num_bytes), k + 1


def of_update(k: int, update: Update) -> Iterator[Point]:
    """Yield the curves of the distillation of experience ``k``, at the update's own number."""
    if not update.number:
        return
    folder = f"distillation/experience_{k + 1}"
    if update.phase != "distil":
        name = {"experts": "expert"}.get(update.phase, update.phase)
        yield f"{folder}/{name}_loss", float(update.loss), update.number
        return
    for name, value in {"loss": update.loss, **update.scalars}.items():
        yield f"{folder}/{name}", float(value), update.number


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings of a nested configuration by their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
