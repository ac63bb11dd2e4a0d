"""Distillations on the way, kept on disk: the same work goes on where it was stopped."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol

from clbench.distillation.protocol import Job, OnUpdate, Update
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.updates import UpdateLog, plain
from clbench.distillation.work import work_name
from clbench.store.checkpoints import NoCheckpointError, checkpoint_bytes, checkpoint_values
from clbench.store.store import Store
from clbench.store.under_way import EVERY_SECONDS, KIND, WORTH_KEEPING_SECONDS


class Resumable(Protocol):
    """Work whose state is small: tensors and plain values."""

    def state_dict(self) -> dict[str, Any]:
        """Return copies of all that the rest of the work depends on."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Be where `state_dict` was taken."""
        ...


class Configured(Protocol):
    """A distiller whose work its configuration and its job name."""

    @property
    def config(self) -> DistillationConfig:
        """All of its configuration."""
        ...


class Unfinished:
    """One distillation on disk while it is under way; a context around all of it.

    The state reached last is written every ``EVERY_SECONDS`` and when an exception (Ctrl-C, mostly)
    leaves the context; the end removes the file. A file that cannot be read or written costs a
    warning, never a distillation.

    Attributes:
        state: where the work was stopped, for `Resumable.load_state_dict`; None where it begins.
        log: all that was told, by the stopped work too.
    """

    def __init__(self, name: str | None, on_update: OnUpdate | None) -> None:
        """Keep the work called ``name`` in the user's cache; None keeps nothing.

        All that `tell` hears goes to ``on_update``; what a stopped work told is told again here.
        """
        self._name, self._store = name, None if name is None else Store()
        self._start = self._written = time.perf_counter()
        self._latest: tuple[dict[str, Any], int, float] | None = None
        self._seconds_before = 0.0
        self.log = UpdateLog(on_update)
        self.state: dict[str, Any] | None = None
        kept = self._read()
        if kept is not None:
            self.state, self._seconds_before = kept["state"], float(kept["seconds"])
            for values in kept["updates"]:
                self.tell(Update(**values))

    @staticmethod
    def of(distiller: Configured, job: Job) -> Unfinished:
        """That of ``distiller`` and ``job``, kept on disk where the job says so."""
        name = work_name(distiller.config, type(distiller), job) if job.keep else None
        return Unfinished(name, job.on_update)

    @property
    def num_updates(self) -> int:
        """Updates of the images that were told."""
        return len(self.log.losses)

    def tell(self, update: Update) -> None:
        """An `OnUpdate`; adds the seconds of the stopped work."""
        saved = max(update.seconds_saved, self._seconds_before)
        self.log(replace(update, seconds_saved=saved))

    def reached(self, work: Resumable) -> None:
        """The work can go on from where ``work`` is now."""
        if self._name is None:
            return
        now = time.perf_counter()
        seconds = now - self._start + self.log.seconds_saved
        self._latest = (work.state_dict(), len(self.log.told), seconds)
        if now - self._written > EVERY_SECONDS:
            self._write()

    def __enter__(self) -> Unfinished:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what was reached, or remove what is finished."""
        if self._name is None or self._store is None:
            return
        if kind is None:
            self._store.remove(KIND, self._name)
        elif time.perf_counter() - self._start > WORTH_KEEPING_SECONDS:
            self._write()

    def _write(self) -> None:
        if self._name is None or self._store is None or self._latest is None:
            return
        state, num_told, seconds = self._latest
        updates = [plain(update) for update in self.log.told[:num_told]]
        values = {"state": state, "updates": updates, "seconds": seconds}
        self._store.write(KIND, self._name, checkpoint_bytes(values))
        self._written, self._latest = time.perf_counter(), None

    def _read(self) -> dict[str, Any] | None:
        if self._name is None or self._store is None:
            return None
        content = self._store.read(KIND, self._name)
        if content is None:
            return None
        try:
            kept = checkpoint_values(content, ("state", "updates", "seconds"))
            for values in kept["updates"]:
                Update(**values)
            return {**kept, "seconds": float(kept["seconds"])}
        except (NoCheckpointError, TypeError, ValueError) as error:
            warnings.warn(f"broken entry of an unfinished distillation ({error})", stacklevel=3)
            return None
