"""What the owners of a data set send: a folder or a zip archive with a table and its images.

Nothing in it is believed: paths stay inside, sizes are bounded while bytes are counted, links and
encrypted members are refused.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from clbench.data.checks import plain_path, read_bytes
from clbench.errors import InputError

MAX_MEMBERS = 100_000
# An image of 224 x 224 pixels takes 150 kB unpacked, the table less than 200 kB.
MAX_MEMBER_BYTES = 16 * 2**20
MAX_ARCHIVE_BYTES = 4 * 2**30


class Files(Protocol):
    """Files below one place, by their paths relative to it, written with ``/``."""

    def names(self) -> list[str]:
        """All of them."""

    def read(self, name: str) -> bytes:
        """One of them; `InputError` where it is not there or not to be trusted."""


class Bundle(NamedTuple):
    """A table and the images it names.

    Attributes:
        table: the table's bytes.
        table_name: where it was found, for messages.
        images: where the images are.
        prefix: what stands before an image's name there.
    """

    table: bytes
    table_name: str
    images: Files
    prefix: str

    def image(self, name: str) -> bytes:
        """The bytes of the image called ``name``.

        Raises:
            InputError: it is missing or not to be trusted.
        """
        return self.images.read(self.prefix + name)


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def names(self) -> list[str]:
        found = [*self._root.glob("*"), *self._root.glob("*/*")]
        return sorted(file.relative_to(self._root).as_posix() for file in found)

    def read(self, name: str) -> bytes:
        return read_bytes(self._root, name)

    def archive(self, name: str) -> zipfile.ZipFile:
        """The zip archive ``name``, opened."""
        return _opened(self._root / plain_path(name))


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise InputError(f"expected at most {MAX_MEMBERS:,} members, found {len(members):,}")
        size = sum(member.file_size for member in members)
        for member in members:
            _check_member(member)
            if member.is_dir():
                continue
            name = str(plain_path(member.filename))
            if name in self._members:
                raise InputError(f"expected every member once, found {name} twice; pack it again")
            self._members[name] = member
        # Python unpacks no more of a member than its header says, so this bounds it all.
        if size > MAX_ARCHIVE_BYTES:
            raise InputError(
                f"expected at most {MAX_ARCHIVE_BYTES:,} bytes in all, found {size:,}; unpack the "
                "archive by hand if you trust it"
            )

    def names(self) -> list[str]:
        return sorted(self._members)

    def read(self, name: str) -> bytes:
        member = self._members.get(name)
        if member is None:
            raise InputError("missing in the archive; pack it again")
        # What the header says is checked by what comes out; a broken one makes zipfile raise
        # whatever it stumbles over.
        try:
            with self._archive.open(member) as file:
                content = file.read(MAX_MEMBER_BYTES + 1)
        except Exception as error:
            raise InputError(f"cannot be unpacked ({error}); get the archive again") from None
        if len(content) > MAX_MEMBER_BYTES:
            raise InputError(f"expected at most {MAX_MEMBER_BYTES:,} bytes, found more")
        return content


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    try:
        plain_path(name)
    except InputError as error:
        raise InputError(f"{error}; unpack the archive by hand if you trust it") from None
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"expected files, found the link {name}; pack what it leads to")
    if member.flag_bits & 1:
        raise InputError(f"expected no encryption, found {name} encrypted; unpack it and give "
                         "the folder")  # fmt: skip
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Others may ask for gigabytes to unpack a few bytes.
        raise InputError(f"expected members stored or deflated, found {name} packed otherwise; "
                         "pack it again")  # fmt: skip
    if member.file_size > MAX_MEMBER_BYTES and PurePosixPath(name).suffix.lower() != ".zip":
        raise InputError(
            f"expected members of at most {MAX_MEMBER_BYTES:,} bytes, found {name} of "
            f"{member.file_size:,}; unpack the archive by hand if you trust it"
        )


@contextmanager
def open_bundle(source: Path, table: str) -> Iterator[Bundle]:
    """Find a table, and ``images/`` or ``images.zip`` beside it, in a folder or a zip archive.

    Args:
        source: the folder or the archive.
        table: file name of the table; in a folder it is looked for one level down too, in an
            archive at any depth.

    Raises:
        InputError: neither folder nor archive, no table or several, no images, or an archive that
            is not to be trusted.
    """
    try:
        if not os.access(source, os.R_OK):
            raise InputError(f"expected a folder or a zip archive, found {_nothing(source)}")
        if source.is_dir():
            with _beside_table(_Folder(source), table) as bundle:
                yield bundle
        elif source.is_file():
            with _opened(source) as archive, _beside_table(_Zip(archive), table) as bundle:
                yield bundle
        else:
            raise InputError(f"expected a folder or a zip archive, found {_nothing(source)}")
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _nothing(source: Path) -> str:
    # Path.exists raises where a folder on the way may not be entered.
    if os.path.lexists(source):
        return "something that cannot be read; check its permissions"
    return "nothing; check the path"


def _opened(source: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except Exception as error:
        raise InputError(f"expected a folder or a zip archive, found neither ({error})") from None


@contextmanager
def _beside_table(files: Files, table: str) -> Iterator[Bundle]:
    names = files.names()
    places = [name for name in names if PurePosixPath(name).name == table]
    # What macOS adds to archives.
    places = [name for name in places if "__MACOSX" not in PurePosixPath(name).parts]
    if len(places) != 1:
        found = f"{len(places)}: {', '.join(places[:3])}" if places else "none"
        raise InputError(f"expected one {table}, found {found}; give the folder that it lies in")
    folder = PurePosixPath(places[0]).parent
    content = files.read(places[0])
    beside, packed = f"{folder / 'images'}/", str(folder / "images.zip")
    if any(name == beside.rstrip("/") or name.startswith(beside) for name in names):
        yield Bundle(content, places[0], files, beside)
    elif packed not in names:
        raise InputError(f"expected images/ or images.zip beside {places[0]}, found neither")
    elif isinstance(files, _Folder):
        with files.archive(packed) as archive:
            inner = _Zip(archive)
            yield Bundle(content, places[0], inner, _prefix_of_images(inner))
    else:
        raise InputError(
            f"expected images/ beside {table}, found images.zip within the archive; unpack the "
            "outer one and give its folder"
        )


def _prefix_of_images(files: Files) -> str:
    folders = {str(PurePosixPath(n).parent) for n in files.names() if n.lower().endswith(".png")}
    folders = {name for name in folders if "__MACOSX" not in PurePosixPath(name).parts}
    if len(folders) != 1:
        raise InputError(
            f"images.zip: expected one folder of PNG files, found {len(folders)}; give the folder "
            "that it unpacks to"
        )
    (folder,) = folders
    return "" if folder == "." else f"{folder}/"
