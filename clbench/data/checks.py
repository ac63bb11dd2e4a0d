"""What every reader of other people's files asks of them: paths that stay inside, sizes that fit.

Messages of several faults at once name the first and say how many more there are.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from clbench.errors import InputError

MAX_FILE_BYTES = 256 * 2**20


def refuse(faults: Sequence[str]) -> None:
    """Raise `InputError` of the first fault, if there is any; says how many more there are."""
    if faults:
        more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
        raise InputError(f"{faults[0]}{more}")


def plain_path(name: str) -> PurePosixPath:
    """A relative path written with ``/`` that leads down only.

    Raises:
        InputError: absolute, with ``..``, with a backslash or a drive, or empty.
    """
    path = PurePosixPath(name)
    # A backslash or a drive letter would lead elsewhere on Windows.
    foreign = "\\" in name or name[1:2] == ":" or "\0" in name
    if not path.parts or path.is_absolute() or ".." in path.parts or foreign:
        raise InputError(
            f"expected a path below the folder, written with / and without .., found {name!r}"
        )
    return path


def inside(root: Path, name: str) -> Path:
    """The file ``name`` below ``root``, wherever links lead.

    Args:
        root: resolved folder.
        name: see `plain_path`.

    Raises:
        InputError: the path, or a link on its way, leads out of ``root``; or it is not a file that
            can be opened.
    """
    file = root / plain_path(name)
    try:
        resolved = file.resolve(strict=True)
        status = resolved.stat()
    except FileNotFoundError:
        raise InputError("missing; put it there, or take it off the list") from None
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before 3.13
        reason = getattr(error, "strerror", None) or "a loop of links"
        raise InputError(f"cannot be opened ({reason})") from None
    if not resolved.is_relative_to(root):
        raise InputError(f"expected a file inside {root}, found a link that leads to {resolved}")
    # A pipe would wait for ever.
    if not stat.S_ISREG(status.st_mode):
        raise InputError("expected a file, found a folder or a device")
    _check_size(status.st_size)
    return file


def _check_size(num_bytes: int) -> None:
    if num_bytes > MAX_FILE_BYTES:
        raise InputError(
            f"expected at most {MAX_FILE_BYTES:,} bytes, found {num_bytes:,}; cut it up"
        )


class Inside:
    """`inside` for many files below one root: a folder that was looked up is known from then on."""

    def __init__(self, root: Path) -> None:
        """Nothing is known yet; ``root`` is resolved."""
        self._root, self._known = root, set[str]()
        self._prefix = f"{root}{os.sep}"

    def status(self, name: str) -> os.stat_result:
        """What the system says of the file ``name``.

        Raises:
            InputError: see `inside`.
        """
        folder, _, file = name.rpartition("/")
        odd = file in ("", ".", "..") or "\\" in file or "\0" in file
        if folder in self._known and not odd:
            try:
                # For tens of thousands of files, which a Path would double the time of.
                found = os.lstat(self._prefix + name)  # noqa: PTH116
            except OSError:
                found = None
            if found is not None and stat.S_ISREG(found.st_mode):
                _check_size(found.st_size)
                return found
        found = inside(self._root, name).stat()
        self._known.add(folder)
        return found

    def read(self, name: str) -> bytes:
        """What the file ``name`` holds.

        Raises:
            InputError: see `inside`; or it cannot be read.
        """
        self.status(name)
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror or error})") from None


@contextmanager
def opened(root: Path, name: str) -> Iterator[BinaryIO]:
    """The file ``name`` below ``root``, open for reading.

    Raises:
        InputError: see `inside`; or it cannot be read.
    """
    file = inside(root, name)
    try:
        with file.open("rb") as stream:
            yield stream
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})") from None


def read_bytes(root: Path, name: str) -> bytes:
    """What the file ``name`` below ``root`` holds.

    Raises:
        InputError: see `inside`; or it cannot be read.
    """
    file = inside(root, name)
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})") from None
