"""A run between two experiences, on disk: the same run goes on from there.

Two files of a run directory, each with its length and its SHA-256: the state after the last
experience, and the one before it, which serves where the last one is torn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clbench.store.checkpoints import NoCheckpointError, checkpoint_bytes, checkpoint_values
from clbench.store.files import CHECKPOINTS, replacing
from clbench.store.sealing import Broken, SealedWriter, open_regular, read_sealed

LAST, BEFORE = CHECKPOINTS
_KIND, _NAME = "run", "checkpoint"
PARTS = (
    "work",
    "num_learnt",
    "learner",
    "memory",
    "measuring",
    "seconds",
    "randomness",
    "tracker",
)
"""What a state holds; ``work`` names the run: configuration, data, versions."""


def write(directory: Path, state: dict[str, Any]) -> None:
    """Keep ``state``, and the last one as the one before.

    Raises:
        OSError: it cannot be written; the last one is still there, as the one before.
    """
    content = checkpoint_bytes(state)
    last = directory / LAST
    if last.exists():
        last.replace(directory / BEFORE)
    with replacing(last) as file:
        writer = SealedWriter(file)
        writer.write(content)
        writer.seal(_KIND, _NAME)


def read(directory: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the last state that is whole, and a sentence on each that is not.

    The state is None where there is none.
    """
    notes: list[str] = []
    for name in CHECKPOINTS:
        try:
            content = read_sealed(open_regular(directory / name), _KIND, _NAME)
            return checkpoint_values(content, PARTS), notes
        except FileNotFoundError:
            continue
        except (Broken, NoCheckpointError, OSError) as error:
            notes.append(f"{directory / name} cannot be used ({error})")
    return None, notes


def is_there(directory: Path) -> bool:
    """Whether a run left a state there."""
    return any((directory / name).exists() for name in CHECKPOINTS)


def remove(directory: Path) -> None:
    """The run is finished."""
    for name in CHECKPOINTS:
        (directory / name).unlink(missing_ok=True)
