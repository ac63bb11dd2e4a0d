"""Where output goes: never over something that is there already."""

from __future__ import annotations

import json
import os
from itertools import chain, count
from pathlib import Path

from clbench.errors import InputError


def _free(default: Path) -> Path:
    numbered = (default.with_name(f"{default.stem}-{n}{default.suffix}") for n in count(2))
    return next(path for path in chain([default], numbered) if not path.exists())


def new_file(chosen: Path | None, default: Path) -> Path:
    """``chosen``, which must not be there, or the first free of default, default-2, ...

    An unwritable place is refused here, before the work begins.

    Raises:
        InputError: ``chosen`` is there, has another suffix than ``default``, or the place cannot
            be written.
    """
    path = chosen or _free(default)
    if path.suffix != default.suffix:
        raise InputError(f"--output {path}: expected a name that ends in {default.suffix}")
    if path.exists():
        raise InputError(
            f"--output {path}: expected a new file, found one; remove it or choose another name"
        )
    _check_writable(path.parent)
    return path


def _check_writable(directory: Path) -> None:
    # Without making it: a command that fails later leaves nothing behind.
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"--output: {there} is a file, expected a directory; choose another place")
    if not os.access(there, os.W_OK):
        raise InputError(f"--output: no permission to write to {there}; choose another place")


def new_directory(chosen: Path | None, default: Path) -> Path:
    """``chosen``, which must hold no work, or the first of default, default-2, ... that holds none.

    Raises:
        InputError: ``chosen`` is a file or holds something, or the place cannot be written.
    """
    numbered = (default.with_name(f"{default.name}-{n}") for n in count(2))
    path = chosen or next(path for path in chain([default], numbered) if holds_no_work(path))
    if path.is_dir() and not holds_no_work(path):
        raise InputError(
            f"--output {path}: expected a new or empty directory, found {_content(path)}; remove "
            "it or choose another name"
        )
    _check_writable(path)
    return path


def resumable_directory(chosen: Path | None, default: Path) -> Path:
    """``chosen``, or the first of default, default-2, ... that holds no report.

    What an interrupted command left there is gone on with.

    Raises:
        InputError: ``chosen`` is a file, holds a report or the work of something else, or the
            place cannot be written.
    """
    numbered = (default.with_name(f"{default.name}-{n}") for n in count(2))
    path = chosen or next(p for p in chain([default], numbered) if _goes_on(p))
    if path.exists() and not _goes_on(path):
        found = _content(path) if path.is_dir() else "a file"
        raise InputError(
            f"--output {path}: expected a new directory or one with a checkpoint, found {found}; "
            "remove it or choose another name"
        )
    _check_writable(path)
    return path


def _goes_on(directory: Path) -> bool:
    if not directory.is_dir():
        return not directory.exists()
    return all(path.name == "checkpoint.pt" for path in directory.iterdir())


def holds_no_work(directory: Path) -> bool:
    """Absent, empty, or nothing but runs that ended before they had learnt an experience."""
    if not directory.is_dir():
        return not directory.exists()
    files = (path for path in directory.rglob("*") if not path.is_dir())
    return all(_left_by_a_fruitless_run(path) for path in files)


def _left_by_a_fruitless_run(file: Path) -> bool:
    known = file.name in ("config.json", "env.json", "status.json")
    if not known and not file.name.startswith("events.out.tfevents."):
        return False
    return _status(file.parent) in ("failed", "interrupted")


def _status(directory: Path) -> str | None:
    """What became of the run in a directory; None where there is none."""
    try:
        return str(json.loads((directory / "status.json").read_text())["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _content(directory: Path) -> str:
    status = _status(directory)
    if status is not None:
        return f"a run ({status})"
    return f"one with {min(path.name for path in directory.iterdir())} in it"
