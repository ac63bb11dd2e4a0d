"""What a run is: frozen, checked on construction, round-trips through JSON.

Names of benchmarks, networks, distillers and strategies are checked where their tables live (a
configuration cannot know third parties' entries); numbers and relations are checked here.
"""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass, field
from typing import Literal

from clbench.fields import Config, above_zero, at_least, check

Norm = Literal["none", "batch", "instance", "layer", "group"]
Activation = Literal["relu", "leaky_relu", "sigmoid"]
Pooling = Literal["none", "max", "avg"]
Device = Literal["auto", "cpu", "cuda"]
Loop = Literal[
    "amortised",
    "paper",
    "course",
    "course_pad",
    "pad_cifar10_ipc1",
    "pad_cifar10_ipc10",
    "pad_cifar10_ipc50",
]


@dataclass(frozen=True)
class BenchmarkConfig(Config):
    """Which stream.

    Attributes:
        name: key of the table of benchmarks.
        num_experiences: T; classes are dealt as evenly as they go, none is dropped. None is 5, or
            one for each class (each level, in a stream of domains) where there are fewer.
        shuffle_classes: class order drawn from the run's seed instead of 0, 1, 2, ...
        validation_fraction: part of every class's training images held out as validation stream.
        train_per_class: keep only so many training images of each class (None: all).
        image_size: side of the squares that image files are decoded to; None for the default.
        normalisation: moments of the data set's training images, or those of ImageNet.
        balance: "undersample" drops training images at random until every class has as many as the
            smallest (in a stream of domains: within each experience).
        domain_order: of a stream of domains, from easy to hard or back.
    """

    name: str = "split_mnist5k"
    num_experiences: int | None = None
    shuffle_classes: bool = False
    validation_fraction: float = 0.0
    train_per_class: int | None = None
    image_size: int | None = None
    normalisation: Literal["dataset", "imagenet"] = "dataset"
    balance: Literal["none", "undersample"] = "none"
    domain_order: Literal["easy_first", "hard_first"] = "easy_first"

    def _validate(self) -> None:
        at_least(self, 1, "num_experiences", "train_per_class", "image_size")
        fraction = self.validation_fraction
        check(0 <= fraction < 1, "validation_fraction", "0 up to but not 1", fraction)


@dataclass(frozen=True)
class NetworkConfig(Config):
    """Which network; ``None`` means the network's own default.

    Attributes:
        name: key of the table of networks.
        width: channels (convolutional) or hidden units (MLP) of each layer.
        depth: number of convolution blocks, or of hidden layers.
        norm, activation, pooling: variants as in the DC/DM family's networks.
        hidden: units of the hidden layer behind the convolutions (cnn).
    """

    name: str = "mlp"
    width: int | None = None
    depth: int | None = None
    norm: Norm | None = None
    activation: Activation | None = None
    pooling: Pooling | None = None
    hidden: int | None = None

    def _validate(self) -> None:
        hints = {"norm": Norm, "activation": Activation, "pooling": Pooling}
        for name, hint in hints.items():
            value = getattr(self, name)
            options = typing.get_args(hint)
            check(value in (None, *options), name, "one of " + ", ".join(options), value)
        at_least(self, 1, "width", "depth", "hidden")


@dataclass(frozen=True)
class LearnerConfig(Config):
    """The network that learns the stream, shared by all strategies of a comparison.

    Attributes:
        network: its architecture. Default MLP 2x400, the field's usual one on digits
            (van de Ven & Tolias, "Three scenarios for continual learning", 2019).
        optimizer: "sgd" or "adam".
        learning_rate, momentum, weight_decay: of the optimiser (momentum: SGD only). Step size
            0.05 is ours: 0.01 leaves experiences of 800 images unlearnt after ten epochs.
        epochs: passes over each experience's data (replay strategies, naive, cumulative); None
            takes the benchmark's own number, so that small sets are learnt as well as large ones.
        batch_size: current images per step.
        memory_batch_size: memory images per step, drawn class-balanced, repeating where memory
            holds fewer.
        augmentation: DSA operations joined by ``_`` on every training batch, or "none".
        reset_optimizer: forget the optimiser's state between experiences.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.05
    momentum: float = 0.0
    weight_decay: float = 0.0
    epochs: int | None = None
    batch_size: int = 64
    memory_batch_size: int = 64
    augmentation: str = "none"
    reset_optimizer: bool = True

    def _validate(self) -> None:
        above_zero(self, "learning_rate")
        at_least(self, 0, "momentum", "weight_decay")
        at_least(self, 1, "epochs", "batch_size", "memory_batch_size")


@dataclass(frozen=True)
class SetTrainingConfig(Config):
    """How a fresh network is trained on one set alone, small or whole.

    Defaults: the protocol of the DC/DSA/DM family (Zhao & Bilen 2021, 2023): SGD lr 0.01, momentum
    0.9, weight decay 5e-4, batch 256, DSA, 300-1000 epochs, lr x 0.1 after half of them; the last
    epoch counts.

    Attributes:
        schedule: of the learning rate. "step": a tenth after half of the epochs; "cosine": to 0
            (Loshchilov & Hutter, SGDR, 2017, without restarts); "one_cycle": linearly from 0 over
            the first fifth, then as a cosine to 0 (after Smith & Topin, 2018); "constant".
        label_smoothing: share of a label spread over all classes (Szegedy et al., 2016).
        augmentation: DSA operations joined by ``_``, "none", or "auto" for the data's own.
    """

    epochs: int = 300
    batch_size: int = 256
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["step", "cosine", "one_cycle", "constant"] = "step"
    label_smoothing: float = 0.0
    augmentation: str = "auto"

    def _validate(self) -> None:
        above_zero(self, "learning_rate")
        at_least(self, 0, "momentum", "weight_decay", "label_smoothing")
        check(self.label_smoothing < 1, "label_smoothing", "below 1", self.label_smoothing)
        at_least(self, 1, "epochs", "batch_size")


@dataclass(frozen=True)
class ExpertConfig(Config):
    """The networks whose training trajectories are matched, trained on the real images.

    An expert's weights are kept at the start and at equal distances from there on.

    Attributes:
        num_experts: trajectories; each starts from weights of its own.
        epochs: passes over the real images; None shows at least 30,000 images, so that a small
            experience is learnt too; one pass over all of MNIST will do.
        snapshots_per_epoch: None keeps ten in all. PAD takes 100 experts of 100 epochs with one
            snapshot each; digits are learnt sooner, so they are looked at more often (ours).
        batch_size, learning_rate: of plain SGD, no momentum, no weight decay (MTT, appendix).
        augmentation: DSA operations joined by ``_``, "none", or "auto" for the data's own.
        num_difficulty_networks: networks whose EL2N scores are averaged (Paul et al. 2021: 10).
        difficulty_epochs: how long they are trained; None shows at least 12,000 images.
        initial_ratio: share of the easiest images that training starts with (PAD: 0.75).
        addition_end: when all images have been added, as a share of the training (PAD: 0.2 to 0.4).
        seed: of the experts. Runs under different seeds share experts, so that their spread is that
            of the distillation and of the learner.
    """

    num_experts: int = 3
    epochs: int | None = None
    snapshots_per_epoch: int | None = None
    batch_size: int = 128
    learning_rate: float = 0.05
    augmentation: str = "auto"
    num_difficulty_networks: int = 3
    difficulty_epochs: int | None = None
    initial_ratio: float = 0.75
    addition_end: float = 0.3
    seed: int = 0

    def _validate(self) -> None:
        at_least(self, 1, "num_experts", "epochs", "snapshots_per_epoch", "batch_size")
        at_least(self, 1, "num_difficulty_networks", "difficulty_epochs")
        at_least(self, 0, "seed")
        above_zero(self, "learning_rate", "initial_ratio", "addition_end")
        for name in ("initial_ratio", "addition_end"):
            check(getattr(self, name) <= 1, name, "at most 1", getattr(self, name))

    def num_epochs(self, num_images: int) -> int:
        """Passes over so many images."""
        return self.epochs or max(1, math.ceil(30_000 / num_images))

    def num_difficulty_epochs(self, num_images: int) -> int:
        """Passes of the networks that judge difficulty."""
        return self.difficulty_epochs or max(1, math.ceil(12_000 / num_images))

    def num_snapshots(self, num_images: int) -> int:
        """S, snapshots after the initial weights."""
        per_epoch = self.snapshots_per_epoch
        return 10 if per_epoch is None else per_epoch * self.num_epochs(num_images)


@dataclass(frozen=True)
class TrajectoryConfig(Config):
    """Trajectory matching: MTT (Cazenavette et al. 2022), DATM (Guo et al. 2024), PAD (Li et al.).

    The student starts from an expert's snapshot and takes ``student_steps`` steps on the synthetic
    images; the distance to the expert's snapshot ``expert_snapshots`` later is brought down.
    What sets the three methods apart is data_scheduler, growing_start, mask_ratio and soft_labels:
    None is the method's own (`clbench.distillation.methods.METHODS`).

    Attributes:
        num_updates: image updates.
        student_steps: N.
        expert_snapshots: M.
        batch_synthetic: images per student step, of those learnt against too; None takes all.
        first_start, last_start: T- and T+; start snapshots are drawn from T- to UB - 1, UB is T+.
        initial_last_start: T; where UB grows, it does so from T to T+ over the run.
        growing_start: UB grows, easy knowledge first (DATM).
        data_scheduler: experts see easy images first, and the easiest no more in the end (PAD).
        mask_ratio: share of the parameters, from the shallow end, left out of the distance (PAD).
        soft_labels: labels are learnt logits (DATM).
        normalise_gradient: the images' gradient is divided by its root mean square (normalised
            gradient descent; ours): windows of a trajectory differ tenfold in the gradients that
            they give, and so do numbers of images and classes.
        learning_rate, momentum: of the images. With a normalised gradient, the root mean square
            of one step, in standard deviations of the data; without one, MTT has 100 to 1000, 0.5.
        label_learning_rate, label_momentum: of the logits (DATM: 2 to 10, 0.9).
        decay: how the step sizes of images, labels and log b fall over the run; "cosine" ends at 0
            (ours: fewer updates than the papers', of which the last ones would remain as noise).
        step_size: b, with which the student learns (the initial one where it is learnt).
        learn_step_size: b follows its gradient (MTT); log b is what moves, so b stays positive.
        step_size_learning_rate: on log b.
        max_loss: an update whose loss is above moves neither images nor labels.
        matched_start: what makes the images to start from out of the initial ones: a distribution
            matching by the fields of `DistillationConfig`, or nothing (the papers; ours else: it
            costs seconds where trajectories cost minutes).
        against_memory: experts and students of an experience of several classes, too, learn what
            memory holds of other classes (ours: images that tell two classes apart are no memory
            for a network that is to tell ten). One of a single class always does.
    """

    num_updates: int = 100
    student_steps: int = 10
    expert_snapshots: int = 2
    batch_synthetic: int | None = 100
    first_start: int = 1
    initial_last_start: int = 4
    last_start: int = 8
    growing_start: bool | None = None
    data_scheduler: bool | None = None
    mask_ratio: float | None = None
    soft_labels: bool | None = None
    normalise_gradient: bool = True
    learning_rate: float = 0.01
    momentum: float = 0.5
    label_learning_rate: float = 5.0
    label_momentum: float = 0.9
    decay: Literal["none", "cosine"] = "cosine"
    step_size: float = 0.08
    learn_step_size: bool = True
    step_size_learning_rate: float = 0.05
    max_loss: float = 1.0
    matched_start: Literal["none", "dm", "datadam"] = "datadam"
    against_memory: bool = True
    experts: ExpertConfig = field(default_factory=ExpertConfig)

    def _validate(self) -> None:
        at_least(self, 1, "num_updates", "student_steps", "expert_snapshots", "batch_synthetic")
        at_least(self, 0, "first_start", "mask_ratio", "momentum", "label_momentum")
        at_least(self, self.first_start + 1, "initial_last_start", "last_start")
        if self.mask_ratio is not None:
            check(self.mask_ratio < 1, "mask_ratio", "0 up to but not 1", self.mask_ratio)
        above_zero(self, "learning_rate", "label_learning_rate", "max_loss")
        above_zero(self, "step_size", "step_size_learning_rate")
        experts = self.experts
        if experts.snapshots_per_epoch is None or experts.epochs is not None:
            self.check_snapshots(experts.num_snapshots(1))

    def check_snapshots(self, there: int) -> None:
        """Refuse to start so late that the expert ends before the student is to meet it.

        Raises:
            InputError: ``there`` snapshots of an expert are too few.
        """
        expected = f"last_start - 1 + expert_snapshots of at most {there}, an expert's snapshots"
        needed = self.last_start - 1 + self.expert_snapshots
        check(needed <= there, "last_start", expected, needed)


@dataclass(frozen=True)
class DistillationConfig(Config):
    """How a data set becomes a few images.

    One loop serves all: draw ``num_networks`` networks; each gives ``updates_per_network`` image
    updates, taking ``network_steps`` SGD steps on the synthetic set before each update but the
    first. With ``resample`` real batch and augmentation are drawn for every update (the papers);
    without, once per network, so that the real statistics are computed once (amortised).
    The default network is a quarter of the paper's width: on Split-MNIST's validation stream its
    images served replay no worse than those of width 64, in a third of the time.

    Trajectory matching (mtt, datm, pad) has a loop of its own, ``trajectory``; of the fields here
    it takes network, initialisation, augmentation and precision.

    Attributes: see docs/papers.md for where paper, published code and we differ; images_per_pass is
    how many go through a matching network at once, None as many as take two GiB there.
    """

    distiller: str = "datadam"
    network: NetworkConfig = field(
        default_factory=lambda: NetworkConfig("convnet", width=32, depth=3, norm="instance")
    )
    initialisation: Literal["real", "herding", "easy", "noise"] = "real"
    num_networks: int = 80
    updates_per_network: int = 5
    resample: bool = False
    network_steps: int = 0
    network_learning_rate: float = 0.01
    batch_real: int = 64
    learning_rate: float = 100.0
    momentum: float = 0.5
    attention_power: float = 1.0
    matched_layers: Literal["all", "deep"] = "all"
    mmd_weight: float = 0.01
    images_per_pass: int | None = None
    augmentation: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    trajectory: TrajectoryConfig = field(default_factory=TrajectoryConfig)

    def _validate(self) -> None:
        at_least(self, 1, "num_networks", "updates_per_network", "batch_real", "images_per_pass")
        at_least(self, 0, "network_steps", "momentum", "mmd_weight")
        above_zero(self, "network_learning_rate", "learning_rate", "attention_power")


@dataclass(frozen=True)
class MemoryConfig(Config):
    """How much is remembered, and how it is stored.

    Attributes:
        images_per_class: slots per class. With ``capacity_bytes`` this is derived from it.
        capacity_bytes: whole memory in bytes at the end of the stream, or None.
        packing: F; a slot holds F x F down-scaled images.
        storage: "uint8", or "float32" at four times the bytes.
    """

    images_per_class: int = 10
    capacity_bytes: int | None = None
    packing: int = 1
    storage: Literal["uint8", "float32"] = "uint8"

    def _validate(self) -> None:
        at_least(self, 1, "images_per_class", "capacity_bytes", "packing")


@dataclass(frozen=True)
class EvaluationConfig(Config):
    """What is made of a run's last memory beyond the run itself.

    Networks are trained on it as `RunConfig.set_training` says.

    Attributes:
        cross_architecture: train several networks on it, and on random images of equal bytes.
        architecture_search: rank a space of architectures by it.
        networks: names of these, joined by commas.
        num_networks: fresh ones of each, per set.
        space: key of `clbench.evaluation.SPACES`.
        num_candidates: so many of the space, drawn by the seed; None takes all.
        full_epochs: of each candidate on all training images, for the true ranking; 0 trains none.
    """

    cross_architecture: bool = False
    architecture_search: bool = False
    networks: str = "mlp,convnet,lenet,alexnet,vgg11,resnet18"
    num_networks: int = 3
    space: str = "cnn54"
    num_candidates: int | None = None
    full_epochs: int = 0

    def _validate(self) -> None:
        at_least(self, 1, "num_networks")
        at_least(self, 2, "num_candidates")
        at_least(self, 0, "full_epochs")


@dataclass(frozen=True)
class RunConfig(Config):
    """One run: a strategy on a benchmark under one seed.

    Attributes:
        set_training: how `*_gdumb` strategies train on memory alone.
        evaluation: what else is made of the last memory.
        device: "auto" takes CUDA where there is one.
    """

    strategy: str = "dam_replay"
    seed: int = 0
    device: Device = "auto"
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    set_training: SetTrainingConfig = field(default_factory=SetTrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def _validate(self) -> None:
        check(0 <= self.seed < 2**63, "seed", "0 to 2**63 - 1", self.seed)
