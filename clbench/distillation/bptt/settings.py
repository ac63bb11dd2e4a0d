"""Settings of back-propagation through training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clbench.distillation.matching.settings import MatchingSettings
from clbench.fields import Config, above_zero, at_least, check, nested, setting


@dataclass(frozen=True)
class BpttSettings(Config):
    """Back-propagation through training, through a window of random place (RaT-BPTT).

    Feng, Vedantam & Kempe, "Embarrassingly Simple Dataset Distillation", ICLR 2024. A fresh
    network takes N steps of SGD on the images, N drawn anew for each update, and what it then
    loses on real images is differentiated back through the last ``window`` steps. docs/papers.md
    says where the paper and we differ.

    Numbers are ours, from prototypes on held-out training images of MNIST. ``matched_start`` costs
    seconds where training through costs minutes.
    ``against_memory`` is ours, as with trajectories.
    """

    num_updates: int = setting(100, "Image updates.")
    unroll: int = setting(
        40, "Steps of a network on the images at most, before it is judged.", flag="bptt-unroll"
    )
    window: int = setting(
        20,
        "Steps, the last ones, that its loss is differentiated through; the fewest it takes.",
        flag="bptt-window",
    )
    batch_synthetic: int | None = setting(
        100, "Distilled images per step, of those learnt against too.", none="all"
    )
    batch_real: int = setting(
        256, "Real images that a network is judged by.", flag="bptt-batch-real"
    )
    step_size: float = setting(
        0.1, "Step size of the networks (SGD without momentum).", flag="bptt-step-size"
    )
    learning_rate: float = setting(
        0.06,
        "Step size of the images (Adam), in standard deviations of the data.",
        flag="bptt-learning-rate",
    )
    decay: Literal["none", "cosine"] = setting(
        "cosine", "How the step sizes of images and labels fall over the run.", flag="bptt-decay"
    )
    against_memory: bool = setting(True, "Learn against what memory holds of other classes.")
    matched_start: Literal["none", "dm", "datadam"] = setting(
        "datadam", "Distribution matching that the images go through first."
    )
    soft_labels: bool = setting(
        True, "Learn soft labels; memory is charged a byte per class and image for them."
    )
    label_learning_rate: float = setting(
        0.05, "Step size of soft labels' logits (Adam).", flag="bptt-label-learning-rate"
    )
    rate_weight: float = setting(
        0.0,
        "Weight of an image's bits in the loss (codec levels only); 0 counts none.",
        flag="bptt-rate-weight",
    )
    start: MatchingSettings = nested(MatchingSettings())

    def _validate(self) -> None:
        at_least(self, 1, "num_updates", "window", "batch_synthetic", "batch_real")
        check(self.unroll >= self.window, "unroll", f"at least window, {self.window}", self.unroll)
        at_least(self, 0, "rate_weight")
        above_zero(self, "step_size", "learning_rate", "label_learning_rate")
