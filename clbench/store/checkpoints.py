"""The state of work under way in a file: tensors and plain values; loading runs nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from clbench.store.files import write_bytes

_BROKEN = (OSError, RuntimeError, LookupError, TypeError, EOFError, ValueError, UnpicklingError)


class NoCheckpointError(ValueError):
    """The file is something else, or broken."""


def checkpoint_bytes(values: dict[str, Any]) -> bytes:
    """Return ``values`` as the content of a file."""
    content = io.BytesIO()
    torch.save(values, content)
    return content.getvalue()


def checkpoint_values(content: bytes, names: Sequence[str]) -> dict[str, Any]:
    """Return the values called ``names``.

    Raises:
        NoCheckpointError: content without them, or not from `checkpoint_bytes`; says why in a few
            words.
    """
    try:
        kept = torch.load(io.BytesIO(content), weights_only=True)
        return {name: kept[name] for name in names}
    except _BROKEN as error:
        raise NoCheckpointError(" ".join(str(error).split())[:80]) from None


def save_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_bytes(path, checkpoint_bytes(values))


def load_checkpoint(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """The values called ``names``.

    Raises:
        NoCheckpointError: a file without them, or not from `save_checkpoint`; says why in a few
            words.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NoCheckpointError(error.strerror or str(error)) from None
    return checkpoint_values(content, names)
