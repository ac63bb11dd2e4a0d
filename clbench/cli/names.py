"""Names for shell completion and help, so that neither imports torch or Avalanche.

A test holds them equal to the tables that they stand for; a name is checked where its table lives.
"""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

_MEMORIES = ("random", "reservoir", "herding", "dm", "dam", "pad")

STRATEGIES = (
    "naive",
    "cumulative",
    *(f"{memory}_{training}" for memory in _MEMORIES for training in ("replay", "gdumb")),
)
BENCHMARKS = (
    "split_mnist5k",
    "split_mnist",
    "split_fashion_mnist",
    "split_kmnist",
    "split_mhist",
    "mhist_agreement",
)
NETWORKS = ("convnet", "mlp", "lenet", "alexnet", "vgg11", "resnet18", "cnn")
DISTILLERS = ("random", "herding", "dm", "datadam", "mtt", "datm", "pad")
DATASETS = ("mnist5k", "mnist", "fashion_mnist", "kmnist", "mhist")

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completer(names: tuple[str, ...]) -> Complete:
    """A click ``shell_complete`` callback that offers these names."""

    def complete(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in names if name.startswith(start)]

    return complete
