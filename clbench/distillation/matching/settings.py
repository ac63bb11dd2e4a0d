"""Settings and presets of DM and DataDAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from clbench.distillation.difficulty.settings import DifficultySettings
from clbench.fields import Config, above_zero, at_least, nested, setting

NETWORKS, COARSE_NETWORKS = 80, 20
COARSE_PART = 0.5  # of the step size, where levels are far apart


@dataclass(frozen=True)
class MatchingSettings(Config):
    """Distribution matching: DM (Zhao & Bilen 2023), DataDAM (Sajedi et al. 2023).

    One loop serves both: draw ``num_networks`` networks; each gives ``updates_per_network`` image
    updates, taking ``network_steps`` SGD steps on the synthetic set before each update but the
    first. With ``resample`` real batch and augmentation are drawn for every update (the papers);
    without, once per network, so that the real statistics are computed once (amortised, ours).
    docs/papers.md says where paper, published code and we differ.
    """

    num_networks: int | None = setting(
        None, "Random networks drawn.", none="80; 20 where the codec is coarse", common=True
    )
    updates_per_network: int = setting(5, "Image updates in each.")
    resample: bool = setting(
        False, "New real batch and augmentation for every update, not for every network."
    )
    network_steps: int = setting(0, "Training steps of the network between updates.")
    network_learning_rate: float = setting(0.01, "Step size of these.")
    batch_real: int = setting(64, "Real images per class and batch.")
    learning_rate: float = setting(
        100.0,
        "Step size of the images, on the unscaled loss; a coarse codec takes half of it.",
        flag="image-learning-rate",
    )
    momentum: float = setting(0.5, "Momentum of the images.", flag="image-momentum")
    attention_power: float = setting(1.0, "p of the attention maps (datadam).")
    matched_layers: Literal["all", "deep"] = setting(
        "all", "Layers whose attention is matched (datadam)."
    )
    mmd_weight: float = setting(0.01, "Weight of the embedding's distance (datadam's lambda).")
    rate_weight: float = setting(
        0.0, "Weight of an image's bits in the loss (codec levels only); 0 counts none."
    )
    images_per_pass: int | None = setting(
        None,
        "Images in a matching network at once; fewer take less memory (dm, datadam).",
        none="as many as take 2 GiB",
    )
    difficulty: DifficultySettings = nested(DifficultySettings())

    def networks(self, *, coarse: bool) -> int:
        """Return how many networks are drawn, for a coarse codec or another one."""
        return self.num_networks or (COARSE_NETWORKS if coarse else NETWORKS)

    def step_size(self, *, coarse: bool) -> float:
        """Return the step size of the images, for a coarse codec or another one.

        Through a coarse codec, whole steps of 80 networks take images apart: on the validation
        stream of Split MNIST (1,960 bytes, levels:side=14,levels=2, MLP) DataDAM scores 55.9 %.
        """
        return self.learning_rate * (COARSE_PART if coarse else 1)

    def _validate(self) -> None:
        at_least(self, 1, "num_networks", "updates_per_network", "batch_real", "images_per_pass")
        at_least(self, 0, "network_steps", "momentum", "mmd_weight", "rate_weight")
        above_zero(self, "network_learning_rate", "learning_rate", "attention_power")


# paper: the authors' code (BatchNorm, p = 1, 20000 networks of one update each, its factor 100 on
# the loss moved into the step size). course: the course report's table, MNIST row. course_pad: what
# the same report calls PAD, matching of deep features from easy images; trajectories have no part.
_PAPER: dict[str, Any] = {
    "network": {"name": "convnet", "width": 128, "depth": 3, "norm": "batch"},
    "settings": {
        "num_networks": 20000,
        "updates_per_network": 1,
        "resample": True,
        "batch_real": 256,
        "learning_rate": 100.0,
    },
}
_COURSE: dict[str, Any] = {
    "network": {"name": "convnet", "width": 128, "depth": 3, "norm": "instance"},
    "settings": {
        "num_networks": 100,
        "updates_per_network": 10,
        "resample": True,
        "network_steps": 50,
        "batch_real": 256,
        "learning_rate": 0.1,
    },
}
_COURSE_PAD: dict[str, Any] = {
    **_COURSE,
    "initialisation": "easy",
    "settings": {**_COURSE["settings"], "matched_layers": "deep"},
}
# Name -> what it lays over the defaults of a `DistillationConfig`.
PRESETS: dict[str, dict[str, Any]] = {
    "amortised": {},
    "paper": _PAPER,
    "course": _COURSE,
    "course_pad": _COURSE_PAD,
}
