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
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from clbench.errors import InputError
from clbench.store.reading import read_limited

Values = Mapping[str, Any]
MOST_RUNS = 100_000
_PARTS = ("fixed", "vary", "override", "exclude")
_PLAIN = (str, int, float, bool)
_MOST_NAME = 120


@dataclass(frozen=True)
class Override:
    """Other values for some combinations.

    Attributes:
        where: option -> value of those meant.
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
        exclude: option -> value of combinations that are not run.
    """

    fixed: Values
    vary: Mapping[str, Sequence[Any]]
    overrides: Sequence[Override] = ()
    exclude: Sequence[Values] = ()

    def __post_init__(self) -> None:
        num = math.prod(len(values) for values in self.vary.values())
        if num > MOST_RUNS:
            raise InputError(f"expected a grid of at most {MOST_RUNS:,} runs, found {num:,}")

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


def _agrees(options: Values, wanted: Values) -> bool:
    return all(name in options and options[name] == value for name, value in wanted.items())


def directory_name(varied: Values, fingerprint: str) -> str:
    """Return a directory's name: what varies, for people, and the fingerprint, which decides."""
    words = [str(value) if name == "strategy" else f"{name}={value}" for name, value in
             varied.items()]  # fmt: skip
    plain = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", "-".join(words))[:_MOST_NAME].strip("-.")
    return f"{plain or 'run'}-{fingerprint[:8]}"


def read_grid(file: Path) -> Grid:
    """Return the grid in a TOML file.

    Raises:
        InputError: no such file, no TOML, or something else in it than a grid.
    """
    try:
        values = tomllib.loads(read_limited(file).decode())
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; see clbench sweep --help for a plan") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: expected the TOML of a plan, found {reason}") from None
    try:
        return grid_of(values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def grid_of(values: Mapping[str, Any]) -> Grid:
    """Return the grid that a plan's tables say.

    Raises:
        InputError: unknown tables, or values of another type.
    """
    _known(values, _PARTS, "table")
    vary = _table(values, "vary")
    for name, choices in vary.items():
        if not isinstance(choices, list) or not choices or not all(map(_is_plain, choices)):
            raise InputError(f"[vary] {name}: expected a list of values, found {choices!r:.80}")
    overrides = []
    for override in _tables(values, "override"):
        _known(override, ("where", "set"), "key of [[override]]")
        where, changed = (_options(override, part, "override") for part in ("where", "set"))
        overrides.append(Override(where, changed))
    exclude = [_plain(dict(one), "exclude") for one in _tables(values, "exclude")]
    if not all(exclude):
        raise InputError("[[exclude]]: expected options and values, found none, which is all runs")
    lists = {name: list(dict.fromkeys(choices)) for name, choices in vary.items()}
    return Grid(_options(values, "fixed"), lists, overrides, exclude)


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
            near = difflib.get_close_matches(name, expected, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"expected the {what} {', '.join(expected)}, found {name!r}{hint}")
