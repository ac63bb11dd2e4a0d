"""What a run leaves on disk; every file appears whole, by a rename."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.coded import CodedImages
from clbench.errors import Diverged, InputError
from clbench.report import RunReport
from clbench.run import checkpoints
from clbench.store.claims import Claim, claim_directory, is_held_here
from clbench.store.files import clear_leftovers, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RunDirectory:
    """A run directory, or nothing at all where no output is wanted.

    Files: ``config.json``, ``env.json``, ``status.json``, ``memory/exp_k.safetensors`` (the whole
    memory after experience k, counted from 0, in the data set's own class numbers), ``report.json``
    and ``figures/*.png``; until the report is there, ``partial.json`` with what is measured so far
    and ``checkpoint.pt``, from which the same run goes on, see `clbench.run.checkpoints`.

    Attributes:
        path: of the directory, or None.
        state: what this very run left there when it was stopped; None where it begins.
        notes: a sentence on each checkpoint that could not be used.
    """

    def __init__(self, path: Path | None, asked: str = "") -> None:
        """Make the directory, which may hold an unfinished run but no finished one.

        Args:
            path: of the directory; None for nothing at all.
            asked: names the configuration as it was asked for, with nothing filled in;
                ``status.json`` keeps it, so that the same command is known again.

        Raises:
            InputError: it cannot be written, holds a report, or another process writes to it.
        """
        self.path, self._work, self._asked = path, "", asked
        self._claim: Claim | None = None
        self.state: dict[str, Any] | None = None
        self.notes: list[str] = []
        self._notes: list[str] = []
        if path is None:
            return
        try:
            self._claim = None if is_held_here(path) else claim_directory(path)
        except OSError as error:
            raise InputError(
                f"output: expected a directory that can be written, found {path} "
                f"({error.strerror or error}); choose another"
            ) from None
        if self._claim is None and not is_held_here(path):
            raise InputError(
                f"output: expected a directory of this run alone, found one that another is "
                f"writing to, {path}; wait for it or choose another"
            )
        if (path / "report.json").exists():
            self.close()
            raise InputError(
                f"output: expected a new directory, found a finished run in {path}; choose another "
                "or remove it"
            )
        clear_leftovers(path)

    def close(self) -> None:
        """Leave the directory to others."""
        if self._claim is not None:
            self._claim.release()

    def take_up(self, work: str) -> None:
        """Read what a run was stopped with.

        Args:
            work: names the run: its configuration, its data, and the versions.

        Raises:
            InputError: another run was left there unfinished.
        """
        self._work = work
        if self.path is None:
            return
        self.state, self.notes = checkpoints.read(self.path)
        if self.state is not None and self.state["work"] != work:
            raise InputError(
                "output: expected a new directory or this very run unfinished, found one of other "
                f"settings, data or versions in {self.path}; choose another, remove it, or begin "
                "anew with `clbench run --fresh`"
            )

    def reached(self, state: dict[str, Any]) -> None:
        """Keep what the run can go on from; a disk that is full costs the run nothing but that."""
        assert self.path is not None
        try:
            checkpoints.write(self.path, {"work": self._work, **state})
        except OSError as error:
            warnings.warn(f"{self.path}: no checkpoint was written ({error})", stacklevel=2)

    @contextmanager
    def recorded(self, config: dict[str, Any], environment: dict[str, Any]) -> Iterator[None]:
        """Write configuration and environment; keep ``status.json`` true whatever happens."""
        about = {"config.json": config, "env.json": environment}
        for name, content in about.items():
            self._json(name, content)
        self._status("running")
        try:
            yield
        except KeyboardInterrupt:
            self._end(
                "interrupted",
                "interrupted from outside; the same command, or `clbench run --resume`, goes on",
            )
            raise
        except Diverged as error:
            self._end("diverged", " ".join(str(error).split()))
            raise
        except BaseException as error:
            line = " ".join(str(error).split())
            self._end("failed", f"{type(error).__name__}: {line}" if line else type(error).__name__)
            raise
        else:
            self._restore(about)
            self._status("done")

    def _restore(self, about: Mapping[str, Any]) -> None:
        """Write again what somebody removed while the run was under way."""
        missing = [name for name in about if self.path and not (self.path / name).exists()]
        for name in missing:
            self._json(name, about[name])
        if missing:
            warnings.warn(
                f"{self.path}: {', '.join(missing)} had been removed during the run and are "
                "written again; memories and events of before are lost",
                stacklevel=2,
            )

    def partial(self, measured: dict[str, Any]) -> None:
        """Keep what was measured so far."""
        self._json("partial.json", measured)

    def memory(self, k: int, contents: CodedImages) -> None:
        """Keep the memory as it is after experience ``k``."""
        if self.path is not None:
            path = self.path / "memory" / f"exp_{k}.safetensors"
            contents.save(path, {"experience": str(k)})

    def report(
        self,
        report: RunReport,
        memory: CodedImages | None,
        class_names: Sequence[str],
        more: Mapping[str, Callable[[], Figure]],
    ) -> list[str]:
        """Write the report, which takes the place of ``partial.json``, and then the figures.

        Returns:
            A sentence on each figure that failed; they are part of ``status.json`` too.
        """
        if self.path is None:
            return []
        report.save(self.path / "report.json")
        (self.path / "partial.json").unlink(missing_ok=True)
        checkpoints.remove(self.path)
        self._notes = self._figures(self.path / "figures", report, memory, class_names, more)
        return self._notes

    @staticmethod
    def _figures(
        folder: Path,
        report: RunReport,
        memory: CodedImages | None,
        class_names: Sequence[str],
        more: Mapping[str, Callable[[], Figure]],
    ) -> list[str]:
        from clbench import figures

        R, groups, confusion = report.accuracy_matrix, report.class_groups, report.confusion_matrix
        drawings: dict[str, Callable[[], Figure]] = {
            "accuracy_matrix": lambda: figures.accuracy_matrix_figure(R, class_groups=groups),
            "forgetting_curves": lambda: figures.forgetting_curves_figure(R, class_groups=groups),
        }
        if confusion:
            drawings["confusion"] = lambda: figures.confusion_figure(
                confusion, class_names=class_names
            )
        if memory is not None and len(memory):
            drawings["memory"] = lambda: figures.memory_figure(
                memory.images, class_names=class_names, num_bytes=memory.num_bytes
            )
        losses = [entry["losses"] for entry in report.distillation]
        if any(losses):
            drawings["distillation"] = lambda: figures.distillation_figure(losses)
        return figures.save_figures(drawings | dict(more), folder)

    def _end(self, status: str, error: str) -> None:
        # The disk may be what failed; the first error is the one to see.
        with suppress(OSError):
            self._status(status, error)

    def _status(self, status: str, error: str | None = None) -> None:
        notes = {"notes": self._notes} if self._notes else {}
        asked = {"asked": self._asked} if self._asked else {}
        self._json("status.json", {"status": status, "error": error, **asked, **notes})

    def _json(self, name: str, content: Any) -> None:
        if self.path is not None:
            write_json(self.path / name, content)
