"""Multi-layer perceptron: depth x (linear - norm - activation), linear."""

from __future__ import annotations

from torch import Tensor, nn

from clbench.networks.base import Architecture, BatchNorm1d, Network, make_activation
from clbench.types import ImageSpec


class MLP(Network):
    """The usual learner of continual-learning papers on digits, 2 x 400 ReLU by default.

    van de Ven & Tolias, "Three scenarios for continual learning", 2019.
    """

    def __init__(self, spec: ImageSpec, architecture: Architecture) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = spec.image_bytes
        for _ in range(architecture.depth):
            layers.append(nn.Linear(inputs, architecture.width))
            if architecture.norm == "batch":
                layers.append(BatchNorm1d(architecture.width))
            elif architecture.norm == "layer":
                layers.append(nn.LayerNorm(architecture.width))
            layers.append(make_activation(architecture.activation))
            inputs = architecture.width
        self.hidden = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, spec.num_classes)

    def embed(self, images_NCHW: Tensor) -> Tensor:
        """(N, width): the last hidden layer."""
        hidden: Tensor = self.hidden(images_NCHW)
        return hidden
