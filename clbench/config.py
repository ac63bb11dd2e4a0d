"""What a run is: frozen, checked on construction, round-trips through JSON.

Each configuration stands beside what it configures; here are those of a run, and all names in one
place. Importing this module is light. Names of benchmarks, networks and strategies are checked
where their tables live (a configuration cannot know third parties' entries); numbers and relations
are checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from clbench.codecs.table import canonical
from clbench.distillation.bptt.settings import BpttSettings
from clbench.distillation.difficulty.settings import OPERATIONS, DifficultySettings
from clbench.distillation.kernel.settings import KernelSettings
from clbench.distillation.matching.settings import MatchingSettings
from clbench.distillation.selection.settings import SelectionSettings
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.trajectories.settings import ExpertSettings, TrajectorySettings
from clbench.evaluation.settings import (
    ArchitectureSearchSettings,
    CrossArchitectureSettings,
    OfflineSettings,
    SetSettings,
)
from clbench.evaluation.table import EVALUATIONS
from clbench.fields import Config, above_zero, at_least, check, nested, setting
from clbench.networks.settings import NetworkConfig
from clbench.training.settings import SetTrainingConfig

__all__ = [
    "ArchitectureSearchSettings",
    "CrossArchitectureSettings",
    "OfflineSettings",
    "SetSettings",
    "BenchmarkConfig",
    "BpttSettings",
    "Config",
    "DifficultySettings",
    "DistillationConfig",
    "ExpertSettings",
    "KernelSettings",
    "LearnerConfig",
    "MatchingSettings",
    "MemoryConfig",
    "NetworkConfig",
    "RunConfig",
    "SelectionSettings",
    "SetTrainingConfig",
    "TrajectorySettings",
]


@dataclass(frozen=True)
class BenchmarkConfig(Config):
    """Which stream."""

    name: str = setting(
        "split_mnist5k",
        "Stream (clbench list benchmarks), or folder:PATH, the classes of your own images: "
        "a folder of CLASS/*, or train/CLASS/* and test/CLASS/* (and val/CLASS/*), or a CSV of "
        "path,label[,split][,group].",
        flag="benchmark",
        table="benchmarks",
        common=True,
    )
    num_experiences: int | None = setting(
        None,
        "Experiences; classes are dealt as evenly as they go, none is dropped.",
        none="the benchmark's own: mostly 5, or as many as there are classes or levels where they "
        "are fewer",
        common=True,
    )
    shuffle_classes: bool = setting(False, "Draw the class order from the seed.")
    validation_fraction: float = setting(
        0.0, "Part of the training images of each class held out as a validation stream."
    )
    train_per_class: int | None = setting(
        None, "Keep only so many training images of each class.", none="all"
    )
    image_size: int | None = setting(
        None,
        "Side of the squares that image files are decoded to.",
        none="128 of mhist, 64 of tiny_imagenet and folder:PATH, the largest side of chain:A+B; "
        "other data sets have a fixed size",
        unit="pixels",
    )
    normalisation: Literal["dataset", "imagenet"] = setting(
        "dataset", "Whose mean and deviation pixels are normalised by."
    )
    balance: Literal["none", "undersample"] = setting(
        "none",
        "Drop training images at random until all classes (in a stream of domains: within each "
        "experience) have as many as the smallest.",
    )
    domain_order: Literal["easy_first", "hard_first"] = setting(
        "easy_first", "Order of a stream of domains (mhist_agreement)."
    )
    class_order: str | None = setting(
        None,
        "Order of the classes: all their numbers, or names, joined by commas.",
        none="the data set's own",
        unit="classes",
    )
    images_in: str | None = setting(
        None,
        "Sub-folder of every class's folder that holds the images of folder:PATH, where others "
        "hold masks.",
        none="asked for where it matters",
        unit="name",
    )
    group_pattern: str | None = setting(
        None,
        "Regular expression whose first capture group, in a path of folder:PATH, is the patient; "
        "images of one patient stay on one side of test and validation split.",
        none="none",
        unit="regex",
    )
    allow_repeats: bool = setting(
        False, "Accept the same file in two parts of the split of folder:PATH, with a note."
    )

    def _validate(self) -> None:
        at_least(self, 1, "num_experiences", "train_per_class", "image_size")
        fraction = self.validation_fraction
        check(0 <= fraction < 1, "validation_fraction", "0 up to but not 1", fraction)


@dataclass(frozen=True)
class LearnerConfig(Config):
    """The network that learns the stream, shared by all strategies of a comparison.

    The default MLP 2x400 is the field's usual one on digits (van de Ven & Tolias, "Three scenarios
    for continual learning", 2019). Step size 0.05 is ours: 0.01 leaves experiences of 800 images
    unlearnt after ten epochs. Without ``epochs`` the benchmark's own number is taken, so that small
    sets are learnt as well as large ones.
    """

    network: NetworkConfig = nested(NetworkConfig(), whose="that learns the stream")
    optimizer: Literal["sgd", "adam"] = setting("sgd", "Optimiser.")
    learning_rate: float = setting(0.05, "Step size of the optimiser.", common=True)
    momentum: float = setting(0.0, "Momentum of the optimiser (SGD only).")
    weight_decay: float = setting(0.0, "Weight decay of the optimiser.")
    epochs: int | None = setting(
        None,
        "Passes over each experience.",
        none="10 on split_mnist5k, 1 on full-size sets",
        common=True,
    )
    batch_size: int = setting(64, "Current images per step.")
    memory_batch_size: int = setting(
        64, "Memory images per step, class-balanced, repeating where memory holds fewer."
    )
    augmentation: str | None = setting(
        None, f"{OPERATIONS}.", none="the benchmark's own: crop_flip of CIFAR, none of most"
    )
    reset_optimizer: bool = setting(True, "Forget the optimiser's state between experiences.")

    def _validate(self) -> None:
        above_zero(self, "learning_rate")
        at_least(self, 0, "momentum", "weight_decay")
        at_least(self, 1, "epochs", "batch_size", "memory_batch_size")


IMAGES_PER_CLASS = 10  # of a memory that nobody gave a size


@dataclass(frozen=True)
class MemoryConfig(Config):
    """How many bytes are remembered, and how images are written there.

    A benchmark may have a codec and a capacity of its own (`clbench.benchmarks.BenchmarkInfo`);
    `settled` fills in what is not given.
    """

    images_per_class: int | None = setting(
        None,
        "Capacity: the bytes of so many uint8 images of each class.",
        none="10; split_mnist5k: 1,960 bytes",
        common=True,
    )
    capacity_bytes: int | None = setting(
        None,
        "Capacity at the end of the stream, instead of --images-per-class.",
        flag="memory-bytes",
        none="none",
        unit="bytes",
        common=True,
    )
    codec: str | None = setting(
        None,
        "How the images of a class become bytes, as levels:side=14,levels=2 (clbench list codecs).",
        none="raw; levels:side=14,levels=2 in the own memory of split_mnist5k",
        table="codecs",
        common=True,
    )

    real_share: float = setting(
        0.0,
        "Part of a class's bytes for herded real images beside distilled ones (a hybrid memory).",
    )
    code_current: Literal["auto", "yes", "no"] = setting(
        "auto",
        "Replay: current training images pass through the codec, too; auto where it drops grey "
        "levels or detail of their size.",
    )

    def __post_init__(self) -> None:
        # One name for all lines that mean the same, so that their runs group together.
        if self.codec is not None:
            object.__setattr__(self, "codec", canonical(self.codec))
        super().__post_init__()

    def settled(self, codec: str = "raw", capacity_bytes: int | None = None) -> Self:
        """Return the same with a codec and one capacity.

        Without ``--images-per-class`` the codec is ``codec``; without any of the three options the
        capacity is ``capacity_bytes``. Otherwise: raw pixels, ten images of each class. Of two
        capacities bytes count, and ``images_per_class`` is None.

        Args:
            codec: the benchmark's own.
            capacity_bytes: the benchmark's own; None where it has none.
        """
        counted, size = self.images_per_class is not None, self.capacity_bytes
        if not counted and size is None and self.codec is None:
            size = capacity_bytes
        return self.replace(
            codec=self.codec or ("raw" if counted else codec),
            capacity_bytes=size,
            images_per_class=(self.images_per_class or IMAGES_PER_CLASS) if size is None else None,
        )

    def _validate(self) -> None:
        at_least(self, 1, "images_per_class", "capacity_bytes")
        check(0 <= self.real_share < 1, "real_share", "0 up to but not 1", self.real_share)


@dataclass(frozen=True)
class RunConfig(Config):
    """One run: a strategy on a benchmark under one seed.

    The strategy names the distiller; `clbench.strategies.resolved` sets ``distillation`` to it.

    Attributes:
        evaluations: of the last memory: name in the table of evaluations -> its settings; networks
            are trained as ``set_training`` says.
        method: the strategy's own settings, of the class that its row in the table names;
            `clbench.strategies.resolved` fills them in. None where it has none, and then `to_dict`
            has no such entry, so that the names of these runs are what they were.
    """

    strategy: str = setting(
        "dam_replay", "Strategy (clbench list strategies).", table="strategies", common=True
    )
    seed: int = setting(0, "Decides everything that is drawn.", common=True)
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "auto takes CUDA where there is one.", common=True
    )
    benchmark: BenchmarkConfig = nested(BenchmarkConfig(), heading="Stream")
    learner: LearnerConfig = nested(LearnerConfig(), heading="Learner")
    memory: MemoryConfig = nested(MemoryConfig(), heading="Memory")
    distillation: DistillationConfig = nested(DistillationConfig(), heading="Distillation")
    set_training: SetTrainingConfig = nested(
        SetTrainingConfig(), heading="Training on memory alone (*_gdumb)", prefix="set-"
    )
    evaluations: Mapping[str, Config] = field(default_factory=dict)
    method: Config | None = nested(None, hidden=True)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """See `Config.to_dict`; without ``method`` where the strategy has no settings."""
        values = super().to_dict()
        if self.method is None:
            del values["method"]
        return values

    def updated(self, values: Mapping[str, Any]) -> Self:
        """See `Config.updated`; ``evaluations`` maps names to their settings."""
        rest = {name: value for name, value in values.items() if name != "evaluations"}
        wanted = values.get("evaluations", {})
        check(isinstance(wanted, Mapping), "evaluations", "an object of evaluations", wanted)
        found = dict(self.evaluations)
        for name, settings in wanted.items():
            base = found.get(name) or EVALUATIONS.find(name).run_defaults()
            check(isinstance(settings, Mapping), name, "an object of settings", settings)
            found[name] = base.updated(settings)
        return super().updated(rest).replace(evaluations=found)

    def _validate(self) -> None:
        check(0 <= self.seed < 2**63, "seed", "0 to 2**63 - 1", self.seed)
