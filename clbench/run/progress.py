"""Who watches a run's progress: a protocol, and nobody."""

from __future__ import annotations

from typing import Protocol


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
