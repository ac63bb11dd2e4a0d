"""Places that one command alone may fill: claimed in the moment they are chosen.

A claim is a lock on a small file. The system lets go of it when the process ends, however it ends,
so what a killed command claimed is free again.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

NAME = ".claim"
# A release and a claim may cross; each of these attempts meets another state of the disk.
ATTEMPTS = 1000

_held_here: set[Path] = set()


class Claim:
    """What this process alone may fill, until `release`."""

    def __init__(self, file: Path, descriptor: int, made: list[Path]) -> None:
        """Hold ``file``, open and locked as ``descriptor``; ``made`` are folders made for it."""
        self._file, self._descriptor, self._made = file, descriptor, made
        _held_here.add(file.absolute())

    def release(self) -> None:
        """Let go, and remove the folders that were made for the claim and stayed empty."""
        if self._descriptor < 0:
            return
        # While it is locked: once free, the file may be another's.
        _held_here.discard(self._file.absolute())
        with suppress(OSError):
            self._file.unlink()
        os.close(self._descriptor)
        self._descriptor = -1
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:
                return


def claim_directory(directory: Path) -> Claim | None:
    """Claim ``directory``, which is made where it is missing; None where another has it.

    Raises:
        OSError: the directory cannot be made or written.
    """
    return _claim(directory / NAME)


def claim_file(path: Path) -> Claim | None:
    """Claim the name of a file that is to be written; None where another has it.

    Raises:
        OSError: its folder cannot be made or written.
    """
    return _claim(path.with_name(f".{path.name}{NAME}"))


def is_held_here(directory: Path) -> bool:
    """Whether this process has claimed ``directory``, or one above it."""
    files = (folder / NAME for folder in (directory.absolute(), *directory.absolute().parents))
    return any(file in _held_here for file in files)


def is_claim(file: Path) -> bool:
    """Whether ``file`` is a claim's, and no work."""
    return file.name.startswith(".") and file.name.endswith(NAME)


def is_held(file: Path) -> bool:
    """Whether a process that runs holds the claim's ``file``."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(descriptor, made=False)
    finally:
        os.close(descriptor)


def _claim(file: Path) -> Claim | None:
    folders: list[Path] = []
    for _ in range(ATTEMPTS):
        folders += _make(file.parent)
        try:
            descriptor, made = _open(file)
        except FileNotFoundError:
            continue  # a release removed the folder in between
        if not _lock(descriptor, made=made):
            os.close(descriptor)
            return None
        if _is_still(file, descriptor):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            return Claim(file, descriptor, folders)
        os.close(descriptor)
    raise OSError(f"{file}: other processes make and remove it all the time")


def _make(directory: Path) -> list[Path]:
    """Make ``directory`` and what is missing above it; those that were made here, deepest first."""
    made: list[Path] = []
    for folder in (*reversed(directory.parents), directory):
        with suppress(FileExistsError):
            if not folder.exists():
                try:
                    folder.mkdir()
                except FileNotFoundError:
                    return made  # a release removed one above; the next attempt makes it
                made.insert(0, folder)
    return made


def _open(file: Path) -> tuple[int, bool]:
    """The file's descriptor, and whether it was made here."""
    if sys.platform == "win32":
        # Windows removes no file that a process holds open, so what can be removed is left over.
        with suppress(OSError):
            file.unlink()
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), True
    except FileExistsError:
        return os.open(file, os.O_RDWR), False


def _lock(descriptor: int, *, made: bool) -> bool:
    """Lock without waiting; where there are no locks, who ``made`` the file has it."""
    if sys.platform == "win32":
        return made
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return made
    return True


def _is_still(file: Path, descriptor: int) -> bool:
    """Whether the file that was locked is the one there now, and no release removed it."""
    try:
        there, locked = file.stat(), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (locked.st_dev, locked.st_ino)
