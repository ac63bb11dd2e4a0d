"""Files that are either there whole or not there at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from clbench.errors import InputError
from clbench.store.plain import to_json

CHECKPOINTS = ("checkpoint.pt", "checkpoint-before.pt")
"""What work under way leaves in its directory: its last state, and of a run the one before."""


_LEFTOVER = re.compile(r"\.(.+)\.\d+\.[0-9a-f]{8}")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """An open file that becomes ``path`` by a rename when the block ends, and vanishes if it fails.

    A reader never sees half a file, not even after a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Machines that share a disk may share process numbers too.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether it has the name of a file that a killed process had begun to write."""
    return _LEFTOVER.fullmatch(path.name) is not None


def clear_leftovers(directory: Path) -> None:
    """Remove what killed processes had begun to write, at any depth; nobody else writes there."""
    for path in directory.rglob(".*"):
        if is_leftover(path) and path.is_file():
            path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``path`` by a rename, so that a reader never sees half a file."""
    with replacing(path) as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON as of `to_json` (nan and infinity become null) and a final newline."""
    write_bytes(path, (to_json(content) + "\n").encode())


def cache_dir() -> Path:
    """Return the folder of the user's cache: ``CLBENCH_CACHE``, or ``clbench`` in the usual place.

    Raises:
        InputError: the folder begins with ``~NAME`` and there is no such user.
    """
    configured = os.environ.get("CLBENCH_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(configured) if configured else Path(base) / "clbench"
    try:
        return folder.expanduser()
    except RuntimeError:
        raise InputError(
            f"CLBENCH_CACHE: expected a folder that can be found, found {str(folder)!r} of an "
            "unknown user; write the whole path"
        ) from None
