"""The networks that judge which real images are easy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clbench.fields import Config, above_zero, at_least, setting

# What every option that names augmentations says of them.
OPERATIONS = "auto, none, or operations of color, crop, cutout, flip, scale, rotate joined by _"


@dataclass(frozen=True)
class DifficultySettings(Config):
    """Networks whose EL2N scores are averaged (Paul, Ganguli & Dziugaite 2021: 10 of them).

    They are trained as the experts of trajectory matching are: plain SGD, no momentum, no weight
    decay (MTT, appendix).
    """

    num_difficulty_networks: int = setting(
        3, "Networks that judge which images are easy (data scheduler, easy initialisation)."
    )
    difficulty_epochs: int | None = setting(
        None, "Passes of each of them over the real images.", none="as many as show 12,000 images"
    )
    batch_size: int = setting(128, "Images per step of an expert.", flag="expert-batch-size")
    learning_rate: float = setting(0.05, "Step size of an expert.", flag="expert-learning-rate")
    augmentation: str = setting("auto", f"{OPERATIONS}.", flag="expert-augmentation")
    seed: int = setting(
        0,
        "Seed of the experts, apart from --seed, so that runs share them: their spread is that of "
        "the distillation and of the learner.",
        flag="expert-seed",
    )

    def _validate(self) -> None:
        at_least(self, 1, "batch_size", "num_difficulty_networks", "difficulty_epochs")
        at_least(self, 0, "seed")
        above_zero(self, "learning_rate")

    def num_difficulty_epochs(self, num_images: int) -> int:
        """Return the passes over so many images of the networks that judge difficulty."""
        return self.difficulty_epochs or max(1, math.ceil(12_000 / num_images))
