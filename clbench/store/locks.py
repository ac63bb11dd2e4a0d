"""Who works on an entry and who uses it: locks between processes that end with their process."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

PATIENCE_SECONDS = 10.0  # of waiting without a word


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one who makes ``path``; wait for another process that does.

    The lock of a dead process is free. Where no lock can be had (a folder that cannot be written, a
    file system without locks) the block runs without one: work may be done twice, no more.
    """
    file = _lock_file(path)
    lock = FileLock(file)
    taken = _take(lock, file, path)
    try:
        yield
    finally:
        if taken:
            _give_back(lock, file)


def is_locked(path: Path) -> bool:
    """Say whether somebody is inside `locked` for ``path``; removes what a dead process left."""
    file = _lock_file(path)
    lock = FileLock(file)
    try:
        if not file.exists():
            return False
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
    _give_back(lock, file)
    return False


if sys.platform == "win32":
    # A file in use cannot be removed there anyway.
    def hold(file: IO[bytes]) -> None:
        """Do nothing."""

    def is_held(path: Path) -> bool:
        """Return False: unknown."""
        return False

else:
    import fcntl

    def hold(file: IO[bytes]) -> None:
        """Mark an open file as used, for as long as it or a mapping of it is open."""
        with suppress(OSError):
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)

    def is_held(path: Path) -> bool:
        """Say whether a process has marked ``path`` by `hold`, where the file system knows."""
        try:
            # Network file systems want it writable.
            descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return isinstance(error, BlockingIOError)
        finally:
            os.close(descriptor)
        return False


def _lock_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _take(lock: FileLock, file: Path, path: Path) -> bool:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not file.exists():
                return False  # it cannot be made here, and waiting would not end
            try:
                lock.acquire(timeout=PATIENCE_SECONDS)
            except Timeout:
                warnings.warn(
                    f"{path}: another process is making it; waiting for that (Ctrl-C stops)",
                    stacklevel=4,
                )
                lock.acquire()
    except (OSError, NotImplementedError):
        return False
    return True


def _give_back(lock: FileLock, file: Path) -> None:
    # Removed while it is held: who opened it before looks again for one that has a name.
    with suppress(OSError):
        file.unlink()
    with suppress(OSError):
        lock.release()
