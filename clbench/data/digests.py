"""Digests of large files, remembered until the file changes.

A file is known by its size, inode, time of modification and time of status change, as in
`clbench.data.seen_files`: the last one only the kernel sets, at every change. A file that changed
less than two seconds before it was read is not remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Literal

from clbench.errors import InputError
from clbench.store.sealing import Broken, open_regular
from clbench.store.store import Store

KIND = "seen"  # of entries in the store, beside those of image files

_BLOCK_BYTES = 2**20
_SETTLED_NANOSECONDS = 2_000_000_000
Algorithm = Literal["md5", "sha256"]


def digest_of(path: Path, algorithm: Algorithm = "sha256", trust: bool = True) -> str:
    """The digest of a file in hexadecimal; it is read only if it changed since the last time.

    Args:
        path: of the file.
        algorithm: MD5 where its publishers give no other.
        trust: take a file that looks unchanged for unchanged.

    Raises:
        InputError: it cannot be read, or is no plain file.
    """
    store, name = Store(), _name(path, algorithm)
    try:
        signature = _signature(path)
        if trust:
            known = _known(store.read(KIND, name), signature)
            if known is not None:
                return known
        start = time.time_ns()
        made = hashlib.new(algorithm, usedforsecurity=False)
        with open_regular(path) as file:
            for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
                made.update(block)
        settled = start - max(signature[2:]) > _SETTLED_NANOSECONDS
        if settled and _signature(path) == signature:
            store.write(KIND, name, json.dumps([signature, made.hexdigest()]).encode())
    except (OSError, Broken) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from None
    return made.hexdigest()


def _name(path: Path, algorithm: str) -> str:
    return hashlib.sha256(os.fsencode(f"file {algorithm} {path.resolve()}")).hexdigest()


def _signature(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _known(content: bytes | None, signature: list[int]) -> str | None:
    try:
        found = json.loads(content or b"null")
        return str(found[1]) if found[0] == signature else None
    except (ValueError, TypeError, LookupError):
        return None
