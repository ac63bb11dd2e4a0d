"""What a run is: frozen, checked on construction, round-trips through JSON.

Names of benchmarks, networks, distillers and strategies are checked where their tables live (a
configuration cannot know third parties' entries); numbers and relations are checked here.
"""

from __future__ import annotations

import dataclasses
import types as python_types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from clbench.types import InputError

Norm = Literal["none", "batch", "instance", "layer", "group"]
Activation = Literal["relu", "leaky_relu", "sigmoid"]
Pooling = Literal["none", "max", "avg"]
Device = Literal["auto", "cpu", "cuda"]
Loop = Literal["amortised", "paper", "course"]


def _check(ok: bool, name: str, expected: str, found: object) -> None:
    if not ok:
        raise InputError(f"{name}: expected {expected}, found {found!r}")


def _at_least(config: object, low: float, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None:
            _check(value >= low, name, f"at least {low:g}", value)


def _above_zero(config: object, *names: str) -> None:
    for name in names:
        _check(getattr(config, name) > 0, name, "a number above 0", getattr(config, name))


class _Config:
    """JSON in and out for every frozen configuration below."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in dataclasses.fields(typing.cast(Any, self)):
            value, hint = getattr(self, f.name), hints[f.name]
            if typing.get_origin(hint) is Literal:
                options = typing.get_args(hint)
                _check(value in options, f.name, "one of " + ", ".join(options), value)
            elif isinstance(value, float):
                _check(value == value and abs(value) != float("inf"), f.name, "a number", value)
        self._validate()

    def _validate(self) -> None:
        """Ranges and relations; a subclass overrides this."""

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, every field present."""
        return dataclasses.asdict(typing.cast(Any, self))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`; absent fields take their defaults.

        Raises:
            InputError: an unknown field, or a value of the wrong type or range.
        """
        hints = typing.get_type_hints(cls)
        unknown = sorted(set(values) - set(hints))
        _check(not unknown, cls.__name__, "fields " + ", ".join(hints), ", ".join(unknown))
        return cls(**{name: _read(name, hints[name], value) for name, value in values.items()})

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked anew."""
        return typing.cast(Self, dataclasses.replace(typing.cast(Any, self), **changes))


def _read(name: str, hint: Any, value: Any) -> Any:
    options = [hint]
    if typing.get_origin(hint) in (typing.Union, python_types.UnionType):
        options = list(typing.get_args(hint))
    for option in options:
        if isinstance(option, type) and issubclass(option, _Config) and isinstance(value, dict):
            return option.from_dict(value)
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        kind = str if typing.get_origin(option) is Literal else option
        truth_for_number = kind is int and isinstance(value, bool)
        if isinstance(kind, type) and isinstance(value, kind) and not truth_for_number:
            return value
    raise InputError(f"{name}: expected {hint}, found {value!r}")


@dataclass(frozen=True)
class BenchmarkConfig(_Config):
    """Which stream.

    Attributes:
        name: key of the table of benchmarks.
        num_experiences: T; classes are dealt as evenly as they go, none is dropped.
        shuffle_classes: class order drawn from the run's seed instead of 0, 1, 2, ...
        validation_fraction: part of every class's training images held out as validation stream.
        train_per_class: keep only so many training images of each class (None: all).
    """

    name: str = "split_mnist5k"
    num_experiences: int = 5
    shuffle_classes: bool = False
    validation_fraction: float = 0.0
    train_per_class: int | None = None

    def _validate(self) -> None:
        _at_least(self, 1, "num_experiences", "train_per_class")
        fraction = self.validation_fraction
        _check(0 <= fraction < 1, "validation_fraction", "0 up to but not 1", fraction)


@dataclass(frozen=True)
class NetworkConfig(_Config):
    """Which network; ``None`` means the network's own default.

    Attributes:
        name: key of the table of networks.
        width: channels (convolutional) or hidden units (MLP) of each layer.
        depth: number of convolution blocks, or of hidden layers.
        norm, activation, pooling: variants as in the DC/DM family's networks.
    """

    name: str = "mlp"
    width: int | None = None
    depth: int | None = None
    norm: Norm | None = None
    activation: Activation | None = None
    pooling: Pooling | None = None

    def _validate(self) -> None:
        hints = {"norm": Norm, "activation": Activation, "pooling": Pooling}
        for name, hint in hints.items():
            value = getattr(self, name)
            options = typing.get_args(hint)
            _check(value in (None, *options), name, "one of " + ", ".join(options), value)
        _at_least(self, 1, "width", "depth")


@dataclass(frozen=True)
class LearnerConfig(_Config):
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
        _above_zero(self, "learning_rate")
        _at_least(self, 0, "momentum", "weight_decay")
        _at_least(self, 1, "epochs", "batch_size", "memory_batch_size")


@dataclass(frozen=True)
class SetTrainingConfig(_Config):
    """How a fresh network is trained on a small set alone.

    Defaults: the protocol of the DC/DSA/DM family (Zhao & Bilen 2021, 2023): SGD lr 0.01, momentum
    0.9, weight decay 5e-4, batch 256, DSA, 300-1000 epochs, lr x 0.1 after half of them; the last
    epoch counts.

    Attributes:
        augmentation: DSA operations joined by ``_``, "none", or "auto" for the data's own.
    """

    epochs: int = 300
    batch_size: int = 256
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augmentation: str = "auto"

    def _validate(self) -> None:
        _above_zero(self, "learning_rate")
        _at_least(self, 0, "momentum", "weight_decay")
        _at_least(self, 1, "epochs", "batch_size")


@dataclass(frozen=True)
class DistillationConfig(_Config):
    """How a data set becomes a few images.

    One loop serves all: draw ``num_networks`` networks; each gives ``updates_per_network`` image
    updates, taking ``network_steps`` SGD steps on the synthetic set before each update but the
    first. With ``resample`` real batch and augmentation are drawn for every update (the papers);
    without, once per network, so that the real statistics are computed once (amortised).
    The default network is a quarter of the paper's width: on Split-MNIST's validation stream its
    images served replay no worse than those of width 64, in a third of the time.

    Attributes: see docs/papers.md for where paper, published code and we differ.
    """

    distiller: str = "datadam"
    network: NetworkConfig = field(
        default_factory=lambda: NetworkConfig("convnet", width=32, depth=3, norm="instance")
    )
    initialisation: Literal["real", "herding", "noise"] = "real"
    num_networks: int = 80
    updates_per_network: int = 5
    resample: bool = False
    network_steps: int = 0
    network_learning_rate: float = 0.01
    batch_real: int = 64
    learning_rate: float = 100.0
    momentum: float = 0.5
    attention_power: float = 1.0
    mmd_weight: float = 0.01
    augmentation: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def _validate(self) -> None:
        _at_least(self, 1, "num_networks", "updates_per_network", "batch_real")
        _at_least(self, 0, "network_steps", "momentum", "mmd_weight")
        _above_zero(self, "network_learning_rate", "learning_rate", "attention_power")


@dataclass(frozen=True)
class MemoryConfig(_Config):
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
        _at_least(self, 1, "images_per_class", "capacity_bytes", "packing")


@dataclass(frozen=True)
class RunConfig(_Config):
    """One run: a strategy on a benchmark under one seed.

    Attributes:
        set_training: how `*_gdumb` strategies train on memory alone.
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

    def _validate(self) -> None:
        _check(0 <= self.seed < 2**63, "seed", "0 to 2**63 - 1", self.seed)
