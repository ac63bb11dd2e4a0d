"""From what the owners of a data set send to the data root, in one step or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from clbench.data.bundle import Bundle, open_bundle
from clbench.data.checks import plain_path, refuse
from clbench.errors import InputError


def lies_in(source: Path, root: Path, folder: str) -> bool:
    """Whether ``source`` is the data root or the data set's folder there: nothing to copy."""
    there = root / folder
    return there.exists() and source.resolve() in (root.resolve(), there.resolve())


def install(
    source: Path,
    root: Path,
    folder: str,
    table: str,
    images_of: Callable[[bytes], list[str]],
    check: Callable[[Path], object],
) -> None:
    """Copy a table and its images from a folder or an archive to ``root / folder``.

    They are copied beside it and checked there; then a rename puts them in place. Where anything
    fails nothing is left.

    Args:
        source: folder or zip archive, see `clbench.data.bundle.open_bundle`.
        root: data root, made if need be.
        folder: name of the data set's folder; must not be there yet.
        table: file name of the table.
        images_of: checks a table and gives the images it names.
        check: looks at everything; called with the root of the copy.

    Raises:
        InputError: whatever is wrong with the source, ``folder`` is taken, or ``root`` cannot be
            written.
    """
    if (root / folder).exists():
        raise InputError(
            f"{root / folder}: expected nothing there yet, found a folder; remove it, choose "
            "another --data-root, or leave out --from to check what is there"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".clbench-") as temporary:
            staged = Path(temporary).resolve()
            with open_bundle(source, table) as bundle:
                _copy(bundle, staged / folder, table, images_of)
            try:
                check(staged)
            except InputError as error:
                # The user's own path, not that of the copy under way.
                found = str(error).replace(f"{staged / folder}/", f"{source}: ")
                raise InputError(found) from None
            (staged / folder).rename(root / folder)
    except OSError as error:
        raise InputError(
            f"{root}: cannot be written ({error.strerror or error}); choose another --data-root"
        ) from None


def _copy(
    bundle: Bundle, folder: Path, table: str, images_of: Callable[[bytes], list[str]]
) -> None:
    try:
        names = images_of(bundle.table)
    except InputError as error:
        raise InputError(f"{bundle.table_name}: {error}") from None
    (folder / "images").mkdir(parents=True)
    faults = []
    for name in names:
        try:
            (folder / "images" / plain_path(name)).write_bytes(bundle.image(name))
        except InputError as error:
            faults.append(f"images/{name}: {error}")
    refuse(faults)
    (folder / table).write_bytes(bundle.table)
