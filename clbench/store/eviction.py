"""How much is kept: the least recently used entries go, those in use stay."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clbench.errors import InputError
from clbench.store.locks import is_held, is_locked

DEFAULT_LIMIT_BYTES = 20 * 2**30
LIMIT_VARIABLE = "CLBENCH_CACHE_BYTES"
KIND = re.compile(r"[a-z][a-z_]{0,40}")
NAME = re.compile(r"[0-9a-z][0-9a-z_.-]{0,199}")

_LEFT_BEHIND = re.compile(r"\.(.+)\.(?:lock|\d+\.[0-9a-f]{8})")
_ABANDONED_SECONDS = 3600.0
_RENAMED_SECONDS = 5.0  # a finished file has its own name by then
_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Entry:
    """One thing that is kept.

    Attributes:
        kind: what it is to its user.
        name: what it is found by; of older versions' files the path below the root.
        num_bytes: size of its file.
        last_used: seconds since 1970; written or read.
    """

    kind: str
    name: str
    num_bytes: int
    last_used: float


def configured_limit() -> int:
    """Return how much may be kept: ``CLBENCH_CACHE_BYTES``, as 500M or 20G, or 20 GiB.

    K, M, G and T are powers of 1,024.

    Raises:
        InputError: the variable holds something else.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return DEFAULT_LIMIT_BYTES
    found = parse_size(text)
    if found is None:
        raise InputError(
            f"{LIMIT_VARIABLE}: expected a number of bytes, as 500M or 20G, found {text[:40]!r}; "
            "correct it or unset it"
        )
    return found


def parse_size(text: str) -> int | None:
    """Return the bytes that a text as 500M, 20 GB or 4096 says; None where it says something else.

    K, M, G and T are powers of 1,024.
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?)(?:I?B)?", text.upper(), re.ASCII)
    return None if found is None else int(float(found[1]) * _FACTORS[found[2]])


def scan(folder: Path) -> list[Entry]:
    """Return the entries below ``folder``, least recently used first; broken ones count."""
    found = []
    for kind, file in _files(folder):
        with suppress(OSError):
            status = file.stat()
            if NAME.fullmatch(file.name) and stat.S_ISREG(status.st_mode):
                found.append(Entry(kind, file.name, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: (entry.last_used, entry.kind, entry.name))


def evict(folder: Path, limit: int, keep: Path) -> None:
    """Remove the least recently used entries until ``limit`` bytes are left, but never ``keep``.

    Entries that a process works on or has open stay, as far as the platform knows. Also removes
    what killed processes left behind.
    """
    entries = scan(folder)
    total = sum(entry.num_bytes for entry in entries)
    for entry in entries:
        if total <= limit:
            break
        path = folder / entry.kind / entry.name
        if path != keep and _remove_unused(path):
            total -= entry.num_bytes
    _sweep(folder, _ABANDONED_SECONDS)


def clear(folder: Path, kind: str | None) -> int:
    """Remove every entry of ``kind``, or of all kinds, that nobody uses; return the bytes freed."""
    freed = 0
    for found, file in _files(folder):
        if kind in (None, found) and NAME.fullmatch(file.name):
            path, num_bytes = Path(file.path), 0
            with suppress(OSError):
                num_bytes = file.stat().st_size if file.is_file() else 0
            freed += num_bytes if _remove_unused(path) else 0
    _sweep(folder, _RENAMED_SECONDS)
    return freed


def discard(path: Path) -> None:
    """Remove whatever stands where an entry should, if that can be done."""
    with suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _remove_unused(path: Path) -> bool:
    if is_locked(path) or is_held(path):
        return False
    discard(path)
    try:
        path.lstat()
    except OSError:
        return True
    return False


def _sweep(folder: Path, age_seconds: float) -> None:
    """Remove unlocked lock files, and temporary files that nobody wrote to for so long."""
    for _, file in _files(folder):
        found = _LEFT_BEHIND.fullmatch(file.name)
        if found is None:
            continue
        path = Path(file.path)
        if file.name.endswith(".lock"):
            is_locked(path.with_name(found[1]))
            continue
        with suppress(OSError):
            if time.time() - file.stat().st_mtime >= age_seconds and not is_held(path):
                path.unlink()


def _files(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what lies in the folder of each kind, with the kind."""
    for place in _listed(folder):
        if KIND.fullmatch(place.name):
            for file in _listed(Path(place.path)):
                yield place.name, file


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []
