"""A run directory as bytes, which travel where no file system is shared.

A parcel is a zip without compression. Only files that a run directory has go in and come out; their
names are a closed list of forms, none of which leads out of the directory. Nothing in it is
executed: checkpoints are read as tensors and plain values (`clbench.store.checkpoints`).
"""

from __future__ import annotations

import io
import re
import zipfile
from contextlib import suppress
from pathlib import Path

from clbench.store.files import CHECKPOINTS, write_bytes
from clbench.store.reading import read_limited
from clbench.store.sealing import Broken

MOST_BYTES = 2 * 2**30  # of a run directory
MOST_FILES = 10_000
REPORT = "report.json"
_FORMS = re.compile(
    r"(?:config|env|status|partial|report)\.json"
    rf"|{'|'.join(map(re.escape, CHECKPOINTS))}"
    r"|memory/exp_[0-9]{1,6}\.safetensors"
    r"|figures/[A-Za-z0-9][A-Za-z0-9_.-]{0,150}\.png"
    r"|events\.out\.tfevents\.[A-Za-z0-9_.-]{1,200}",
    re.ASCII,
)
# A crash while a parcel is unpacked must leave a state to go on from: checkpoints after the events
# that they count, and the report, which says that a run is done, last of all.
_LATE = ("partial.json", *reversed(CHECKPOINTS), "status.json", REPORT)


class ParcelError(ValueError):
    """A directory that cannot be packed, or bytes that are no run directory; says why."""


def pack(directory: Path) -> bytes:
    """Return the files of a run in ``directory``; others are left out.

    The run may be under way: each file is whole, and together they are what a kill would leave.

    Raises:
        ParcelError: more than `MOST_BYTES` or `MOST_FILES`.
        OSError: a file cannot be read.
    """
    packed, total = io.BytesIO(), 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for number, name in enumerate(_names(directory)):
            # A run removes its checkpoints at its end.
            with suppress(FileNotFoundError):
                content = _content(directory / name, MOST_BYTES - total)
                total += len(content)
                # Without times of files, so that the same content is the same bytes.
                archive.writestr(zipfile.ZipInfo(name), content)
            if number >= MOST_FILES:
                raise ParcelError(f"expected at most {MOST_FILES:,} files, found more")
    return packed.getvalue()


def unpack(parcel: bytes, directory: Path) -> None:
    """Make ``directory`` hold what the parcel holds, and nothing else that a run writes.

    Every file appears whole, the report last, so that a crash on the way loses no finished run.

    Raises:
        ParcelError: no parcel, or names or sizes that a run directory has not; nothing is written.
        OSError: a file cannot be written.
    """
    with _opened(parcel) as archive:
        names = _checked(archive)
        for name in names:
            write_bytes(directory / name, archive.read(name))
    for name in set(_names(directory)) - set(names):
        (directory / name).unlink(missing_ok=True)


def _names(directory: Path) -> list[str]:
    """The files that a run has written, the late ones last."""
    found = (path.relative_to(directory).as_posix() for path in _files(directory))
    return sorted(filter(_FORMS.fullmatch, found), key=_order)


def _files(directory: Path) -> list[Path]:
    folders = (directory, directory / "memory", directory / "figures")
    return [path for folder in folders for path in folder.glob("*") if path.is_file()]


def _order(name: str) -> tuple[int, str]:
    return _LATE.index(name) + 1 if name in _LATE else 0, name


def _content(path: Path, most: int) -> bytes:
    try:
        return read_limited(path, most)
    except Broken as error:
        raise ParcelError(f"{path.name}: {error}") from None
    except ValueError:
        raise ParcelError(f"expected at most {MOST_BYTES:,} bytes, found more") from None


def _opened(parcel: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(parcel))
    # The reader raises whatever strange bytes make it stumble over.
    except Exception as error:
        raise _foreign(error) from None


def _foreign(found: object) -> ParcelError:
    return ParcelError(f"expected a packed run, found something else ({found})")


def _checked(archive: zipfile.ZipFile) -> list[str]:
    """The names in the order in which they are to be written."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(names) > MOST_FILES or sum(member.file_size for member in members) > MOST_BYTES:
        raise ParcelError(f"expected at most {MOST_FILES:,} files and {MOST_BYTES:,} bytes")
    strange = next((name for name in names if not _FORMS.fullmatch(name)), None)
    if strange is not None:
        raise ParcelError(f"expected the files of a run, found {strange[:80]!r}")
    if len(set(names)) < len(names):
        raise ParcelError("expected every file once, found one twice")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ParcelError("expected files as they are, found compressed ones")
    try:
        broken = archive.testzip()
    except Exception as error:
        raise _foreign(error) from None
    if broken is not None:
        raise _foreign(f"{broken} has changed")
    return sorted(names, key=_order)
