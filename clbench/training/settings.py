"""How a fresh network is trained on one set alone, small or whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clbench.distillation.difficulty.settings import OPERATIONS
from clbench.fields import Config, above_zero, at_least, check, setting


@dataclass(frozen=True)
class SetTrainingConfig(Config):
    """The training of a network on one set.

    Defaults: the protocol of the DC/DSA/DM family (Zhao & Bilen 2021, 2023): SGD lr 0.01, momentum
    0.9, weight decay 5e-4, batch 256, DSA, 300-1000 epochs, lr x 0.1 after half of them; the last
    epoch counts. Schedules: "step": a tenth after half of the epochs; "cosine": to 0 (Loshchilov &
    Hutter, SGDR, 2017, without restarts); "one_cycle": linearly from 0 over the first fifth, then
    as a cosine to 0 (after Smith & Topin, 2018); "constant". Label smoothing: Szegedy et al., 2016.
    """

    epochs: int = setting(300, "Passes over the set.")
    batch_size: int = setting(256, "Images per step.")
    learning_rate: float = setting(0.01, "Step size of SGD.")
    momentum: float = setting(0.9, "Momentum of SGD.")
    weight_decay: float = setting(5e-4, "Weight decay of SGD.")
    schedule: Literal["step", "cosine", "one_cycle", "constant"] = setting(
        "step", "How the step size falls; step: to a tenth after half of the epochs."
    )
    label_smoothing: float = setting(0.0, "Share of a label that is spread over all classes.")
    augmentation: str = setting("auto", f"{OPERATIONS}.")

    def _validate(self) -> None:
        above_zero(self, "learning_rate")
        at_least(self, 0, "momentum", "weight_decay", "label_smoothing")
        check(self.label_smoothing < 1, "label_smoothing", "below 1", self.label_smoothing)
        at_least(self, 1, "epochs", "batch_size")
