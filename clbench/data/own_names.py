"""Names of images of the user's own: ``folder:PATH``."""

from __future__ import annotations

from pathlib import Path

from clbench.errors import InputError

PREFIX = "folder:"


def is_own(name: str) -> bool:
    """Whether ``name`` names images of the user's own."""
    return name.startswith(PREFIX)


def place(name: str) -> Path:
    """The path in ``folder:PATH``.

    Raises:
        InputError: there is none.
    """
    path = name.removeprefix(PREFIX)
    if not path:
        raise InputError(f"expected {PREFIX}PATH, a folder or a CSV of images, found {name!r}")
    return Path(path).expanduser()


def short_name(name: str) -> str:
    """A name that can be part of a file's: ``folder:a/b/cells.csv`` is ``folder-cells``."""
    return f"folder-{place(name).resolve().stem}" if is_own(name) else name
