"""Tables: an explicit dictionary of our own entries, and third parties' by entry points.

An installed distribution adds to a table by an entry point in the table's group whose name is the
key and whose object the entry. It is loaded only when somebody asks for it. `Lazy` lets an entry
name the code behind it without importing it, so that tables are light to import.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clbench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Table(dict[str, T]):
    """Our own entries by name; `find` and `names` know third parties' too."""

    def __init__(self, rows: Mapping[str, T], *, group: str, kind: type[T], what: str) -> None:
        """Fill the table.

        Args:
            rows: our own entries.
            group: entry-point group of third parties' entries, as ``clbench.networks``.
            kind: what an entry must be an instance of.
            what: an entry in words, as "network".
        """
        super().__init__(rows)
        self.group, self.kind, self.what = group, kind, what

    def names(self) -> list[str]:
        """Return our own names in their order, then third parties' in alphabetical order."""
        return [*self, *sorted(set(self._points()) - set(self))]

    def find(self, name: str) -> T:
        """Return the entry called ``name``; our own come before third parties'.

        Raises:
            InputError: no such name (with the nearest one, and all of them), or an entry point
                that does not load or is something else.
        """
        if name in self:
            return self[name]
        point = self._points().get(name)
        if point is None:
            raise InputError(self._unknown(name))
        try:
            entry = point.load()
        except Exception as error:
            raise InputError(
                f"{name}: the entry point {point.value} of {self.group} does not load "
                f"({type(error).__name__}: {error}); mend or uninstall its distribution"
            ) from error
        if not isinstance(entry, self.kind):
            raise InputError(
                f"{name}: expected the entry point {point.value} of {self.group} to be a "
                f"{self.kind.__name__}, found a {type(entry).__name__}"
            )
        return entry

    def loaded(self) -> tuple[dict[str, T], list[str]]:
        """Return every entry that loads, and a line about each that does not."""
        entries: dict[str, T] = {}
        faults: list[str] = []
        for name in self.names():
            try:
                entries[name] = self.find(name)
            except InputError as error:
                faults.append(str(error))
        return entries, faults

    def _points(self) -> dict[str, EntryPoint]:
        # Imported when first needed: it takes as long as all of the configuration.
        from importlib import metadata

        return _points(metadata.entry_points, self.group, _installed())

    def _unknown(self, name: str) -> str:
        known = self.names()
        hint = did_you_mean(name, known)
        return f"unknown {self.what} {name!r}: expected one of {', '.join(known)}{hint}"


@lru_cache(maxsize=64)
def _points(
    find: Callable[..., Iterable[EntryPoint]], group: str, installed: tuple[tuple[str, int], ...]
) -> dict[str, EntryPoint]:
    """The entry points of a group; reading all that is installed takes some 40 ms."""
    return {point.name: point for point in find(group=group)}


def _installed() -> tuple[tuple[str, int], ...]:
    """What changes when a distribution is installed or removed: the folders of modules."""
    return tuple((path, _changed(path)) for path in sys.path)


def _changed(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


class Lazy:
    """Calls the object at ``module:name``, which is imported by the first call."""

    def __init__(self, place: str, *given: Any) -> None:
        """Remember the place, and the arguments that come before those of a call."""
        self.place, self.given = place, given

    def load(self) -> Any:
        """Import the module and return the object."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the object."""
        return self.load()(*self.given, *args, **options)

    def __repr__(self) -> str:
        return f"Lazy({', '.join(map(repr, (self.place, *self.given)))})"
