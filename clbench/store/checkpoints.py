"""The state of work under way in a file: tensors and plain values; loading runs nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from clbench.store.files import replacing
from clbench.store.sealing import Broken, SealedWriter, open_regular, read_sealed

_NAME = "checkpoint"  # of what is sealed


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
    # The reader raises whatever a broken file makes it stumble over.
    except Exception as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise NoCheckpointError(reason) from None


def before(path: Path) -> Path:
    """Return where the state before the last one is kept: beside it."""
    return path.with_name(f"{path.stem}-before{path.suffix}")


def keep_state(path: Path, kind: str, values: dict[str, Any]) -> None:
    """Write a state of work of this kind, with its SHA-256; the last one becomes the one before.

    Raises:
        OSError: it cannot be written; the last one is still there, as the one before.
    """
    content = checkpoint_bytes(values)
    if path.exists():
        path.replace(before(path))
    with replacing(path) as file:
        writer = SealedWriter(file)
        writer.write(content)
        writer.seal(kind, _NAME)


def kept_state(
    path: Path, kind: str, names: Sequence[str]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the last state that is whole, and a sentence on each that is not.

    The state has the values called ``names``; it is None where there is none.
    """
    notes: list[str] = []
    for place in (path, before(path)):
        try:
            content = read_sealed(open_regular(place), kind, _NAME)
            return checkpoint_values(content, names), notes
        except FileNotFoundError:
            continue
        except (Broken, NoCheckpointError, OSError) as error:
            notes.append(f"{place} cannot be used ({error})")
    return None, notes


def remove_states(path: Path) -> None:
    """The work is finished."""
    for place in (path, before(path)):
        place.unlink(missing_ok=True)
