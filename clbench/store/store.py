"""One content-addressed store for all that clbench keeps on disk to save work.

An entry has a kind (what it is to its user) and a name: the digest of what was asked and of the
code that answers, see `clbench.store.fingerprint`. Its content is verified before anybody sees it:
what is swapped, flipped, cut, lengthened or foreign is removed with a warning and made again.
Losing an entry costs time and nothing else, so the store may evict any that is not in use.

    store = Store()
    with store.lock("trials", name):
        content = store.read("trials", name)
        if content is None:
            content = work()
            store.write("trials", name, content)
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from clbench.store import eviction
from clbench.store.eviction import KIND, NAME, Entry, configured_limit, discard
from clbench.store.files import cache_dir, replacing
from clbench.store.locks import hold, locked
from clbench.store.older import OLDER, clear_older, older_entries
from clbench.store.sealing import (
    Broken,
    Opened,
    SealedWriter,
    open_regular,
    read_sealed,
    verify_sealed,
)

_T = TypeVar("_T")
_FOLDER = "store"
# Other processes take a touched file for a changed one and hash it again.
_RECENT_SECONDS = 3600.0


@dataclass(frozen=True, init=False)
class Store:
    """Entries below a folder; every method may be called by several processes at once.

    Kinds are lower-case words, names hex digests with more behind them perhaps (``0-9a-z_.-``);
    anything else is a ValueError, so that nothing leads out of the folder.

    Attributes:
        root: folder that holds the store and, of the user's cache, files of earlier versions.
        limit_bytes: how much may be kept; the least recently used entries go first.
    """

    root: Path
    limit_bytes: int

    def __init__(self, root: Path | None = None, limit_bytes: int | None = None) -> None:
        """Look at ``root``, which is made when needed; nothing is read or written yet.

        Args:
            root: folder; None for the user's cache.
            limit_bytes: see `Store`; None for ``CLBENCH_CACHE_BYTES`` or 20 GiB.

        Raises:
            InputError: ``CLBENCH_CACHE`` or ``CLBENCH_CACHE_BYTES`` cannot be understood.
        """
        limit = configured_limit() if limit_bytes is None else limit_bytes
        object.__setattr__(self, "root", cache_dir() if root is None else root)
        object.__setattr__(self, "limit_bytes", limit)

    def read(self, kind: str, name: str) -> bytes | None:
        """Return the content, verified; None where there is none to be believed.

        An entry that is broken costs a warning of one line and is removed.
        """
        content = self._believed(kind, name, read_sealed)
        if content is not None:
            self._touch(kind, name)
        return content

    def write(self, kind: str, name: str, content: bytes) -> None:
        """Keep ``content``, whole or not at all; a store that cannot be written costs a warning."""
        try:
            with self.writing(kind, name) as file:
                file.write(content)
        except OSError as error:
            place = self.path_of(kind, name)
            _warn(f"{place}: cannot be kept ({error.strerror or error}); the work goes on", 2)

    def opened(self, kind: str, name: str) -> Opened | None:
        """Return the content in an open file, verified; None where there is none to be believed.

        For what is mapped into memory because it is large: ``np.memmap(opened.file, ...)``. Close
        the file after that; the mapping stays, and keeps the entry from being evicted. The content
        is hashed at each call, but not twice by one process unless the file's times changed.
        """
        self._touch(kind, name, but_after=_RECENT_SECONDS)
        return self._believed(kind, name, verify_sealed)

    @contextmanager
    def writing(self, kind: str, name: str) -> Iterator[SealedWriter]:
        """Give a file to be written from front to back; it is kept when the block ends well.

        Raises:
            OSError: it cannot be written.
        """
        path = self.path_of(kind, name)
        if path.is_dir():
            # A file cannot be renamed to where a folder is.
            discard(path)
        with replacing(path) as file:
            hold(file)
            out = SealedWriter(file)
            yield out
            out.seal(kind, name)
        eviction.evict(self._folder, self.limit_bytes, keep=path)

    def remove(self, kind: str, name: str) -> None:
        """Remove the entry, if it is there."""
        discard(self.path_of(kind, name))

    def lock(self, kind: str, name: str) -> AbstractContextManager[None]:
        """Return a context that one process at a time is in: look, make it if need be, write it.

        The others wait; after 10 s they warn that they do. A thread must not nest two contexts of
        one entry. See `clbench.store.locks.locked`.
        """
        return locked(self.path_of(kind, name))

    def path_of(self, kind: str, name: str) -> Path:
        """Return the file of an entry, be it there or not; for messages, not for reading."""
        if not KIND.fullmatch(kind) or kind == OLDER or not NAME.fullmatch(name):
            raise ValueError(
                f"expected a kind of a-z_ and a name of 0-9a-z_.-, found {kind!r} and {name!r}"
            )
        return self._folder / kind / name

    def entries(self) -> list[Entry]:
        """Return all entries, least recently used first, then files of earlier versions."""
        return [*eviction.scan(self._folder), *older_entries(self.root)]

    def clear(self, kind: str | None = None) -> int:
        """Remove the entries of a kind, or all; return the bytes freed.

        Entries that a process works on or has open stay. Files of earlier versions are of the kind
        ``older``.
        """
        freed = 0 if kind == OLDER else eviction.clear(self._folder, kind)
        return freed + (clear_older(self.root) if kind in (None, OLDER) else 0)

    @property
    def _folder(self) -> Path:
        return self.root / _FOLDER

    def _believed(
        self, kind: str, name: str, take: Callable[[IO[bytes], str, str], _T]
    ) -> _T | None:
        path = self.path_of(kind, name)
        try:
            file = open_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, Broken) as error:
            _disbelieve(path, error, None)
            return None
        status = os.fstat(file.fileno())
        try:
            hold(file)
            return take(file, kind, name)
        except (OSError, Broken) as error:
            file.close()
            _disbelieve(path, error, status)
            return None

    def _touch(self, kind: str, name: str, but_after: float = 0.0) -> None:
        path = self.path_of(kind, name)
        # A place that cannot be written has no least recently used.
        with suppress(OSError):
            if abs(time.time() - path.stat().st_mtime) >= but_after:
                os.utime(path)


def _disbelieve(path: Path, error: OSError | Broken, seen: os.stat_result | None) -> None:
    reason = getattr(error, "strerror", None) or error
    _warn(f"{path}: not to be believed ({reason}); it is removed and made again", 4)
    with suppress(OSError):
        # Another process may have put it right meanwhile.
        if seen is not None and not os.path.samestat(path.stat(), seen):
            return
    discard(path)


def _warn(text: str, stacklevel: int) -> None:
    warnings.warn(" ".join(text.split()), stacklevel=stacklevel + 1)
