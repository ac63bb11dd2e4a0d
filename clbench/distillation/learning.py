"""The updates of a distillation, told and kept one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from clbench.distillation.protocol import Update
from clbench.distillation.unfinished import Unfinished
from clbench.types import LabelledImages

IMAGES_SHOWN = 10  # times that the images are handed to the listener


class Learning(Protocol):
    """A distillation under way that can go on from its state."""

    num_done: int

    def updates(self) -> Iterator[tuple[float, dict[str, float]]]:
        """Make the updates that are left; yield each one's loss and curves."""
        ...

    def result(self) -> LabelledImages:
        """Return what has been distilled so far."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """See `clbench.distillation.unfinished.Resumable`."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `clbench.distillation.unfinished.Resumable`."""
        ...


def learn(
    work: Learning, total: int, unfinished: Unfinished, seconds_saved: float = 0.0
) -> LabelledImages:
    """Make all updates that are left, and return the images.

    Args:
        work: where it stands.
        total: updates in all.
        unfinished: hears of each update, and keeps the state.
        seconds_saved: what a cache spared this distillation.
    """
    every = max(1, total // IMAGES_SHOWN)
    for loss, scalars in work.updates():
        number = work.num_done
        shown = work.result() if number % every == 0 or number == total else None
        unfinished.tell(
            Update(number, total, loss, scalars=scalars, images=shown, seconds_saved=seconds_saved)
        )
        unfinished.reached(work)
    return work.result()
