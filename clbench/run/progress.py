"""Who watches a run's progress: a protocol, and nobody."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from clbench.distillation import Update
from clbench.evaluation.trials import OnTrial
from clbench.run.class_numbers import in_own_numbers
from clbench.tracking import Tracker


class RunProgress(Protocol):
    """Hears how far a run has come; the run does not know what is drawn."""

    def start(self, num_experiences: int) -> None:
        """The stream is loaded and work begins."""

    def phase(self, name: str, total: int) -> None:
        """A phase begins, of ``total`` steps: "train", "distil", "evaluate" and others.

        "decode" reads image files for the first time, before the stream is loaded; "difficulty" and
        "experts" train networks that a distiller learns from, "start" makes the images that it
        starts from.

        A phase ends where the next one begins.
        """

    def advance(self, num: int = 1) -> None:
        """So many more steps of the phase are done."""

    def note(self, text: str) -> None:
        """One line to show: an experience was learnt, a distilled set came from the cache."""


class NullProgress:
    """Watches nothing."""

    def start(self, num_experiences: int) -> None:
        """Nothing."""

    def phase(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, num: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class Telling:
    """Passes on what distillers and evaluations tell while an experience goes on.

    Attributes:
        experience: index of the one under way.
    """

    def __init__(self, progress: RunProgress, tracker: Tracker, class_order: Sequence[int]) -> None:
        """Tell ``progress`` and ``tracker``; images in the data set's own class numbers."""
        self._progress, self._tracker, self._class_order = progress, tracker, class_order
        self.experience = 0
        self._told: tuple[tuple[int, str], int] = ((-1, ""), 0)

    def distilling(self, update: Update) -> None:
        """Hear an update of a distiller."""
        if update.number:
            self._show(update)
        if update.note:
            self._progress.note(f"experience {self.experience + 1}: {update.note}")
        if update.images is not None:
            images = in_own_numbers(update.images, self._class_order)
            update = dataclasses.replace(update, images=images)
        self._tracker.on_distillation_update(self.experience, update)

    def _show(self, update: Update) -> None:
        """Work that came from a cache is told in leaps, so that the first number may be any."""
        under_way, done = self._told
        if under_way != (self.experience, update.phase) or update.number <= done:
            self._progress.phase(update.phase, update.total)
            done = 0
        self._progress.advance(update.number - done)
        self._told = ((self.experience, update.phase), update.number)

    def trials(self, name: str) -> OnTrial:
        """Return what hears of the trainings of an evaluation."""
        return lambda done, total, trial, outcome: self._tried(name, done, total)

    def _tried(self, name: str, done: int, total: int) -> None:
        told, before = self._told
        if told != (-1, name):
            self._progress.phase(name, total)
            before = 0
        self._progress.advance(done - before)
        self._told = ((-1, name), done)
