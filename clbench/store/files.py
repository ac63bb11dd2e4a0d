"""Files that are either there whole or not there at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from clbench.store.plain import to_json


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """An open file that becomes ``path`` by a rename when the block ends, and vanishes if it fails.

    A reader never sees half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``path`` by a rename, so that a reader never sees half a file."""
    with replacing(path) as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON as of `to_json` (nan and infinity become null) and a final newline."""
    write_bytes(path, (to_json(content) + "\n").encode())


def cache_dir() -> Path:
    """Where parsed data and distilled sets are kept: ``CLBENCH_CACHE`` or the user's cache."""
    configured = os.environ.get("CLBENCH_CACHE")
    if configured:
        return Path(configured).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "clbench"
