"""The numbers that trackers draw: the same names and steps in all of them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from clbench.coded import CodedImages
from clbench.distillation import Update
from clbench.evaluation.protocol import Result
from clbench.measuring import metrics
from clbench.measuring.metrics import Matrix, Vector
from clbench.store.plain import readable

Point = tuple[str, float, int]  # name, value, step

MOST_CURVES = 50  # classes whose recall is drawn
# Trackers group curves by what stands before the slash: the metrics of the whole stream are a group
# of their own, not a chart among those of single experiences.
AVERAGES = "averages/"


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
            yield f"{AVERAGES}{name}", float(value), k + 1
    if memory is not None and len(memory):
        yield "memory_bytes", float(memory.num_bytes), k + 1


def of_recalls(
    k: int,
    confusion: Matrix | None,
    class_groups: Sequence[Sequence[int]],
    class_names: Sequence[str],
) -> Iterator[Point]:
    """Yield the recall of each class met so far at step ``k + 1``.

    Their mean, the balanced accuracy, is a curve where classes differ in their test images. Streams
    of more than `MOST_CURVES` classes have that curve alone.

    Args:
        k: index of the experience.
        confusion: (K, K) counts, rows true, or None.
        class_groups: for each of the T experiences its classes.
        class_names: name of class c at position c, or empty.
    """
    if confusion is None:
        return
    counts = np.asarray(confusion)
    totals = counts.sum(axis=1)
    found = metrics.recall(np.diag(counts), totals)
    met = dict.fromkeys(c for group in class_groups[: k + 1] for c in group)
    values = {c: value for c in met if (value := found[c]) is not None}
    if values and totals.min() != totals.max():
        yield f"{AVERAGES}balanced_accuracy", float(np.mean(list(values.values()))), k + 1
    for c, value in values.items() if len(found) <= MOST_CURVES else ():
        name = class_names[c] if c < len(class_names) else str(c)
        yield f"recall/{readable(name).replace('/', '_')}", float(value), k + 1


def of_evaluation(result: Result, num_experiences: int) -> Iterator[Point]:
    """Yield the last value of each of its curves, after the last of the experiences."""
    for name, values in result.scalars().items():
        yield f"memory/{readable(name)}", float(values[-1]), num_experiences


def of_report(
    values: Mapping[str, float | None], num_experiences: int, told: Container[str] = ()
) -> Iterator[Point]:
    """Yield a report's metrics after the last of the experiences.

    Args:
        values: metric -> its value, or None.
        num_experiences: of the stream, which is the step.
        told: names of curves that already end there.
    """
    for name, value in values.items():
        if value is not None and AVERAGES + name not in told:
            yield AVERAGES + name, float(value), num_experiences


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
