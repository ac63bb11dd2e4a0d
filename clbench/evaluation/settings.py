"""Settings of the evaluations, each read off by the command line where it is offered."""

from __future__ import annotations

from dataclasses import dataclass

from clbench.fields import Config, at_least, nested, setting
from clbench.networks.settings import NetworkConfig
from clbench.training.settings import SetTrainingConfig

_EVALUATED = "num-networks-evaluated"


@dataclass(frozen=True)
class SetSettings(Config):
    """The score of a set: fresh networks of one architecture, trained on it alone."""

    num_networks: int = setting(
        5,
        "Fresh networks trained on each set.",
        flag=_EVALUATED,
        heading="Evaluation",
        common=True,
    )
    network: NetworkConfig = nested(
        NetworkConfig("convnet"),
        whose="that is trained",
        heading="Evaluation",
        prefix="evaluation-",
    )
    training: SetTrainingConfig = nested(
        SetTrainingConfig(), heading="Evaluation", prefix="evaluation-"
    )

    def _validate(self) -> None:
        at_least(self, 1, "num_networks")


@dataclass(frozen=True)
class CrossArchitectureSettings(Config):
    """Sets against networks that they were not distilled with."""

    networks: str = setting(
        "mlp,convnet,lenet,alexnet,vgg11,resnet18",
        "Networks that are trained, joined by commas (clbench list networks).",
        heading="Evaluation",
    )
    num_networks: int = setting(
        5,
        "Fresh networks of each, per set.",
        flag=_EVALUATED,
        heading="Evaluation",
    )
    training: SetTrainingConfig = nested(
        SetTrainingConfig(), heading="Evaluation", prefix="evaluation-"
    )
    full_epochs: int = setting(
        0,
        "Train one of each network on the full data too, for so many epochs of the course recipe "
        "(clbench evaluate offline); 0 trains none.",
        heading="Full data",
    )
    full_networks: str | None = setting(
        None, "Only these on the full data, joined by commas.", none="all", heading="Full data"
    )

    def _validate(self) -> None:
        at_least(self, 1, "num_networks")
        at_least(self, 0, "full_epochs")


@dataclass(frozen=True)
class ArchitectureSearchSettings(Config):
    """A search of a space of architectures by small sets, and by the full data."""

    space: str = setting(
        "cnn54",
        "cnn54 (the course report's basic CNNs) or convnet720 (depth, width, norm, activation and "
        "pooling of ConvNets).",
        table="spaces",
        heading="Search",
    )
    num_candidates: int | None = setting(
        None,
        "So many architectures, drawn from the space by the seed.",
        flag="candidates",
        none="all",
        heading="Search",
    )
    num_networks: int = setting(
        1,
        "Fresh networks per architecture and set; their mean ranks.",
        flag=_EVALUATED,
        heading="Search",
    )
    top_k: int = setting(5, "How many of the best are compared.", heading="Search")
    training: SetTrainingConfig = nested(
        SetTrainingConfig(), heading="Training on each set", prefix="evaluation-"
    )
    full_epochs: int = setting(
        5,
        "Epochs of the course recipe on the full data, by which the true ranking is known; 0 "
        "leaves it out, and with it the ranking quality.",
        heading="Full search",
    )
    num_full_networks: int = setting(
        1, "Fresh networks per architecture on the full data.", heading="Full search"
    )

    def _validate(self) -> None:
        at_least(self, 2, "num_candidates")
        at_least(self, 1, "num_networks", "num_full_networks", "top_k")
        at_least(self, 0, "full_epochs")


# The course report's recipe for full data, and one of today.
COURSE = SetTrainingConfig(
    epochs=20,
    batch_size=128,
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=0.0,
    schedule="cosine",
    augmentation="none",
)
MODERN = SetTrainingConfig(
    epochs=20,
    batch_size=128,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="one_cycle",
    label_smoothing=0.1,
    augmentation="auto",
)
RECIPES: dict[str, SetTrainingConfig] = {"course": COURSE, "modern": MODERN}


@dataclass(frozen=True)
class OfflineSettings(Config):
    """A network that sees the whole data set at once: the bound that memories are measured by."""

    network: NetworkConfig = nested(
        NetworkConfig("convnet"), heading="Network", whose="that is trained"
    )
    training: SetTrainingConfig = nested(COURSE, heading="Training")
