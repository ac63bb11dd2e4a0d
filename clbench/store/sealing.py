"""The form of an entry on disk: its content, then one line, the seal, that says what it is.

The seal holds the version of the form, kind, name, length and SHA-256 of the content. It stands at
the end, so that content of any size streams through once and begins at byte 0 of its file, where it
can be mapped. Right content under a wrong name, a flipped bit, a cut, an addition and a foreign
file all break it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

_FORM = "clbench-store-1"
_CHUNK_BYTES = 2**20
# File systems stamp changes with clocks as coarse as this.
_SETTLED_NANOSECONDS = 2_000_000_000


class Broken(ValueError):
    """An entry is not what its place says; the message has what was expected and what was found."""


class Opened(NamedTuple):
    """Verified content in an open file.

    Attributes:
        file: stands at byte 0. While it, or a mapping of it, is open, the entry is not evicted.
        num_bytes: length of the content; what follows in the file is the seal.
    """

    file: IO[bytes]
    num_bytes: int


class SealedWriter(io.RawIOBase):
    """A file that can be written from front to back, and hashes what goes through."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file, self._digest, self._num_bytes = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        """Return True: nothing else can be done with it."""
        return True

    def write(self, content: Any) -> int:
        """Write all of a bytes-like object; return how many bytes that were."""
        view = memoryview(content)
        self._file.write(view)
        self._digest.update(view)
        self._num_bytes += view.nbytes
        return view.nbytes

    def seal(self, kind: str, name: str) -> None:
        """End the file with its seal."""
        self._file.write(_seal(kind, name, self._num_bytes, self._digest.hexdigest()))


def _seal(kind: str, name: str, num_bytes: int, sha256: str) -> bytes:
    # Of one length for all contents of one name, so that it is found from the end.
    return f"\n{_FORM} {kind}/{name} {num_bytes:020d} {sha256}\n".encode()


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        OSError: it is not there or cannot be read.
        Broken: it is a folder, or something that might wait for ever or never end.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Broken("expected a file, found a folder or a device")
    return os.fdopen(descriptor, "rb")


def read_sealed(file: IO[bytes], kind: str, name: str) -> bytes:
    """Return the content and close the file.

    Raises:
        Broken: the file is not the entry ``name`` of ``kind``, whole and unchanged.
        OSError: it cannot be read.
    """
    with file:
        num_bytes, expected = _sealed(file, kind, name)
        content = file.read(num_bytes)
    _compare(hashlib.sha256(content).hexdigest(), expected)
    return content


def verify_sealed(file: IO[bytes], kind: str, name: str) -> Opened:
    """Hash the content where it lies; a file that this process hashed before is not hashed again.

    Raises:
        Broken: the file is not the entry ``name`` of ``kind``, whole and unchanged.
        OSError: it cannot be read.
    """
    num_bytes, expected = _sealed(file, kind, name)
    start, before = time.time_ns(), _signature(file)
    sha256 = _hashed.get(before)
    if sha256 is None:
        sha256 = _sha256(file, num_bytes)
        # What is changed within the same tick of the clock would look unchanged.
        if start - max(before[-2:]) > _SETTLED_NANOSECONDS and _signature(file) == before:
            _hashed[before] = sha256
    _compare(sha256, expected)
    file.seek(0)
    return Opened(file, num_bytes)


_hashed: dict[tuple[int, ...], str] = {}


def _signature(file: IO[bytes]) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    times = status.st_mtime_ns, status.st_ctime_ns
    return (status.st_dev, status.st_ino, status.st_size, *times)


def _sealed(file: IO[bytes], kind: str, name: str) -> tuple[int, str]:
    """Return length and SHA-256 that the seal promises, with the file at byte 0."""
    length = len(_seal(kind, name, 0, "0" * 64))
    num_bytes = os.fstat(file.fileno()).st_size - length
    if num_bytes < 0:
        raise Broken(f"expected at least {length} bytes, found {num_bytes + length}")
    file.seek(num_bytes)
    found = file.read(length)
    sha256 = found[-65:-1].decode("ascii", "replace")
    if found != _seal(kind, name, num_bytes, sha256):
        raise Broken("expected its own seal at the end, found another or none")
    file.seek(0)
    return num_bytes, sha256


def _sha256(file: IO[bytes], num_bytes: int) -> str:
    digest, buffer, left = hashlib.sha256(), memoryview(bytearray(_CHUNK_BYTES)), num_bytes
    while left:
        got = file.readinto(buffer[: min(left, _CHUNK_BYTES)])  # type: ignore[attr-defined]
        if not got:
            break
        digest.update(buffer[:got])
        left -= got
    return digest.hexdigest()


def _compare(found: str, expected: str) -> None:
    if found != expected:
        raise Broken(f"expected content of SHA-256 {expected[:12]}..., found {found[:12]}...")
