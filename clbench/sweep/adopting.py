"""Runs made before a sweep, by hand or by another one, that need not be made again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from clbench import benchmarks, strategies
from clbench.config import RunConfig
from clbench.errors import InputError
from clbench.report import RunReport
from clbench.run.preparation import with_own_choices
from clbench.store.fingerprint import name_of
from clbench.strategies.reading import read_config
from clbench.sweep.states import Planned, place_of

Settle = Callable[[RunConfig], RunConfig]


def adopt(
    folder: Path, planned: Sequence[Planned], sources: Iterable[Path], data_root: Path | None
) -> int:
    """Copy finished runs that the plan asks for into the sweep; how many were copied.

    A run is one that is planned where its report's configuration is that of the planned run once
    the benchmark's own choices are filled in.

    Args:
        folder: of the sweep.
        planned: runs without a directory there are looked for.
        sources: run directories, or folders with run directories somewhere below.
        data_root: where data sets are looked for.

    Raises:
        InputError: no such folder, or a data set that is missing.
    """
    wanted = [one for one in planned if not place_of(folder, one.name).exists()]
    if not wanted:
        return 0
    found = _finished(sources)
    settle, num = _settle(data_root), 0
    for one in wanted:
        source = found.get(name_of(settle(one.config).to_dict()))
        if source is not None:
            _copy(source, place_of(folder, one.name))
            num += 1
    return num


def _settle(data_root: Path | None) -> Settle:
    """Fill in a benchmark's own choices; each benchmark is made once for all seeds."""
    made: dict[str, benchmarks.Benchmark] = {}

    def settle(config: RunConfig) -> RunConfig:
        key = name_of(config.benchmark.to_dict())
        if key not in made:
            made[key] = benchmarks.make_benchmark(config.benchmark, data_root, 0)
        return with_own_choices(strategies.resolved(config), made[key])

    return settle


def _finished(sources: Iterable[Path]) -> Mapping[str, Path]:
    """Fingerprint of a report's configuration -> its directory; of several the first."""
    found: dict[str, Path] = {}
    for source in sources:
        if not source.is_dir():
            raise InputError(f"--adopt: expected a folder with finished runs, found {source}")
        for file in sorted(source.rglob("report.json")):
            config = read_config(RunReport.load(file).config)
            found.setdefault(name_of(config.to_dict()), file.parent)
    return found


def _copy(source: Path, place: Path) -> None:
    """Copy a run directory as a whole, or not at all; links are not followed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".adopting-") as work:
        made = Path(work) / "run"
        shutil.copytree(source, made, symlinks=True, ignore=_links)
        made.rename(place)


def _links(directory: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(directory) / name).is_symlink()}
