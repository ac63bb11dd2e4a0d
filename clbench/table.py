"""Third parties' entries of our tables, found by entry points and loaded only when asked for.

A table (data sets, benchmarks, ...) is an explicit dictionary; an installed distribution adds to it
by an entry point in the group ``clbench.<table>`` whose name is the key and whose object the value.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from clbench.errors import InputError

T = TypeVar("T")

_SINGULAR = {"strategies": "strategy", "datasets": "data set"}


def names(table: Mapping[str, T], group: str) -> list[str]:
    """The table's own names in its order, then third parties' in alphabetical order."""
    return [*table, *sorted(set(_points(group)) - set(table))]


def find(name: str, table: Mapping[str, T], group: str, kind: type[T]) -> T:
    """The entry called ``name``; the table's own come before third parties'.

    Args:
        name: what the user asked for.
        table: the table's own entries.
        group: entry-point group of third parties' entries.
        kind: what an entry must be an instance of.

    Raises:
        InputError: no such name (with the nearest one, and all of them), or an entry point that
            does not load or is something else.
    """
    if name in table:
        return table[name]
    point = _points(group).get(name)
    if point is None:
        raise InputError(_unknown(name, names(table, group), group))
    try:
        entry = point.load()
    except Exception as error:
        raise InputError(
            f"{name}: the entry point {point.value} of {group} does not load "
            f"({type(error).__name__}: {error}); mend or uninstall its distribution"
        ) from error
    if not isinstance(entry, kind):
        raise InputError(
            f"{name}: expected the entry point {point.value} of {group} to be a {kind.__name__}, "
            f"found a {type(entry).__name__}"
        )
    return entry


def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def _unknown(name: str, known: list[str], group: str) -> str:
    table = group.rpartition(".")[2]
    what = _SINGULAR.get(table, table.removesuffix("s"))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {name!r}: expected one of {', '.join(known)}{hint}"
