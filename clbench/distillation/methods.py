"""What sets MTT, DATM and PAD apart; `clbench.distillation.pad` names the papers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from clbench.config import DistillationConfig


@dataclass(frozen=True)
class Method:
    """What sets MTT, DATM and PAD apart; see `TrajectoryConfig`."""

    data_scheduler: bool
    growing_start: bool
    mask_ratio: float
    soft_labels: bool


METHODS: dict[str, Method] = {
    "mtt": Method(data_scheduler=False, growing_start=False, mask_ratio=0.0, soft_labels=False),
    "datm": Method(data_scheduler=False, growing_start=True, mask_ratio=0.0, soft_labels=True),
    "pad": Method(data_scheduler=True, growing_start=True, mask_ratio=0.25, soft_labels=True),
}


def method_of(config: DistillationConfig) -> Method:
    """The method that ``config.distiller`` names, with the parts that the user switched."""
    chosen = {
        field.name: getattr(config.trajectory, field.name)
        for field in dataclasses.fields(Method)
        if getattr(config.trajectory, field.name) is not None
    }
    return dataclasses.replace(METHODS[config.distiller], **chosen)
