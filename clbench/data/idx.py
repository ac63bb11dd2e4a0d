"""The idx files of the MNIST family: two zero bytes, type, rank, big-endian sizes, then bytes.

Format: http://yann.lecun.com/exdb/mnist/ (bottom of the page).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from clbench.errors import InputError
from clbench.store.sealing import Broken, open_regular

_UNSIGNED_BYTE = 8


def num_bytes(*shape: int) -> int:
    """Size of the unpacked file that holds this many bytes of data."""
    return 4 + 4 * len(shape) + math.prod(shape)


def md5(path: Path) -> str:
    """MD5 of a file in hexadecimal: the only checksum its publishers give."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def content_sha256(path: Path, most: int) -> str:
    """SHA-256 of what a ``.gz`` file unpacks to, in hexadecimal; of no more than ``most`` bytes.

    Raises:
        InputError: it does not unpack.
    """
    with path.open("rb") as file:
        return hashlib.sha256(_unpacked(file, path, True, most)).hexdigest()


def read(path: Path, *shape: int) -> Tensor:
    """The uint8 tensor of this shape in ``path``, which may be packed by gzip (``.gz``).

    Raises:
        InputError: truncated, corrupt, or of another shape.
    """
    try:
        with open_regular(path) as file:
            return parse(file, path, path.suffix == ".gz", *shape)
    except (Broken, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from None


def parse(file: IO[bytes], path: Path, packed: bool, *shape: int) -> Tensor:
    """The uint8 tensor of this shape in an open file.

    Args:
        file: at its beginning.
        path: where it comes from, for messages.
        packed: by gzip.
        shape: expected.

    Raises:
        InputError: truncated, corrupt, or of another shape.
        OSError: it cannot be read.
    """
    content = _unpacked(file, path, packed, num_bytes(*shape))
    expected = struct.pack(">HBB", 0, _UNSIGNED_BYTE, len(shape)) + struct.pack(
        f">{len(shape)}I", *shape
    )
    if len(content) != num_bytes(*shape):
        raise InputError(
            f"{path}: expected {num_bytes(*shape):,} bytes{' when unpacked' if packed else ''}, "
            f"found {_found(content, num_bytes(*shape))}; delete it and fetch it again"
        )
    if not content.startswith(expected):
        raise InputError(
            f"{path}: expected an idx file of shape {' x '.join(map(str, shape))}, found one that "
            f"begins with {content[: len(expected)].hex(' ')}; delete it and fetch it again"
        )
    data = torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=len(expected))
    return data.view(shape)


def _found(content: bytes, most: int) -> str:
    return f"{len(content):,}" if len(content) <= most else "more"


def _unpacked(file: IO[bytes], path: Path, packed: bool, most: int) -> bytes:
    """Return the content, or one byte more than ``most`` where there is more."""
    if not packed:
        return file.read(most + 1)
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            return unpacked.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: expected a whole gzip archive, found {path.stat().st_size:,} bytes that do "
            f"not unpack ({error}); delete it and fetch it again"
        ) from None
