"""What a distiller told, gathered for a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clbench.distillation.protocol import OnUpdate, Update
from clbench.errors import require_finite

_DOING = {
    "distil": "distilling",
    "start": "matching distributions before trajectories",
    "difficulty": "training networks that judge difficulty",
    "experts": "training experts",
}
_STEP_SIZES = {
    "distil": "--image-learning-rate or, with --network-steps, --network-learning-rate",
    "start": "--image-learning-rate",
    "difficulty": "--expert-learning-rate",
    "experts": "--expert-learning-rate",
}


class UpdateLog:
    """Listens to one distillation, keeps what is to be remembered of it, and passes all on.

    Attributes:
        told: the updates of phase "distil" without their images; a note of another phase stands
            among them as an update of number 0.
        seconds_saved: wall time of the original work that a cache spared the distillation.
    """

    def __init__(self, on_update: OnUpdate | None = None) -> None:
        """Pass every update on to ``on_update``."""
        self.on_update = on_update
        self.told: list[Update] = []
        self.seconds_saved = 0.0

    def __call__(self, update: Update) -> None:
        """Hear one update.

        Raises:
            Diverged: its loss is nan or infinite, and with it all that follows.
        """
        doing = _DOING.get(update.phase, update.phase)
        where = f"{doing}, update {update.number} of {update.total}"
        require_finite(
            update.loss, where, f"lower {_STEP_SIZES.get(update.phase, 'its step size')}"
        )
        self.seconds_saved = max(self.seconds_saved, update.seconds_saved)
        if update.phase == "distil":
            self.told.append(replace(update, images=None))
        elif update.note:
            self.told.append(Update(0, 0, 0.0, note=update.note))
        if self.on_update is not None:
            self.on_update(update)

    @property
    def losses(self) -> list[float]:
        """One per update of the images."""
        return [update.loss for update in self.told if update.number]

    @property
    def scalars(self) -> dict[str, list[float]]:
        """The other curves by name: one value per update that told it."""
        curves: dict[str, list[float]] = {}
        for update in self.told:
            for name, value in update.scalars.items():
                curves.setdefault(name, []).append(float(value))
        return curves

    @property
    def notes(self) -> list[str]:
        """What the report must say, each once."""
        return list(dict.fromkeys(update.note for update in self.told if update.note))


def plain(update: Update) -> dict[str, Any]:
    """What is kept of an update on disk: the arguments of one that tells the same."""
    kept = {"number": update.number, "total": update.total, "loss": float(update.loss)}
    scalars = {name: float(value) for name, value in update.scalars.items()}
    more = {"scalars": scalars, "note": update.note}
    return {**kept, **{name: value for name, value in more.items() if value}}
