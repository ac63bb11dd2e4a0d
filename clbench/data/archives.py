"""What the publishers of a data set hand out: where it lies, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from clbench.errors import InputError

ALTERNATIVE = "or use the benchmark split_mnist5k, which needs no files"


class Archive(NamedTuple):
    """One file that its publishers hand out.

    Attributes:
        name: of the file.
        url: where it can be downloaded.
        md5: in hexadecimal: the only checksum that the publishers give.
        num_bytes: its size, roughly: for people, and to stop a download that never ends.
    """

    name: str
    url: str
    md5: str
    num_bytes: int


def find(root: Path, folders: tuple[str, ...], name: str) -> Path | None:
    """The file or folder ``name`` in the first of ``folders`` below ``root`` that holds it."""
    for folder in folders:
        path = root / folder / name
        if path.exists():
            return path
    return None


def check_md5(path: Path, archive: Archive, data_set: str) -> None:
    """Compare a file with the checksum of its publishers.

    Raises:
        InputError: another checksum, or it cannot be read.
    """
    from clbench.data.digests import digest_of

    found = digest_of(path, "md5")
    if found != archive.md5:
        raise InputError(
            f"{path}: expected MD5 {archive.md5}, found {found} ({path.stat().st_size:,} bytes); "
            f"delete it and `clbench data fetch {data_set}` downloads it again"
        )
