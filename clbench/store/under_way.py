"""Work on the way, kept in the store: the same work goes on where it was stopped."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from clbench.errors import Diverged
from clbench.machine.steps import may_stop, stop_is_asked
from clbench.store.checkpoints import NoCheckpointError, checkpoint_bytes, checkpoint_values
from clbench.store.store import Store

KIND = "unfinished"  # of entries in the store
EVERY_SECONDS = 30.0  # between two writings
WORTH_KEEPING_SECONDS = 1.0


class Clock:
    """Says when it is time to write a state down: every ``EVERY_SECONDS``, and before a stop."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._start = self._written = time.perf_counter()

    @property
    def is_due(self) -> bool:
        """Whether the state should be written now."""
        return stop_is_asked() or time.perf_counter() - self._written > EVERY_SECONDS

    @property
    def is_worth_it(self) -> bool:
        """Whether what was done since the last writing took longer than a writing does."""
        return time.perf_counter() - self._written > WORTH_KEEPING_SECONDS

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._start

    def written(self) -> None:
        """The state was written just now."""
        self._written = time.perf_counter()


class UnderWay:
    """One piece of work in the store while it is under way; a context around all of it.

    What the work can go on from is written every ``EVERY_SECONDS``, and before a stop; the end of
    the context removes it. A state that cannot be read or written costs a warning, never the work.

    Attributes:
        state: where the work was stopped; None where it begins.
        seconds_before: wall time of the stopped work.
    """

    def __init__(self, store: Store | None, name: str, names: Sequence[str]) -> None:
        """Look for the work called ``name``; its state has values called ``names``.

        A store that is None keeps nothing.
        """
        self._store, self._name, self._names = store, name, (*names, "seconds")
        self._clock, self.seconds_before = Clock(), 0.0
        self.state = self._read()
        if self.state is not None:
            self.seconds_before = float(self.state["seconds"])

    @property
    def seconds(self) -> float:
        """Wall time of the work so far, that of the stopped one too."""
        return self.seconds_before + self._clock.seconds

    def reached(self, state: Callable[[], dict[str, Any]]) -> None:
        """The work can go on from ``state()``, which is asked for where it is to be written.

        Raises:
            KeyboardInterrupt: a stop was asked for, and the state is written.
        """
        if self._store is not None and self._clock.is_due:
            values = {**state(), "seconds": self.seconds}
            self._store.write(KIND, self._name, checkpoint_bytes(values))
            self._clock.written()
        may_stop()

    def __enter__(self) -> UnderWay:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove what is finished, or leads nowhere."""
        ended = kind is None or issubclass(kind, Diverged)
        if ended and self._store is not None:
            self._store.remove(KIND, self._name)

    def _read(self) -> dict[str, Any] | None:
        content = None if self._store is None else self._store.read(KIND, self._name)
        if content is None:
            return None
        try:
            kept = checkpoint_values(content, self._names)
            return {**kept, "seconds": float(kept["seconds"])}
        except (NoCheckpointError, TypeError, ValueError) as error:
            warnings.warn(f"broken entry of unfinished work ({error})", stacklevel=3)
            return None
