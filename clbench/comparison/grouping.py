"""Runs that differ in nothing but the seed form a group; what differs between groups names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clbench.comparison.readings import final_memory_bytes, score, used_networks
from clbench.errors import InputError
from clbench.measuring.scores import AVERAGE
from clbench.report import RunReport
from clbench.strategies import read_config

# What a strategy does by itself; everything else is a condition that groups should share.
METHOD = ("distillation.", "set_training.", "method.")
STREAM = ("benchmark.", "data.")
_BYTES = "memory.capacity_bytes"

Fields = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """The runs of one configuration.

    Attributes:
        fields: the configuration, flat, without seed and strategy, and ``data.fingerprint``.
        strategy: name of the strategy.
        runs: seed -> report, ascending.
        scores: seed -> what groups are ranked and tested by, in 0..1.
        label: strategy and whatever sets this group apart from the others.
    """

    fields: Fields
    strategy: str
    runs: Mapping[int, RunReport]
    label: str
    scores: Mapping[int, float]

    @property
    def mean_score(self) -> float:
        """Over the seeds."""
        return float(np.mean(list(self.scores.values())))


def group_runs(named_reports: Sequence[tuple[str, RunReport]], metric: str = AVERAGE) -> list[Cell]:
    """Group reports by everything but the seed, and label the groups.

    Args:
        named_reports: (where it came from, report).
        metric: what a group's scores are, one of `SCORES`.

    Raises:
        InputError: a configuration without strategy or seed, or two runs of one configuration and
            seed, or a report without the metric.
    """
    found: dict[str, tuple[str, Fields, dict[int, tuple[str, RunReport]]]] = {}
    read: dict[str, Fields] = {}
    for name, report in named_reports:
        strategy, seed, fields = _identity(name, report, read)
        key = repr((strategy, sorted(fields.items())))
        runs = found.setdefault(key, (strategy, fields, {}))[2]
        if seed in runs:
            raise InputError(
                f"expected one run per configuration and seed, found two of {strategy} with seed "
                f"{seed}: {runs[seed][0]} and {name}; leave one out"
            )
        runs[seed] = (name, report)
    parts = [(strategy, fields) for strategy, fields, _ in found.values()]
    cells = []
    for (strategy, fields, runs), label in zip(found.values(), label_fields(parts), strict=True):
        reports = {seed: runs[seed][1] for seed in sorted(runs)}
        scores = {seed: score(report, metric) for seed, report in reports.items()}
        cells.append(Cell(fields, strategy, reports, label, scores))
    return cells


def _identity(name: str, report: RunReport, read: dict[str, Fields]) -> tuple[str, int, Fields]:
    # Reading takes 20 ms, and the runs of a row differ in their seeds alone.
    written = repr({**report.config, "seed": None})
    if written not in read:
        read[written] = dict(_flatten(_today(report.config)))
    fields = {**read[written], "seed": report.config.get("seed")}
    strategy, seed = fields.pop("strategy", None), fields.pop("seed", None)
    if not isinstance(strategy, str) or not isinstance(seed, int):
        raise InputError(
            f"{name}: expected a configuration with strategy and seed, found {strategy!r} and "
            f"{seed!r}"
        )
    # Evaluations of the last memory come after all that is compared.
    fields = {k: v for k, v in fields.items() if not k.startswith(("evaluation.", "evaluations."))}
    # What was not done had no say in the run, whatever its settings.
    done = {"distillation.": used_networks(report), "memory.": final_memory_bytes(report)}
    idle = tuple(prefix for prefix, what in done.items() if not what)
    fields = {k: v for k, v in fields.items() if not k.startswith(idle)}
    # Of the two ways to give a capacity, bytes name a group first.
    fields = {**{k: fields[k] for k in (_BYTES,) if k in fields}, **fields}
    fields["data.fingerprint"] = str(report.data.get("fingerprint"))
    return strategy, seed, fields


def _today(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of an older report as one of today, with defaults for what it lacks.

    One that cannot be read so (of a third party's method that is not installed) stays as it is.
    """
    if not {"strategy", "seed"} <= set(config):
        return config
    try:
        read = read_config(config)
        return read.replace(memory=read.memory.settled()).to_dict()
    except InputError:
        return config


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differing(fields: Iterable[Fields]) -> list[str]:
    """Names of the fields that do not have one value throughout, in order of appearance.

    A group that lacks a field has no value to differ in.
    """
    values: dict[str, set[str]] = {}
    for group in fields:
        for name, value in group.items():
            values.setdefault(name, set()).add(repr(value))
    return [name for name, found in values.items() if len(found) > 1]


def _telling(fields: Sequence[Fields], names: Iterable[str]) -> list[str]:
    """The fewest of ``names``, first come, that tell apart all that ``names`` tell apart.

    A network's width, say, says nothing new where its name already differs.
    """
    chosen: list[str] = []
    for name in names:
        values: dict[str, set[str]] = {}
        for group in fields:
            so_far = repr([group.get(other) for other in chosen])
            values.setdefault(so_far, set()).add(repr(group.get(name)))
        if any(len(found) > 1 for found in values.values()):
            chosen.append(name)
    return chosen


def label_fields(groups: Sequence[tuple[str, Fields]]) -> list[str]:
    """Return a label for each strategy and its settings: the strategy, and what sets it apart."""
    return [
        ", ".join(filter(None, [strategy, *(f"{n}={v}" for n, v in settings.items())]))
        for (strategy, _), settings in zip(groups, telling_settings(groups), strict=True)
    ]


def telling_settings(groups: Sequence[tuple[str, Fields]]) -> list[dict[str, str]]:
    """Return for each strategy and its settings those that set it apart: short name -> value."""
    every = [fields for _, fields in groups]
    conditions = [name for name in differing(every) if not name.startswith(METHOD)]
    shown = [list(_telling(every, conditions)) for _ in groups]
    for strategy in {strategy for strategy, _ in groups}:
        own = [i for i, (other, _) in enumerate(groups) if other == strategy]
        mine = [every[i] for i in own]
        everything = _telling(mine, shown[own[0]] + differing(mine))
        for i in own:
            shown[i] += [name for name in everything if name not in shown[i]]
    short = _short_names({name for names in shown for name in names})
    return [
        {short[name]: _value(name, fields[name]) for name in names if name in fields}
        for (_, fields), names in zip(groups, shown, strict=True)
    ]


def _short_names(names: Iterable[str]) -> dict[str, str]:
    """``memory.codec`` becomes codec, ``learner.network.name`` network, unless two collide."""
    short = {name: name.removesuffix(".name").rpartition(".")[2] for name in sorted(names)}
    taken = list(short.values())
    return {name: s if taken.count(s) == 1 else name for name, s in short.items()}


def _value(name: str, value: Any) -> str:
    if value is None:
        return "default"
    return str(value)[:8] if name == "data.fingerprint" else str(value)
