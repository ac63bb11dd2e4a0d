"""Runs one after the other, each in a directory of its own, with a line of progress."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clbench import strategies
from clbench.cli.display import DISTILLATION_PHASES, ProgressLine
from clbench.cli.group import Interrupted, say
from clbench.cli.places import (
    begin_anew,
    check_runs,
    claim_below,
    directory_of_runs,
    holds_no_work,
    new_directory,
)
from clbench.config import RunConfig
from clbench.data import short_name
from clbench.distillation import DISTILLERS, Update
from clbench.errors import InputError
from clbench.evaluation.protocol import Result, Shown
from clbench.report import RunReport
from clbench.store.files import CHECKPOINTS
from clbench.store.fingerprint import name_of
from clbench.tracking import TRACKERS, NullTracker, TensorBoardTracker, Tracker, Trackers
from clbench.tracking.protocol import Drawings

SECONDS_BETWEEN_DRAWINGS = 0.1


def places(
    configs: Sequence[RunConfig], chosen: Path | None, *, fresh: bool = False, known: bool = False
) -> tuple[Path, list[Path]]:
    """The folder of these runs, and each one's directory: the folder itself for a single run.

    Args:
        configs: what is to be run.
        chosen: a folder that is claimed already; None claims the first that is free or holds these
            runs unfinished.
        fresh: go on with nothing that was left unfinished.
        known: the folder is that of a run to go on with, whatever command began it.

    Raises:
        InputError: an unknown strategy, one given twice, or a place that cannot be used.
    """
    names = [strategies.STRATEGIES.find(config.strategy).name for config in configs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"--baseline: expected strategies that differ, found {twice[0]} twice")
    together = f"{'-vs-'.join(names)}-seed{configs[0].seed}"
    stream = short_name(configs[0].benchmark.name)
    below = [""] if len(names) == 1 else names
    asked = {place: name_of(c.to_dict()) for place, c in zip(below, configs, strict=True)}
    default = Path("runs") / stream / together
    if chosen is None:
        folder = new_directory(None, default) if fresh else directory_of_runs(default, asked)
    else:
        folder = chosen
        if not known:
            check_runs(folder, asked)
    folders = [folder / place for place in below]
    if len(names) > 1:
        claim_below(folders)
    for one in folders if fresh else ():
        begin_anew(one)
    return folder, folders


def run_all(
    configs: Sequence[RunConfig],
    folders: Sequence[Path],
    *,
    chosen: Path | None,
    data_root: Path | None,
    cache: bool,
    tensorboard: bool,
    quiet: bool,
    others: Sequence[str] = (),
) -> tuple[list[RunReport], list[tuple[str, Shown]]]:
    """Run every configuration in its directory; the tables of their evaluations come second.

    One that is finished there is not run again, one that is unfinished goes on.

    Args:
        configs: what to run.
        folders: the directory of each.
        chosen: the folder that the user named for them, if any.
        data_root: see `clbench.run.run`.
        cache: whether sets distilled before may be taken.
        tensorboard: whether events are written.
        quiet: no progress.
        others: names of trackers beside TensorBoard.

    Raises:
        InputError: see `clbench.run.run`; also a tracker that is none or not installed.
        Interrupted: from outside; says what is left of the run.
    """
    pass_over_solvers()
    from clbench.run import run

    reports, tables = [], []
    for config, folder in zip(configs, folders, strict=True):
        if (folder / "report.json").exists():
            reports.append(RunReport.load(folder / "report.json"))
            if not quiet:
                say(f"{config.strategy}: finished before, in {folder}", err=True)
            continue
        with ProgressLine(not quiet) as line:
            watch = RunLine(line, config.strategy, quiet)
            trackers: list[Tracker] = [watch]
            title = f"{config.strategy} on {config.benchmark.name}, seed {config.seed}"
            trackers += [TRACKERS.find(name).opened(folder, title) for name in others]
            if tensorboard:
                trackers.append(_OpenedAtStart(folder))
            try:
                report = run(
                    config,
                    data_root=data_root,
                    output=folder,
                    progress=watch,
                    trackers=trackers,
                    use_cache=cache,
                )
            except KeyboardInterrupt:
                kept, again = _what_is_left(config, folder, cache), _how_to_go_on(folder, chosen)
                raise Interrupted(f"interrupted; {kept}; {again}") from None
        reports.append(report)
        tables += watch.tables
    return reports, tables


def pass_over_solvers() -> None:
    """Silence the warning about a solver that Avalanche's GEM would want, and nothing here."""
    warnings.filterwarnings("ignore", message="no QP solver found")


def _what_is_left(config: RunConfig, folder: Path, cache: bool) -> str:
    left = f"{config.strategy} had not learnt an experience yet"
    if (folder / "partial.json").exists():
        left = f"{folder / 'partial.json'} keeps what {config.strategy} had measured"
    if cache and _distils(config):
        return f"{left}, the cache keeps what was distilled so far"
    return left


def _distils(config: RunConfig) -> bool:
    distiller = strategies.distiller_of(config.strategy)
    return distiller is not None and DISTILLERS.find(distiller).needs_network


def _how_to_go_on(folder: Path, chosen: Path | None) -> str:
    if any((folder / name).exists() for name in CHECKPOINTS):
        return "the same command goes on"
    if chosen is None or holds_no_work(chosen):
        return "the same command starts it anew"
    return "the same command with another --output starts it anew"


class _OpenedAtStart(Trackers):
    """TensorBoard, which makes its folder only when the run has passed all checks."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def on_resume(self, position: list[Any]) -> None:
        self._open()
        super().on_resume(position)

    def on_start(self, config: dict[str, Any], class_groups: Sequence[Sequence[int]]) -> None:
        self._open()
        super().on_start(config, class_groups)

    def _open(self) -> None:
        if not self._trackers:
            self._trackers = (TensorBoardTracker(self._directory),)


class RunLine(NullTracker):
    """A run on one line: hears its progress (`RunProgress`) and, as a tracker, the losses."""

    phases = {
        "decode": "decoding",
        "train": "training",
        **DISTILLATION_PHASES,
        "evaluate": "testing",
        "cross_architecture": "training networks on the memory of",
        "architecture_search": "searching architectures by the memory of",
    }
    units = {
        "decode": "images",
        "train": "steps",
        "difficulty": "steps",
        "experts": "updates",
        "start": "updates",
        "distil": "updates",
        "evaluate": "test sets",
        "cross_architecture": "networks",
        "architecture_search": "networks",
    }

    def __init__(self, line: ProgressLine, name: str, quiet: bool) -> None:
        """Draw on ``line`` under the strategy's ``name``; ``quiet`` keeps notes back."""
        self._line, self._name, self._quiet = line, name, quiet
        self.tables: list[tuple[str, Shown]] = []
        self._phase, self._detail, self._drawn = "", "", 0.0
        self._experience = self._num_experiences = self._done = self._total = 0

    def start(self, num_experiences: int) -> None:
        """The stream is loaded."""
        self._num_experiences = num_experiences

    def phase(self, name: str, total: int) -> None:
        """A phase of ``total`` steps begins; training opens an experience."""
        self._experience += name == "train"
        where = f"experience {self._experience} of {self._num_experiences}"
        where = where if self._experience else "the untrained network"
        where = "images" if name == "decode" else where
        self._phase = f"{self._name}: {self.phases.get(name, name)} {where}"
        self._detail, self._done, self._total = self.units.get(name, "steps"), 0, total
        self._draw()

    def advance(self, num: int = 1) -> None:
        """Steps done; drawn at most ten times a second, since a step may take a millisecond."""
        self._done += num
        if time.monotonic() >= self._drawn + SECONDS_BETWEEN_DRAWINGS:
            self._draw()

    def on_distillation_update(self, k: int, update: Update) -> None:
        """The loss beside the count."""
        if update.number:
            self._detail = f"updates, loss {update.loss:.4g}"

    def on_evaluation(self, name: str, result: Result, drawings: Drawings) -> None:
        """Its table is shown below the run's own."""
        self.tables.append((f"{self._name}, memory", result.shown()))

    def note(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._line.write(f"{self._name}: {text}")

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._line.show(self._phase, self._done, self._total, self._detail)
