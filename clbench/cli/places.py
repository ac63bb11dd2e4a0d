"""Where output goes: never over something that is there already, never to two commands at once.

A place is claimed in the moment it is chosen and let go when the command ends; one that nothing was
written to is removed then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path

import click

from clbench.errors import InputError
from clbench.machine.steps import in_steps
from clbench.store.claims import NAME, Claim, claim_directory, claim_file, is_claim, is_held
from clbench.store.files import CHECKPOINTS, is_leftover
from clbench.store.reading import read_json

IN_USE = "one that another clbench command is writing to; wait for it or choose another name"


def new_file(chosen: Path | None, default: Path) -> Path:
    """``chosen``, which must not be there, or the first free of default, default-2, ...; claimed.

    Its neighbours, the picture (png) and the result (json) of the same name, must not be there
    either. An unwritable place is refused here, before the work begins.

    Raises:
        InputError: ``chosen`` or a neighbour is there, it has another suffix than ``default``,
            another command writes it, or the place cannot be written.
    """
    if chosen is None:
        paths = _numbered(default, default.suffix)
        return _first(paths, lambda path: not _there(path), claim_file)
    if chosen.suffix != default.suffix:
        raise InputError(f"--output {chosen}: expected a name that ends in {default.suffix}")
    _check_writable(chosen.parent)
    _refuse_what_is_there(chosen)
    if not _kept(chosen, claim_file):
        raise InputError(f"--output {chosen}: expected a new file, found {IN_USE}")
    # Again: another command may have written it and ended in between.
    _refuse_what_is_there(chosen)
    return chosen


def _refuse_what_is_there(path: Path) -> None:
    there = _there(path)
    if there:
        found = "one" if there == path else str(there)
        raise InputError(
            f"--output {path}: expected a new file, found {found}; remove it or choose another name"
        )


def _there(path: Path) -> Path | None:
    """What would be written over: the file or one of its neighbours."""
    beside = (path, path.with_suffix(".json"), path.with_suffix(".png"))
    return next((one for one in beside if one.exists() or one.is_symlink()), None)


def _numbered(default: Path, suffix: str = "") -> Iterator[Path]:
    stem = default.name.removesuffix(suffix)
    return chain([default], (default.with_name(f"{stem}-{n}{suffix}") for n in count(2)))


def _first(
    paths: Iterator[Path], free: Callable[[Path], bool], claim: Callable[[Path], Claim | None]
) -> Path:
    """The first that is free and that no other command has claimed."""
    for path in paths:
        if not free(path):
            continue
        _check_writable(path.parent)
        with in_steps():
            held = _claim(path, claim)
            # Again: another command may have filled it and ended in between.
            if held is not None and not free(path):
                held.release()
            elif _keep(held):
                return path
    raise AssertionError("numbers do not end")


def _claim(path: Path, claim: Callable[[Path], Claim | None]) -> Claim | None:
    try:
        return claim(path)
    except OSError as error:
        raise InputError(
            f"--output: expected a place that can be written, found {path} "
            f"({error.strerror or error}); choose another place"
        ) from None


def _kept(path: Path, claim: Callable[[Path], Claim | None]) -> bool:
    """Claim and keep; a stop in between waits, or the claim would stay behind."""
    with in_steps():
        return _keep(_claim(path, claim))


def _keep(held: Claim | None) -> bool:
    """Keep what was claimed until the command under way ends, or else the process."""
    command = click.get_current_context(silent=True)
    if held is not None and command is not None:
        command.call_on_close(held.release)
    return held is not None


def _check_writable(directory: Path) -> None:
    # Without making it: a command that fails later leaves nothing behind.
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"--output: {there} is a file, expected a directory; choose another place")
    if not os.access(there, os.W_OK):
        raise InputError(f"--output: no permission to write to {there}; choose another place")


def new_directory(chosen: Path | None, default: Path) -> Path:
    """``chosen``, which must hold no work, or the first of default, default-2, ...; claimed.

    Raises:
        InputError: ``chosen`` is a file, holds something, is written to by another command, or the
            place cannot be written.
    """
    if chosen is None:
        return _first(_numbered(default), _is_free, claim_directory)
    return _chosen(chosen, _is_free, "a new or empty directory")


def _chosen(path: Path, free: Callable[[Path], bool], expected: str) -> Path:
    _check_writable(path)
    _refuse_work(path, free, expected)
    if not _kept(path, claim_directory):
        raise InputError(f"--output {path}: expected {expected}, found {IN_USE}")
    # Again: another command may have filled it and ended in between.
    _refuse_work(path, free, expected)
    return path


def _refuse_work(path: Path, free: Callable[[Path], bool], expected: str) -> None:
    if free(path):
        return
    if _in_use_below(path):
        raise InputError(f"--output {path}: expected {expected}, found {IN_USE}")
    found = _content(path) if path.is_dir() else "a file"
    raise InputError(
        f"--output {path}: expected {expected}, found {found}; remove it or choose another name"
    )


def run_directory(chosen: Path) -> Path:
    """``chosen``, which may hold runs, unfinished or finished, and no other work; claimed.

    Whether they are those that are asked for is for `check_runs`.

    Raises:
        InputError: see `new_directory`.
    """
    expected = "a new or empty directory, or runs of the same command"
    return _chosen(chosen, lambda path: _is_free(path) or _holds_runs(path), expected)


def _holds_runs(directory: Path) -> bool:
    one = [directory, *(path for path in _children(directory) if path.is_dir())]
    return any(_asked(path) for path in one) and not _in_use_below(directory)


def _children(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def directory_of_runs(default: Path, asked: Mapping[str, str]) -> Path:
    """The first of default, default-2, ... that is free or holds these very runs unfinished.

    Args:
        default: where runs of this kind go.
        asked: place of each run below the directory -> name of its configuration.

    Raises:
        InputError: the place cannot be written.
    """

    def fits(path: Path) -> bool:
        return _is_free(path) or (_goes_on_with(path, asked) and not _in_use_below(path))

    return _first(_numbered(default), fits, claim_directory)


def _goes_on_with(directory: Path, asked: Mapping[str, str]) -> bool:
    runs = [directory / place for place in asked]
    known = all(
        holds_no_work(run) or _asked(run) == name
        for run, name in zip(runs, asked.values(), strict=True)
    )
    begun = any(_asked(run) and not holds_no_work(run) for run in runs)
    unfinished = any(not (run / "report.json").exists() for run in runs)
    # The last thing that is written of several.
    unfinished |= len(runs) > 1 and not (directory / "comparison").exists()
    return known and begun and unfinished and not _foreign(directory, asked)


def _foreign(directory: Path, asked: Mapping[str, str]) -> bool:
    """Whether runs of another arrangement are there: of one strategy, or of several below."""
    if "" in asked:
        return any(_asked(path) for path in _children(directory))
    return _asked(directory) is not None


def check_runs(directory: Path, asked: Mapping[str, str]) -> None:
    """See that a directory that was chosen holds no other runs than these.

    Raises:
        InputError: it does.
    """
    expected = f"--output {directory}: expected a new directory or runs of the same command, found"
    advice = "remove it or choose another name"
    if _foreign(directory, asked):
        raise InputError(f"{expected} runs of other strategies; {advice}")
    for place, name in asked.items():
        run = directory / place
        if not holds_no_work(run) and _asked(run) != name:
            raise InputError(f"{expected} a run of other settings in {run}; {advice}")


def begin_anew(directory: Path) -> None:
    """Remove what an unfinished run left, for ``--fresh``.

    Raises:
        InputError: the run is finished.
    """
    if (directory / "report.json").exists():
        raise InputError(
            f"--output {directory}: expected an unfinished run to begin anew, found a finished "
            "one; remove it or choose another name"
        )
    for pattern in (*CHECKPOINTS, "partial.json", "events.out.tfevents.*", "memory/exp_*"):
        for file in directory.glob(pattern):
            file.unlink()


def _asked(directory: Path) -> str | None:
    """Name of the configuration of the run in a directory; None where there is none."""
    try:
        return str(read_json(directory / "status.json")["asked"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def resumable_directory(chosen: Path | None, default: Path) -> Path:
    """``chosen``, or the first of default, default-2, ... that holds no report; claimed.

    What an interrupted command left there is gone on with.

    Raises:
        InputError: ``chosen`` is a file, holds a report or the work of something else, is written
            to by another command, or the place cannot be written.
    """
    if chosen is None:
        return _first(_numbered(default), _goes_on, claim_directory)
    return _chosen(chosen, _goes_on, "a new directory or one with a checkpoint")


def claim_below(directories: list[Path]) -> None:
    """Claim directories below one that was chosen.

    Raises:
        InputError: another command writes to one of them.
    """
    for directory in directories:
        if not _kept(directory, claim_directory):
            raise InputError(f"--output {directory}: expected a new directory, found {IN_USE}")


def _goes_on(directory: Path) -> bool:
    return not _is_file(directory) and all(
        is_claim(path)
        or is_leftover(path)
        or (path.parent == directory and path.name in CHECKPOINTS)
        for path in _below(directory)
    )


def _is_free(directory: Path) -> bool:
    return holds_no_work(directory) and not _in_use_below(directory)


def _in_use_below(directory: Path) -> bool:
    """Whether another command writes into a directory below."""
    return any(is_held(file) for file in _below(directory, NAME) if file.parent != directory)


def holds_no_work(directory: Path) -> bool:
    """Absent, empty, or nothing but runs that ended before they had learnt an experience."""
    files = (path for path in _below(directory) if not path.is_dir())
    return not _is_file(directory) and all(
        is_claim(path) or is_leftover(path) or _left_by_a_fruitless_run(path) for path in files
    )


def _is_file(path: Path) -> bool:
    # In this order: another command may make the directory between two questions.
    return path.exists() and not path.is_dir()


def _below(directory: Path, pattern: str = "*") -> list[Path]:
    try:
        return list(directory.rglob(pattern))
    except (FileNotFoundError, NotADirectoryError):
        return []  # a release removed it meanwhile


def _left_by_a_fruitless_run(file: Path) -> bool:
    known = file.name in ("config.json", "env.json", "status.json")
    if not known and not file.name.startswith("events.out.tfevents."):
        return False
    # "running": it was killed; a run under way has claimed its place.
    return _status(file.parent) in ("failed", "interrupted", "running")


def _status(directory: Path) -> str | None:
    """What became of the run in a directory; None where there is none."""
    try:
        return str(read_json(directory / "status.json")["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _content(directory: Path) -> str:
    status = _status(directory)
    if status is not None:
        return f"a run ({status})"
    names = (path.name for path in directory.iterdir() if not is_claim(path))
    return f"one with {min(names, default='nothing')} in it"
