"""A run under way, on disk: the same run goes on from there.

Two files of a run directory, each with its length and its SHA-256: the state reached last, and the
one before it, which serves where the last one is torn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clbench.store.checkpoints import keep_state, kept_state, remove_states
from clbench.store.files import CHECKPOINTS

LAST, BEFORE = CHECKPOINTS
_KIND = "run"
PARTS = (
    "work",
    "num_learnt",
    "within",
    "learner",
    "memory",
    "measuring",
    "seconds",
    "randomness",
    "tracker",
)
"""What a state holds.

``work`` names the run: configuration, data, versions; ``within`` is whether it was reached in the
middle of the experience after those learnt.
"""


def write(directory: Path, state: dict[str, Any]) -> None:
    """Keep ``state``; see `clbench.store.checkpoints.keep_state`."""
    keep_state(directory / LAST, _KIND, state)


def read(directory: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the last state; see `clbench.store.checkpoints.kept_state`."""
    return kept_state(directory / LAST, _KIND, PARTS)


def is_there(directory: Path) -> bool:
    """Whether a run left a state there."""
    return any((directory / name).exists() for name in CHECKPOINTS)


def remove(directory: Path) -> None:
    """The run is finished."""
    remove_states(directory / LAST)
