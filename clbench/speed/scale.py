"""What runs cost as streams grow: measured on small ones, fitted, foretold for a large one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from clbench.distillation.matching.statistics import BYTES_OF_ACTIVATIONS
from clbench.errors import InputError
from clbench.speed.apart import call_apart
from clbench.speed.sizes import (
    PHASES,
    STRATEGIES,
    Learning,
    Point,
    Stream,
    measure_point,
    work_of,
)
from clbench.store.reading import read_json

BASE = Stream(classes=20, images_per_class=100, size=28, experiences=5, channels=3)
# Axis -> values of the stream's field that are measured; the others are BASE's.
AXES: dict[str, tuple[int, ...]] = {
    "classes": (10, 20, 40, 80),
    "images_per_class": (50, 100, 200, 400),
    "experiences": (2, 5, 10, 20),
    "size": (14, 20, 28, 40),
}
# As people read them; an image has the square of its side.
SHOWN = {"size": "pixels", "images_per_class": "images of a class"}
MORE_THAN_LINEAR = 1.15  # exponents above it are named; fits of a few seconds are no finer
LEAST_SECONDS = 0.05  # less is not what grows
IMPORTS = ("clbench.speed.sizes", "clbench.run.loop", "clbench.strategies.learner")
# Phase -> the parts of the work that its seconds are a sum of, each with a constant of the machine.
TERMS = {
    "train": ("steps", "train_flops"),
    "fill": ("experiences", "filled", "fill_flops"),
    "evaluate": ("evaluated", "evaluate_flops"),
    "rest": ("one", "bytes", "classes"),
    "memory": ("one", "bytes", "parameters", "passed"),
}
OnPoint = Callable[[int, int, str], None]
"""Called with the runs done, all of them, and what is measured now."""


@dataclass(frozen=True)
class Growth:
    """How one cost grows along one axis, cost ~ axis ** exponent (least squares of logarithms).

    Attributes:
        strategy: measured.
        axis: what grows.
        what: a phase, "total" or "memory" (above what was held before the run).
        exponent: 1 is linear, see `linear`.
        values: of the axis.
        costs: seconds, or bytes, at each.
    """

    strategy: str
    axis: str
    what: str
    exponent: float
    values: tuple[float, ...]
    costs: tuple[float, ...]

    @property
    def more_than_linear(self) -> bool:
        """Whether it grows faster than in proportion, and takes enough to matter."""
        enough = self.what == "memory" or self.costs[-1] >= LEAST_SECONDS
        return enough and self.exponent > MORE_THAN_LINEAR

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary, ready for JSON."""
        return {**vars(self), "more_than_linear": self.more_than_linear}


@dataclass(frozen=True)
class Constants:
    """What a strategy's parts of work cost on this machine.

    Attributes:
        strategy: measured.
        of: phase, or "memory" -> part of the work -> seconds, or bytes, for one of it.
        errors: phase, "total" or "memory" -> median relative error of the measured runs, 0..1.
    """

    strategy: str
    of: Mapping[str, Mapping[str, float]]
    errors: Mapping[str, float]

    def cost(self, what: str, work: Mapping[str, float]) -> float:
        """Return the seconds of a phase, or the bytes of "memory"."""
        parts = {term: self.of[what][term] * v for term, v in _terms(what, work).items()}
        if "passed" in parts:  # more images pass in several turns
            parts["passed"] = min(parts["passed"], BYTES_OF_ACTIVATIONS)
        return sum(parts.values())

    def total(self, work: Mapping[str, float]) -> float:
        """Return the seconds of all phases."""
        return sum(self.cost(phase, work) for phase in PHASES)


@dataclass(frozen=True)
class Prediction:
    """What a stream will take.

    Attributes:
        strategy: by which it is learnt.
        stream: asked about.
        seconds: of each phase.
        memory_bytes: the most that the run will hold.
    """

    strategy: str
    stream: Stream
    seconds: Mapping[str, float]
    memory_bytes: float

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return sum(self.seconds.values())

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary, ready for JSON."""
        seconds = {**self.seconds, "total": self.total}
        stream = {**vars(self.stream), "benchmark": self.stream.benchmark}
        return {**vars(self), "stream": stream, "seconds": seconds}


@dataclass(frozen=True)
class Fitted:
    """All that is known of growth here.

    Attributes:
        points: runs that were measured.
        growths: exponents.
        constants: of each strategy.
        predictions: of each strategy, for the stream asked about.
    """

    points: Sequence[Point]
    growths: Sequence[Growth]
    constants: Sequence[Constants]
    predictions: Sequence[Prediction]

    @property
    def more_than_linear(self) -> list[str]:
        """Return a sentence on everything that grows faster than in proportion."""
        return [
            f"{one.strategy}: {'memory' if one.what == 'memory' else f'seconds of {one.what}'} "
            f"grow as {one.axis} ** {one.exponent:.2f}, more than in proportion."
            for one in self.growths
            if one.more_than_linear
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary, ready for JSON."""
        return {
            "points": [one.to_dict() for one in self.points],
            "growths": [one.to_dict() for one in self.growths],
            "more_than_linear": self.more_than_linear,
            "constants": [vars(one) for one in self.constants],
            "predictions": [one.to_dict() for one in self.predictions],
        }


def check(stream: Stream, learning: Learning) -> None:
    """Refuse what could not be predicted, before the minutes of measuring.

    Raises:
        InputError: a stream or a network that cannot be.
    """
    for strategy in STRATEGIES:
        work_of(stream, replace(learning, strategy=strategy))


def fitted(stream: Stream, learning: Learning, points: Sequence[Point]) -> Fitted:
    """Return growth, constants, and what a stream takes, of runs that were measured.

    Raises:
        InputError: a stream that cannot be.
    """
    constants = constants_of(points, learning)
    return Fitted(points, growths(points), constants, predict(stream, learning, constants))


def streams_measured(axes: Mapping[str, Sequence[int]] = AXES) -> list[Stream]:
    """Return the streams of all axes, each once."""
    found = [replace(BASE, **{axis: v}) for axis, values in axes.items() for v in values]
    return list(dict.fromkeys(found))


def measure_points(
    learning: Learning,
    threads: int,
    axes: Mapping[str, Sequence[int]] = AXES,
    on_point: OnPoint = lambda done, total, what: None,
) -> list[Point]:
    """Run every strategy on every stream, each run in a process of its own.

    Args:
        learning: how; its strategy does not matter.
        threads: of torch.
        axes: what is varied, and to which values.
        on_point: told of progress.

    Raises:
        InputError: a run that cannot be made.
    """
    works = [(s, stream) for stream in streams_measured(axes) for s in STRATEGIES]
    points = []
    for done, (strategy, stream) in enumerate(works):
        on_point(done, len(works), strategy)
        how = replace(learning, strategy=strategy).few()
        points.append(call_apart(measure_point, stream, how, threads, imports=IMPORTS))
    on_point(len(works), len(works), "all")
    return points


def read_points(path: Path, learning: Learning) -> list[Point]:
    """Return the runs that an earlier ``clbench speed scale --json`` measured.

    Args:
        path: what it wrote.
        learning: how the stream asked about is learnt; only the number of DataDAM's networks may be
            another one.

    Raises:
        InputError: no such file, another content, or runs that were learnt otherwise.
    """
    written = read_json(path)
    try:
        before = replace(Learning(**written["learning"]), strategy=learning.strategy)
        points = [Point.from_dict(values) for values in written["points"]]
        whole = {(point.strategy, point.stream) for point in points}
        missing = {(s, one) for s in STRATEGIES for one in streams_measured()} - whole
    except (KeyError, TypeError, AttributeError, ValueError):
        missing = {("", BASE)}
    if missing:
        raise InputError(
            f"{path}: expected all runs of clbench speed scale --json, found another content; "
            "measure anew without --measured"
        )
    if before.few() != learning.few():
        raise InputError(
            f"{path}: expected runs learnt as asked ({learning.in_words}), found "
            f"{before.in_words}; give the same options or measure anew"
        )
    return points


def costs_of(point: Point) -> dict[str, float]:
    """Return seconds of each phase and in total, and the bytes of "memory" above the start."""
    memory = float(max(point.peak_bytes - point.start_bytes, 1))
    return {**point.seconds, "total": point.total, "memory": memory}


def growths(points: Sequence[Point], axes: Mapping[str, Sequence[int]] = AXES) -> list[Growth]:
    """Fit the exponent of every cost along every axis."""
    found = []
    for strategy in dict.fromkeys(point.strategy for point in points):
        mine = {point.stream: costs_of(point) for point in points if point.strategy == strategy}
        for axis, values in axes.items():
            costs = [mine[replace(BASE, **{axis: value})] for value in values]
            shown = tuple(float(v**2 if axis == "size" else v) for v in values)
            for what in (*PHASES, "total", "memory"):
                each = tuple(cost[what] for cost in costs)
                exponent = exponent_of(shown, each)
                name = SHOWN.get(axis, axis)
                found.append(Growth(strategy, name, what, exponent, shown, each))
    return found


def exponent_of(values: Sequence[float], costs: Sequence[float]) -> float:
    """Return e of the fit cost = a value ** e by least squares of logarithms; 0 of free work."""
    if min(costs) <= 0 or len(set(values)) < 2:
        return 0.0
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])


def _terms(what: str, work: Mapping[str, float]) -> dict[str, float]:
    return {term: 1.0 if term == "one" else work[term] for term in TERMS[what]}


def constants_of(points: Sequence[Point], learning: Learning) -> list[Constants]:
    """Fit the constants of each strategy, none below 0, by least squares of relative errors."""
    found = []
    for strategy in dict.fromkeys(point.strategy for point in points):
        mine = [point for point in points if point.strategy == strategy]
        how = replace(learning, strategy=strategy).few()
        works = [work_of(point.stream, how) for point in mine]
        costs = [{**costs_of(point), "memory": float(point.peak_bytes)} for point in mine]
        of = {what: _fitted(what, works, costs) for what in TERMS}
        made = Constants(strategy, of, {})
        errors = {}
        for what in (*PHASES, "memory"):
            pairs = [(made.cost(what, w), c[what]) for w, c in zip(works, costs, strict=True)]
            errors[what] = _median_error(pairs)
        totals = [(made.total(w), c["total"]) for w, c in zip(works, costs, strict=True)]
        found.append(replace(made, errors={**errors, "total": _median_error(totals)}))
    return found


def _fitted(
    what: str, works: Sequence[Mapping[str, float]], costs: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    rows = np.array([list(_terms(what, work).values()) for work in works])
    seen = np.array([max(cost[what], 1e-9) for cost in costs])
    scaled = rows / seen[:, None]
    sizes = np.maximum(scaled.max(axis=0), 1e-300)  # operations and counts differ by 10 powers
    solution, _ = nnls(scaled / sizes, np.ones(len(seen)))
    return dict(zip(TERMS[what], (solution / sizes).tolist(), strict=True))


def _median_error(pairs: Sequence[tuple[float, float]]) -> float:
    errors = [abs(said - seen) / seen for said, seen in pairs if seen > 0]
    return float(np.median(errors)) if errors else math.nan


def predict(stream: Stream, learning: Learning, constants: Sequence[Constants]) -> list[Prediction]:
    """Return what a stream takes by every strategy.

    Raises:
        InputError: a stream that cannot be.
    """
    found = []
    for one in constants:
        work = work_of(stream, replace(learning, strategy=one.strategy))
        seconds = {phase: one.cost(phase, work) for phase in PHASES}
        found.append(Prediction(one.strategy, stream, seconds, one.cost("memory", work)))
    return found
