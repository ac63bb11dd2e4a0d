"""Finding the reports of finished runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clbench.errors import InputError
from clbench.report import RunReport
from clbench.store.reading import read_json


@dataclass(frozen=True)
class Runs:
    """Reports with the files they came from; iterates over the reports.

    Attributes:
        paths: the report files, sorted.
        reports: one per path.
        unfinished: run directories that hold no report (running, failed or interrupted).
        diverged: those whose learner, memory or distillation diverged.
    """

    paths: tuple[Path, ...]
    reports: tuple[RunReport, ...]
    unfinished: tuple[Path, ...] = ()
    diverged: tuple[Path, ...] = ()

    def __len__(self) -> int:
        """Number of reports."""
        return len(self.reports)

    def __iter__(self) -> Iterator[RunReport]:
        """The reports, in the order of their paths."""
        return iter(self.reports)

    def without_repeats(self) -> tuple[Runs, int]:
        """Return these without reports that equal an earlier one but for what was measured.

        Their number comes second.
        """
        kept: dict[str, int] = {}
        for position, report in enumerate(self.reports):
            found = {k: v for k, v in vars(report).items() if k not in ("measured", "environment")}
            kept.setdefault(repr(found), position)
        paths = tuple(self.paths[i] for i in kept.values())
        reports = tuple(self.reports[i] for i in kept.values())
        return Runs(paths, reports, self.unfinished, self.diverged), len(self) - len(reports)


def load_runs(paths: Iterable[Path | str]) -> Runs:
    """Read every report at or below ``paths``; one that is reached twice counts once.

    Args:
        paths: report files, run directories, or folders that hold run directories at any depth.

    Raises:
        InputError: a path that does not exist, a file that is no report, or no report at all.
    """
    files: dict[Path, Path] = {}
    unfinished: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"no such file or folder: {path}; expected runs of `clbench run`")
        for file in [path] if path.is_file() else sorted(path.rglob("report.json")):
            files.setdefault(file.resolve(), file)
        for status in sorted(path.rglob("status.json")) if path.is_dir() else ():
            if not (status.parent / "report.json").exists():
                unfinished.setdefault(status.parent.resolve(), status.parent)
    if not files:
        few = f" ({len(unfinished)} unfinished: {_states(unfinished.values())})"
        raise InputError(
            "expected at least one report.json below the given paths, found none"
            + (few if unfinished else "")
            + "; `clbench run --output DIRECTORY` writes one"
        )
    ordered = sorted(files.values())
    reports = tuple(RunReport.load(file) for file in ordered)
    left_out = sorted(unfinished.values())
    diverged = tuple(folder for folder in left_out if _state(folder) == "diverged")
    others = tuple(folder for folder in left_out if folder not in diverged)
    return Runs(tuple(ordered), reports, others, diverged)


def _states(folders: Iterable[Path]) -> str:
    return ", ".join(f"{folder} {_state(folder)}" for folder in folders)


def _state(folder: Path) -> str:
    try:
        return str(read_json(folder / "status.json")["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return "status unreadable"
