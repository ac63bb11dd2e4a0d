"""What a page says of each row of a comparison, and of each run in it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from clbench.comparison import Group, Runs
from clbench.comparison.readings import final_memory_bytes, total_seconds
from clbench.errors import InputError
from clbench.measuring import metrics
from clbench.page.charts import Look
from clbench.page.command import command_of
from clbench.page.gallery import Gallery, galleries
from clbench.report import RunReport
from clbench.store.plain import to_json
from clbench.strategies import read_config

PHASES = ("train", "distil", "evaluate")
TERA = 1e12
NO_COMMAND = "No options of clbench run make this configuration; save it as config.json, then:"


@dataclass(frozen=True)
class Run:
    """One run of a row.

    Attributes:
        anchor: its place in the page.
        seed: of the run.
        score: what rows are ranked by, 0..1.
        forgetting: 0..1; None on a stream of one experience.
        num_bytes: of its last memory; None without one.
        seconds: wall time; None where the report holds none.
        command: that makes it.
        exact: the command alone makes the configuration.
        config: place of the configuration.
        folder: run directory; "" where it is not known.
        made_with: versions and machine.
    """

    anchor: str
    seed: int
    score: float
    forgetting: float | None
    num_bytes: float | None
    seconds: float | None
    command: str
    exact: bool
    config: str
    folder: str
    made_with: str


@dataclass(frozen=True)
class Matrix:
    """Accuracies after each experience on each, the mean over seeds.

    Attributes:
        cells: T x T, per cent.
        classes: of each experience; "" where they differ between seeds.
    """

    cells: list[list[float]]
    classes: list[str]


@dataclass(frozen=True)
class Row:
    """One row of the comparison.

    Attributes:
        anchor: its place in the page.
        group: what was measured.
        look: in charts.
        runs: one for each seed.
        configs: place -> JSON of a configuration without its seed.
        matrix: None where the runs' streams have different lengths.
        gallery: None without a memory.
        seconds: phase -> mean over seeds; empty where the reports hold none.
        operations: phase -> mean over seeds, in 10^12; empty where the reports hold none.
    """

    anchor: str
    group: Group
    look: Look
    runs: list[Run]
    configs: dict[str, str]
    matrix: Matrix | None
    gallery: Gallery | None
    seconds: dict[str, float]
    operations: dict[str, float]

    @property
    def name(self) -> str:
        """Of the memory, which is unique among rows of one stream, learner and budget."""
        return self.group.memory or self.group.label


def make_rows(groups: Sequence[Group], runs: Runs | None) -> list[Row]:
    """Return a row for each group.

    Args:
        groups: of the comparison.
        runs: where its reports come from, for folders and memories; None where nobody knows.
    """
    folders = _folders(runs)
    first = [folders.get(id(group.reports[0])) for group in groups]
    looks = _looks(groups)
    pictures = galleries(groups, first)
    return [
        _row(f"row-{i}", group, looks[group.memory or group.label], folders, picture)
        for i, (group, picture) in enumerate(zip(groups, pictures, strict=True), 1)
    ]


def _folders(runs: Runs | None) -> dict[int, Path]:
    """Identity of a report -> its run directory."""
    if runs is None:
        return {}
    return {id(r): path.parent for r, path in zip(runs.reports, runs.paths, strict=True)}


def _looks(groups: Sequence[Group]) -> dict[str, Look]:
    """One look for each memory, and for each learner without one, in all charts."""
    looks: dict[str, Look] = {}
    for bound, look in ((False, Look.of), (True, Look.of_bound)):
        mine = [group for group in groups if (group.memory_bytes is None) is bound]
        names = dict.fromkeys(group.memory or group.label for group in mine)
        looks |= {name: look(i) for i, name in enumerate(n for n in names if n not in looks)}
    return looks


def _row(
    anchor: str,
    group: Group,
    look: Look,
    folders: Mapping[int, Path],
    picture: Gallery | None,
) -> Row:
    made: dict[str, tuple[str, list[str] | None]] = {}
    runs, configs = [], {}
    for i, report in enumerate(group.reports):
        config = {name: value for name, value in report.config.items() if name != "seed"}
        # A key that is quick to make: most runs of a group differ in nothing but the seed.
        key = repr(config)
        if key not in made:
            made[key] = f"{anchor}-config-{len(made) + 1}", _words_but_seed(report)
            configs[made[key][0]] = to_json(config)
        runs.append(_run(anchor, group, i, made[key], folders.get(id(report))))
    return Row(
        anchor, group, look, runs, configs, _matrix(group), picture,
        _phases([r.measured.get("seconds") for r in group.reports], 1.0),
        _phases([r.flops for r in group.reports], TERA),
    )  # fmt: skip


def _run(
    anchor: str, group: Group, i: int, made: tuple[str, list[str] | None], folder: Path | None
) -> Run:
    report, seed = group.reports[i], group.seeds[i]
    config, words = made
    several = len(report.accuracy_matrix) > 1
    return Run(
        f"{anchor}-seed-{seed}",
        seed,
        group.score.values[i],
        metrics.forgetting(report.accuracy_matrix) if several else None,
        final_memory_bytes(report),
        total_seconds(report),
        shlex.join(_with_seed(words, seed)),
        words is not None,
        config,
        "" if folder is None else str(folder),
        _made_with(report.environment),
    )


def _words_but_seed(report: RunReport) -> list[str] | None:
    """Return the command of a report's configuration without its seed, which takes a while."""
    try:
        return command_of(read_config(report.config).replace(seed=0))
    except InputError:
        return None


def _with_seed(words: list[str] | None, seed: int) -> list[str]:
    if words is None:
        return ["clbench", "run", "--config", "config.json", "--seed", str(seed)]
    # Behind the strategy, where `command_of` puts it; 0 is the default.
    return [*words[:4], "--seed", str(seed), *words[4:]] if seed else words


def _made_with(environment: Mapping[str, Any]) -> str:
    versions = environment.get("versions")
    known = dict(versions) if isinstance(versions, Mapping) else {}
    commit = environment.get("commit")
    words = [f"{name} {known[name]}" for name in ("clbench", "torch") if name in known]
    words += [f"commit {str(commit)[:12]}"] if commit else []
    words += [str(environment[name]) for name in ("device", "processor") if environment.get(name)]
    return ", ".join(words)


def _matrix(group: Group) -> Matrix | None:
    matrices = [report.accuracy_matrix for report in group.reports]
    if len({len(R) for R in matrices}) > 1:
        return None
    groups = [report.class_groups for report in group.reports]
    same = all(found == groups[0] for found in groups)
    classes = [" ".join(map(str, one)) if same else "" for one in groups[0]]
    return Matrix((100 * np.mean(matrices, axis=0)).tolist(), classes)


def _phases(found: Sequence[Any], unit: float) -> dict[str, float]:
    """Mean of each phase over the runs that hold it."""
    means = {}
    for phase in PHASES:
        values = [
            float(one[phase]) / unit
            for one in found
            if isinstance(one, Mapping) and one.get(phase) is not None
        ]
        if values:
            means[phase] = fmean(values)
    return means
