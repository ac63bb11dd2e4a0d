"""The listener's interface: the run reports, and does not know who listens."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

from clbench.coded import CodedImages
from clbench.distillation import Update
from clbench.errors import InputError
from clbench.evaluation.protocol import Draw, Result
from clbench.measuring.metrics import Matrix, Vector
from clbench.report import RunReport

Drawings = Mapping[str, Draw]


class Tracker(Protocol):
    """Hears of a run's events in this order; ``close`` comes last, also when the run failed."""

    def on_start(self, config: dict[str, Any], class_groups: Sequence[Sequence[int]]) -> None:
        """Before the first experience.

        Args:
            config: the resolved `RunConfig` as a dictionary.
            class_groups: for each of the T experiences its classes.
        """

    def on_distillation_update(self, k: int, update: Update) -> None:
        """After an update of the distillation of experience ``k`` (from 0).

        Its images, if any, are in the data set's own class numbers.
        """

    def on_experience_end(
        self,
        k: int,
        R_so_far: Matrix,
        untrained: Vector,
        num_test: Vector,
        confusion: Matrix | None,
        memory: CodedImages | None,
        class_names: Sequence[str],
    ) -> None:
        """After experience ``k`` (from 0) was learnt and everything was tested.

        Args:
            k: its index.
            R_so_far: (k + 1 or more, T); rows 0..k hold accuracies on all T experiences.
            untrained: (T,) accuracy of the untrained network.
            num_test: (T,) test images.
            confusion: (K, K) counts, rows true, or None.
            memory: what is remembered now; None for a strategy without memory.
            class_names: name of label i (of ``memory`` and ``confusion``) at position i, or empty.
        """

    def on_evaluation(self, name: str, result: Result, drawings: Drawings) -> None:
        """After the last experience, for everything else that was made of the last memory.

        Args:
            name: of the evaluation.
            result: what it found; its scalars are curves by name.
            drawings: of all evaluations: name -> draws a figure.
        """

    def on_end(self, report: RunReport) -> None:
        """After the last experience, with the finished report."""

    def close(self) -> None:
        """Let go of files and threads; a second call does nothing."""


@runtime_checkable
class Positioned(Protocol):
    """A tracker that can go on with what a killed run had told."""

    def position(self) -> Any:
        """How much was told, as plain values; asked after each experience."""

    def on_resume(self, position: Any) -> None:
        """Before `Tracker.on_start`: forget what was told after ``position``."""


class NullTracker:
    """Listens to nothing."""

    def on_start(self, config: dict[str, Any], class_groups: Sequence[Sequence[int]]) -> None:
        """Nothing."""

    def on_distillation_update(self, k: int, update: Update) -> None:
        """Nothing."""

    def on_experience_end(
        self,
        k: int,
        R_so_far: Matrix,
        untrained: Vector,
        num_test: Vector,
        confusion: Matrix | None,
        memory: CodedImages | None,
        class_names: Sequence[str],
    ) -> None:
        """Nothing."""

    def on_evaluation(self, name: str, result: Result, drawings: Drawings) -> None:
        """Nothing."""

    def on_end(self, report: RunReport) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Trackers:
    """Passes every event on to several trackers, in order; of `Positioned` ones it is one.

    A tracker that fails (a full disk, a server that does not answer) costs a warning, and the run
    goes on without it.
    """

    def __init__(self, *trackers: Tracker) -> None:
        """Keep the trackers; none at all is allowed."""
        self._trackers = trackers
        self._lost: list[Tracker] = []

    def position(self) -> list[Any]:
        """Of each; None of those that have none."""
        found: dict[int, Any] = {}

        def ask(tracker: Tracker) -> None:
            if isinstance(tracker, Positioned):
                found[id(tracker)] = tracker.position()

        self._tell(ask)
        return [found.get(id(tracker)) for tracker in self._trackers]

    def on_resume(self, position: list[Any]) -> None:
        """To those that had one; others than before hear of nothing that was told then."""
        if len(position) != len(self._trackers):
            return
        for tracker, own in zip(self._trackers, position, strict=True):
            if own is not None and isinstance(tracker, Positioned):
                tracker.on_resume(own)

    def on_start(self, config: dict[str, Any], class_groups: Sequence[Sequence[int]]) -> None:
        """To all."""
        self._tell(lambda tracker: tracker.on_start(config, class_groups))

    def on_distillation_update(self, k: int, update: Update) -> None:
        """To all."""
        self._tell(lambda tracker: tracker.on_distillation_update(k, update))

    def on_experience_end(
        self,
        k: int,
        R_so_far: Matrix,
        untrained: Vector,
        num_test: Vector,
        confusion: Matrix | None,
        memory: CodedImages | None,
        class_names: Sequence[str],
    ) -> None:
        """To all."""
        self._tell(
            lambda tracker: tracker.on_experience_end(
                k, R_so_far, untrained, num_test, confusion, memory, class_names
            )
        )

    def on_evaluation(self, name: str, result: Result, drawings: Drawings) -> None:
        """To all."""
        self._tell(lambda tracker: tracker.on_evaluation(name, result, drawings))

    def on_end(self, report: RunReport) -> None:
        """To all."""
        self._tell(lambda tracker: tracker.on_end(report))

    def close(self) -> None:
        """Close all, in order, also those that failed before."""
        lost, self._lost = self._lost, []
        for tracker in self._trackers:
            if tracker in lost:
                with suppress(Exception):
                    tracker.close()
            else:
                self._tell(lambda tracker: tracker.close(), tracker)

    def _tell(self, say: Callable[[Tracker], None], *only: Tracker) -> None:
        for tracker in only or self._trackers:
            if tracker in self._lost:
                continue
            try:
                say(tracker)
            except InputError:
                raise
            # Whatever it is, the run must not pay for it.
            except Exception as error:
                self._lost.append(tracker)
                text = " ".join(f"{type(error).__name__}: {error}".split())
                name = type(tracker).__name__
                warnings.warn(f"{name} failed ({text}); the run goes on without it", stacklevel=3)
