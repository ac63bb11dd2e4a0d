"""From a configuration to a memory and a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from clbench.codecs.protocol import Codec
from clbench.config import RunConfig
from clbench.distillation import OnUpdate
from clbench.errors import InputError
from clbench.memory import DistilledMemory, ImageMemory, LogitsMemory, ReservoirMemory
from clbench.strategies.field.method import MethodLearner
from clbench.strategies.field.settings import DerppSettings
from clbench.strategies.learner import (
    CumulativeLearner,
    GDumbLearner,
    MemoryReplay,
    TensorLearner,
)
from clbench.strategies.reading import resolved
from clbench.strategies.table import LOGITS, RESERVOIR, STRATEGIES, StrategyInfo
from clbench.types import ImageSpec


def make_memory(
    config: RunConfig,
    spec: ImageSpec,
    *,
    device: torch.device | str,
    cache: bool | Path,
    on_update: OnUpdate | None,
) -> ImageMemory | None:
    """See `clbench.strategies.make_memory`."""
    kind = STRATEGIES.find(config.strategy).memory
    if kind is None:
        return None
    wanted = config.memory.settled()
    options: dict[str, Any] = {
        "capacity_bytes": wanted.capacity_bytes,
        "codec": wanted.codec,
        "seed": config.seed,
    }
    if wanted.images_per_class is not None:
        options["images_per_class"] = wanted.images_per_class
    if kind == RESERVOIR:
        return ReservoirMemory(spec, **options)
    config = resolved(config)
    if kind == LOGITS:
        assert isinstance(config.method, DerppSettings)
        return LogitsMemory(spec, step=config.method.logit_step, **options)
    return DistilledMemory(
        config.distillation,
        spec,
        device=device,
        cache=cache,
        on_update=on_update,
        real_share=wanted.real_share,
        **options,
    )


def build(
    config: RunConfig,
    spec: ImageSpec,
    *,
    device: torch.device | str,
    memory: ImageMemory | None,
    plugins: Sequence[Any] = (),
    evaluator: Any = None,
) -> TensorLearner:
    """See `clbench.strategies.build`."""
    info, config = STRATEGIES.find(config.strategy), resolved(config)
    _check_memory(info, memory)
    if info.make is not None:
        made = info.make(
            config, spec, device=device, memory=memory, plugins=plugins, evaluator=evaluator
        )
        if not isinstance(made, TensorLearner):
            raise InputError(
                f"{info.name}: expected a strategy made from clbench's TensorLearner, found "
                f"{type(made).__name__}"
            )
        return made
    options: dict[str, Any] = {
        "config": config.learner,
        "spec": spec,
        "seed": config.seed,
        "device": device,
        "plugins": list(plugins),
        "evaluator": evaluator,
    }
    if info.method is not None:
        if isinstance(memory, DistilledMemory) and memory.label_bytes:
            raise InputError(f"{info.name}: expected hard labels, found soft; add --no-soft-labels")
        options["current_codec"] = current_codec(config, memory)
        return MethodLearner(method=info.method(config, memory), **options)
    if info.training == "cumulative":
        return CumulativeLearner(**options)
    if memory is None:
        return TensorLearner(**options)
    if info.training == "gdumb":
        return GDumbLearner(memory=memory, set_training=config.set_training, **options)
    options["current_codec"] = current_codec(config, memory)
    batch_size = config.learner.memory_batch_size
    options["plugins"].append(MemoryReplay(memory, batch_size=batch_size, seed=config.seed))
    return TensorLearner(**options)


def current_codec(config: RunConfig, memory: ImageMemory | None) -> Codec | None:
    """Return the codec that current training images pass through; None where none does.

    The learner tells sharp current images from blurred remembered ones by that alone. "auto" codes
    the current ones where the codec is coarse. On validation streams, 1,960 and 7,840 bytes of
    random images, that is worth -1.0 and -1.2 points on Split MNIST (levels:side=14,levels=2) and
    +5.8 and +7.9 on Split Fashion-MNIST (levels=4) with the MLP, +4.1 on Split MNIST with a
    ConvNet-3.
    """
    if memory is None or STRATEGIES.find(config.strategy).training != "replay":
        return None
    wanted = config.memory.code_current
    return memory.codec if wanted == "yes" or (wanted == "auto" and memory.codec.coarse) else None


def _check_memory(info: StrategyInfo, memory: ImageMemory | None) -> None:
    if (memory is None) != (info.memory is None):
        expected = "no memory" if info.memory is None else f"a memory ({info.memory})"
        found = "none" if memory is None else type(memory).__name__
        raise InputError(f"{info.name}: expected {expected}, found {found}; use make_memory")
