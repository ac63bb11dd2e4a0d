"""Settings and presets of MTT, DATM and PAD."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from clbench.distillation.difficulty.settings import DifficultySettings
from clbench.distillation.matching import settings as matching
from clbench.distillation.matching.settings import MatchingSettings
from clbench.fields import Config, above_zero, at_least, check, nested, setting


@dataclass(frozen=True)
class ExpertSettings(DifficultySettings):
    """The networks whose training trajectories are matched, trained on the real images.

    An expert's weights are kept at the start and at equal distances from there on. PAD takes 100
    experts of 100 epochs with one snapshot each; digits are learnt sooner, so they are looked at
    more often, and one pass over all of MNIST will do (ours).
    """

    num_experts: int = setting(
        3, "Networks whose trajectories are matched, each from weights of its own."
    )
    epochs: int | None = setting(
        None,
        "Passes of each expert over the real images.",
        flag="expert-epochs",
        none="as many as show 30,000 images",
    )
    snapshots_per_epoch: int | None = setting(
        None, "How often an expert's weights are kept.", none="10 times in all"
    )
    initial_ratio: float = setting(
        0.75, "Share of the easiest images that training begins with (data scheduler; PAD: 0.75)."
    )
    addition_end: float = setting(
        0.3,
        "When all images have been added, as a share of the training (data scheduler; PAD: 0.2 to "
        "0.4).",
    )

    def _validate(self) -> None:
        super()._validate()
        at_least(self, 1, "num_experts", "epochs", "snapshots_per_epoch")
        above_zero(self, "initial_ratio", "addition_end")
        for name in ("initial_ratio", "addition_end"):
            check(getattr(self, name) <= 1, name, "at most 1", getattr(self, name))

    def num_epochs(self, num_images: int) -> int:
        """Return the passes over so many images."""
        return self.epochs or max(1, math.ceil(30_000 / num_images))

    def num_snapshots(self, num_images: int) -> int:
        """Return S, the snapshots after the initial weights."""
        per_epoch = self.snapshots_per_epoch
        return 10 if per_epoch is None else per_epoch * self.num_epochs(num_images)


@dataclass(frozen=True)
class TrajectorySettings(Config):
    """Trajectory matching: MTT (Cazenavette et al. 2022), DATM (Guo et al. 2024), PAD (Li et al.).

    The student starts from an expert's snapshot and takes ``student_steps`` steps on the synthetic
    images; the distance to the expert's snapshot ``expert_snapshots`` later is brought down.
    ``data_scheduler``, ``growing_start``, ``mask_ratio`` and ``soft_labels`` are what sets the
    three methods apart; the defaults of the class are PAD's, see `MTT`, `DATM` and `PAD`.

    With ``normalise_gradient`` the images' gradient is divided by its root mean square (ours):
    windows of a trajectory differ tenfold in the gradients that they give, and so do numbers of
    images and classes. ``decay`` "cosine" ends at 0 (ours: with fewer updates than the papers' the
    last ones would remain as noise). ``matched_start`` costs seconds where trajectories cost
    minutes (ours; the papers start from real images). ``against_memory`` is ours: images made to
    separate 2 classes do not help to separate 10. An experience of one class always learns so.
    """

    matched_start: Literal["none", "dm", "datadam"] = setting(
        "datadam", "Distribution matching that the images go through first."
    )
    against_memory: bool = setting(True, "Learn against what memory holds of other classes.")
    num_updates: int = setting(100, "Image updates.")
    student_steps: int = setting(10, "N: steps of the student on the distilled images.")
    expert_snapshots: int = setting(
        2, "M: how many snapshots later the expert is that the student is to meet."
    )
    batch_synthetic: int | None = setting(
        100, "Distilled images per student step, of those learnt against too.", none="all"
    )
    first_start: int = setting(1, "T-: the earliest snapshot that a student starts from.")
    initial_last_start: int = setting(
        4, "T: where starts are drawn below at first, if they grow later."
    )
    last_start: int = setting(8, "T+: where starts are drawn below in the end.")
    growing_start: bool = setting(True, "Starts grow later over the run: easy knowledge first.")
    data_scheduler: bool = setting(
        True, "Experts see easy images first, and the easiest no more in the end."
    )
    mask_ratio: float = setting(
        0.25, "Share of the parameters, from the shallow end, that is not matched."
    )
    soft_labels: bool = setting(
        True, "Learn soft labels; memory is charged a byte per class and image for them."
    )
    normalise_gradient: bool = setting(True, "Divide the images' gradient by its root mean square.")
    learning_rate: float = setting(
        0.01,
        "Step size of the images; with a normalised gradient in standard deviations of the data.",
        flag="trajectory-learning-rate",
    )
    momentum: float = setting(0.5, "Momentum of the images.", flag="trajectory-momentum")
    label_learning_rate: float = setting(5.0, "Step size of the soft labels (DATM: 2 to 10).")
    label_momentum: float = setting(0.9, "Momentum of the soft labels.")
    decay: Literal["none", "cosine"] = setting(
        "cosine",
        "How the step sizes of images, labels and b fall over the run.",
        flag="trajectory-decay",
    )
    step_size: float = setting(0.08, "b: step size of the student, or its start.")
    learn_step_size: bool = setting(True, "Learn the student's step size; log b is what moves.")
    step_size_learning_rate: float = setting(0.05, "Step size of that one's logarithm.")
    max_loss: float = setting(1.0, "Updates of a greater loss move nothing.")
    rate_weight: float = setting(
        0.0,
        "Weight of an image's bits in the loss (codec levels only); 0 counts none.",
        flag="trajectory-rate-weight",
    )
    experts: ExpertSettings = nested(ExpertSettings())
    start: MatchingSettings = nested(MatchingSettings())

    def _validate(self) -> None:
        at_least(self, 1, "num_updates", "student_steps", "expert_snapshots", "batch_synthetic")
        at_least(self, 0, "first_start", "mask_ratio", "momentum", "label_momentum")
        at_least(self, 0, "rate_weight")
        at_least(self, self.first_start + 1, "initial_last_start", "last_start")
        check(self.mask_ratio < 1, "mask_ratio", "0 up to but not 1", self.mask_ratio)
        above_zero(self, "learning_rate", "label_learning_rate", "max_loss")
        above_zero(self, "step_size", "step_size_learning_rate")
        if self.experts.snapshots_per_epoch is None or self.experts.epochs is not None:
            self.check_snapshots(self.experts.num_snapshots(1))

    def before_preset(self) -> TrajectorySettings:
        """Return what a preset is laid over: that of a start leaves the trajectories alone."""
        return self.replace(start=MatchingSettings())

    def check_snapshots(self, there: int) -> None:
        """Refuse to start so late that the expert ends before the student is to meet it.

        Raises:
            InputError: ``there`` snapshots of an expert are too few.
        """
        expected = f"last_start - 1 + expert_snapshots of at most {there}, an expert's snapshots"
        needed = self.last_start - 1 + self.expert_snapshots
        check(needed <= there, "last_start", expected, needed)


PAD = TrajectorySettings()
DATM = PAD.replace(data_scheduler=False, mask_ratio=0.0)
MTT = DATM.replace(growing_start=False, soft_labels=False)


def _pad_cifar10(start: int, last_start: int, mask_ratio: float) -> dict[str, Any]:
    """PAD's table for CIFAR-10 (Li et al. 2024): 100 experts of 100 epochs, days of one GPU."""
    return {
        "network": {"name": "convnet", "width": 128, "depth": 3, "norm": "instance"},
        "settings": {
            "matched_start": "none",
            "normalise_gradient": False,
            "learning_rate": 1000.0,
            "decay": "none",
            "num_updates": 10000,
            "student_steps": 80,
            "expert_snapshots": 2,
            "batch_synthetic": None,
            "first_start": 0,
            "initial_last_start": start,
            "last_start": last_start,
            "mask_ratio": mask_ratio,
            "step_size": 0.01,
            "experts": {
                "num_experts": 100,
                "epochs": 100,
                "snapshots_per_epoch": 1,
                "batch_size": 256,
                "learning_rate": 0.01,
                "num_difficulty_networks": 10,
                "addition_end": 0.2,
            },
        },
    }


PRESETS: dict[str, dict[str, Any]] = {
    # The loop that makes the images to start from.
    **{
        name: {**preset, "settings": {"start": preset.get("settings", {})}}
        for name, preset in matching.PRESETS.items()
    },
    "pad_cifar10_ipc1": _pad_cifar10(4, 4, 0.0),
    "pad_cifar10_ipc10": _pad_cifar10(10, 20, 0.25),
    "pad_cifar10_ipc50": _pad_cifar10(20, 40, 0.25),
}
