"""How a learner meets a stream: the table of strategies, and `build`, which composes Avalanche.

Importing this package is light; Avalanche is loaded by the first `build` or `make_memory`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ != "clbench.strategies":
    raise ImportError(
        "strategies is installed as clbench.strategies; a second copy under its folder's name "
        "would hold other classes: import clbench.strategies"
    )

from clbench.config import RunConfig
from clbench.strategies.reading import read_config, resolved
from clbench.strategies.table import STRATEGIES, StrategyInfo, distiller_of

if TYPE_CHECKING:
    import torch

    from clbench.distillation import OnUpdate
    from clbench.memory import ImageMemory
    from clbench.strategies.learner import TensorLearner
    from clbench.types import ImageSpec

__all__ = [
    "STRATEGIES",
    "StrategyInfo",
    "build",
    "distiller_of",
    "make_memory",
    "read_config",
    "resolved",
]


def make_memory(
    config: RunConfig,
    spec: ImageSpec,
    *,
    device: torch.device | str = "cpu",
    cache: bool | Path = False,
    on_update: OnUpdate | None = None,
) -> ImageMemory | None:
    """The memory of ``config``'s strategy, empty; None where it has none.

    Args:
        config: strategy, seed, memory and distillation are read.
        spec: of the stream's images.
        device: where to distil.
        cache: take distilled sets from disk, see `clbench.memory.DistilledMemory`.
        on_update: called with every `Update` while distilling.

    Raises:
        InputError: unknown strategy or distiller, or a capacity that holds nothing.
    """
    from clbench.strategies.compose import make_memory as make

    return make(config, spec, device=device, cache=cache, on_update=on_update)


def build(
    config: RunConfig,
    spec: ImageSpec,
    *,
    device: torch.device | str = "cpu",
    memory: ImageMemory | None = None,
    **options: Any,
) -> TensorLearner:
    """The Avalanche strategy that ``config`` names, around a fresh learner.

    Args:
        config: strategy, seed, learner and set training are read.
        spec: of the stream's images.
        device: where to train.
        memory: what `make_memory` made; for strategies without memory None.
        options: ``plugins`` and ``evaluator`` as of Avalanche's ``SupervisedTemplate``.

    Raises:
        InputError: an unknown strategy, network or augmentation; a memory missing or not wanted.
    """
    from clbench.strategies.compose import build as make

    return make(config, spec, device=device, memory=memory, **options)
