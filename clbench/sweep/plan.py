"""From axes to runs: every combination of values, less what is excluded, each in its own directory.

A plan is a TOML file (or the same by options):

    [fixed]                      # options of `clbench run`, without dashes before them
    benchmark = "split_mnist"
    [vary]                       # axes
    strategy = ["random_replay", "kip_replay"]
    memory-bytes = [1960, 7840]
    seed = [0, 1, 2]
    [[override]]                 # other values for some of the runs
    where = { strategy = "kip_replay" }
    set = { kernel-num-updates = 30 }
    [[exclude]]                  # combinations that are not run
    strategy = "kip_replay"
    memory-bytes = 7840

In ``where`` and ``[[exclude]]`` a list means any of its values. A study of several grids has a
``[[grid]]`` for each, with tables ``fixed``, ``vary``, ``override`` and ``exclude`` of its own;
those outside hold for every grid, and a grid's own win.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from clbench.errors import InputError, did_you_mean
from clbench.store.reading import read_limited

Values = Mapping[str, Any]
MOST_RUNS = 100_000
_PARTS = ("fixed", "vary", "override", "exclude")
_GRID = "grid"
_PLAIN = (str, int, float, bool)
_MOST_NAME = 120


@dataclass(frozen=True)
class Override:
    """Other values for some combinations.

    Attributes:
        where: option -> value of those meant, or a list of values.
        values: option -> value that they get.
    """

    where: Values
    values: Values


@dataclass(frozen=True)
class Grid:
    """What a plan says.

    Attributes:
        fixed: option -> value of every run.
        vary: option -> values, the axes; the last but ``seed`` moves fastest.
        overrides: later ones win.
        exclude: option -> value, or list of values, of combinations that are not run.
    """

    fixed: Values
    vary: Mapping[str, Sequence[Any]]
    overrides: Sequence[Override] = ()
    exclude: Sequence[Values] = ()

    def __post_init__(self) -> None:
        num = math.prod(len(values) for values in self.vary.values())
        if num > MOST_RUNS:
            raise InputError(f"expected a grid of at most {MOST_RUNS:,} runs, found {num:,}")

    @property
    def seeds(self) -> Sequence[Any]:
        """The axis of seeds."""
        return self.vary.get("seed", ())

    def combinations(self) -> Iterator[tuple[Values, Values]]:
        """The options of each run, and those among them that vary; seeds move slowest.

        So that a sweep that was stopped early has compared everything under some seeds.
        """
        axes = sorted(self.vary, key=lambda name: name != "seed")
        for chosen in product(*(self.vary[name] for name in axes)):
            varied = dict(zip(axes, chosen, strict=True))
            if any(_agrees({**self.fixed, **varied}, excluded) for excluded in self.exclude):
                continue
            options = {**self.fixed, **varied}
            for override in self.overrides:
                if _agrees({**self.fixed, **varied}, override.where):
                    options.update(override.values)
            yield options, {name: varied[name] for name in self.vary}


def combinations(grids: Sequence[Grid]) -> list[tuple[Values, Values]]:
    """Return what `Grid.combinations` gives of all grids; seeds move slowest over all of them.

    What tells grids apart varies, too: options that are fixed in each, to other values.
    """
    names = dict.fromkeys(name for grid in grids for name in grid.fixed)
    first = grids[0].fixed if grids else {}
    apart = [name for name in names if any(g.fixed.get(name) != first.get(name) for g in grids)]
    found = []
    for grid in grids:
        own = {name: grid.fixed[name] for name in apart if name in grid.fixed}
        for options, varied in grid.combinations():
            rank = grid.seeds.index(options["seed"]) if "seed" in varied else 0
            found.append((rank, options, {**own, **varied}))
    return [(options, varied) for _, options, varied in sorted(found, key=lambda one: one[0])]


def _agrees(options: Values, wanted: Values) -> bool:
    return all(
        name in options and options[name] in (value if isinstance(value, list) else [value])
        for name, value in wanted.items()
    )


def directory_name(varied: Values, fingerprint: str) -> str:
    """Return a directory's name: what varies, for people, and the fingerprint, which decides."""
    words = [str(value) if name == "strategy" else f"{name}={value}" for name, value in
             varied.items()]  # fmt: skip
    plain = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", "-".join(words))[:_MOST_NAME].strip("-.")
    return f"{plain or 'run'}-{fingerprint[:8]}"


def read_plan(file: Path) -> list[Grid]:
    """Return the grids in a TOML file.

    Raises:
        InputError: no such file, no TOML, or something else in it than a plan.
    """
    try:
        values = tomllib.loads(read_limited(file).decode())
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; see clbench sweep --help for a plan") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: expected the TOML of a plan, found {reason}") from None
    try:
        return grids_of(values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def grids_of(values: Mapping[str, Any]) -> list[Grid]:
    """Return the grids that a plan's tables say: one, or as many as it has ``[[grid]]``.

    Raises:
        InputError: unknown tables, or values of another type.
    """
    _known(values, (*_PARTS, _GRID), "table")
    common = _grid({name: value for name, value in values.items() if name != _GRID})
    own = _tables(values, _GRID)
    for one in own:
        _known(one, _PARTS, "table of [[grid]]")
    return [_within(_grid(one), common) for one in own] or [common]


def _within(own: Grid, common: Grid) -> Grid:
    """Return a grid with what holds for all of them; an option is fixed or varies, as it says."""
    fixed = {name: value for name, value in common.fixed.items() if name not in own.vary}
    vary = {name: values for name, values in common.vary.items() if name not in own.fixed}
    return Grid(
        {**fixed, **own.fixed},
        {**vary, **own.vary},
        (*common.overrides, *own.overrides),
        (*common.exclude, *own.exclude),
    )


def _grid(values: Mapping[str, Any]) -> Grid:
    vary = _table(values, "vary")
    for name, choices in vary.items():
        if not isinstance(choices, list) or not choices or not all(map(_is_plain, choices)):
            raise InputError(f"[vary] {name}: expected a list of values, found {choices!r:.80}")
    overrides = []
    for override in _tables(values, "override"):
        _known(override, ("where", "set"), "key of [[override]]")
        where = _wanted(_table(override, "where"), "override.where")
        overrides.append(Override(where, _options(override, "set", "override")))
    exclude = [_wanted(dict(one), "exclude") for one in _tables(values, "exclude")]
    if not all(exclude):
        raise InputError("[[exclude]]: expected options and values, found none, which is all runs")
    lists = {name: list(dict.fromkeys(choices)) for name, choices in vary.items()}
    return Grid(_options(values, "fixed"), lists, overrides, exclude)


def _wanted(table: dict[str, Any], where: str) -> dict[str, Any]:
    """Return options and what they must be: one value, or a list of which one is enough."""
    for name, value in table.items():
        several = value if isinstance(value, list) and value else [value]
        if not all(map(_is_plain, several)):
            raise InputError(f"[{where}] {name}: expected values, found {value!r:.80}")
    return table


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name, {})
    if not isinstance(found, dict):
        raise InputError(f"[{name}]: expected a table, found {found!r:.80}")
    return found


def _tables(values: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = values.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError(f"[[{name}]]: expected tables, found {found!r:.80}")
    return found


def _options(values: Mapping[str, Any], name: str, above: str = "") -> dict[str, Any]:
    return _plain(_table(values, name), f"{above}.{name}" if above else name)


def _plain(table: dict[str, Any], where: str) -> dict[str, Any]:
    for name, value in table.items():
        if not _is_plain(value):
            raise InputError(f"[{where}] {name}: expected one value, found {value!r:.80}")
    return table


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN)


def _known(names: Iterable[str], expected: Sequence[str], what: str) -> None:
    for name in names:
        if name not in expected:
            hint = did_you_mean(name, expected)
            raise InputError(f"expected the {what} {', '.join(expected)}, found {name!r}{hint}")
