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


def check_md5(path: Path, archive: Archive, data_set: str, trust: bool = True) -> None:
    """Compare a file with the checksum of its publishers.

    Args:
        path: of the file.
        archive: what it should be.
        data_set: its name, for the message.
        trust: take a file that looks unchanged for unchanged, see `clbench.data.digests`.

    Raises:
        InputError: another checksum, or it cannot be read.
    """
    from clbench.data.digests import digest_of

    found = digest_of(path, "md5", trust)
    if found != archive.md5:
        raise InputError(
            f"{path}: expected MD5 {archive.md5}, found {found} ({path.stat().st_size:,} bytes); "
            f"delete it and `clbench data fetch {data_set}` downloads it again"
        )
