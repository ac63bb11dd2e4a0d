"""Distillations in few words: settings of whichever part by their names alone, jobs by keyword."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from clbench.config import DistillationConfig, MatchingSettings, TrajectorySettings
from clbench.distillation import DISTILLERS, Job, make_distiller
from clbench.types import ImageSpec, LabelledImages


def distillation(
    distiller: str = "datadam",
    *,
    experts: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    **fields: Any,
) -> DistillationConfig:
    """The method's defaults with some fields changed.

    Args:
        distiller: its name.
        experts: fields of its `ExpertSettings`.
        start: fields of the `MatchingSettings` of its start.
        fields: of `DistillationConfig` and of the method's settings; those of matching alone are of
            the start where the method matches trajectories.
    """
    shared = {name: fields.pop(name) for name in list(fields) if name in _names(DistillationConfig)}
    own = DISTILLERS.find(distiller).settings
    if isinstance(own, TrajectorySettings):
        only_start = _names(MatchingSettings) - _names(TrajectorySettings)
        rest = {name: fields.pop(name) for name in list(fields) if name in only_start}
        fields["start"] = own.start.replace(**rest, **(start or {}))
        fields["experts"] = own.experts.replace(**(experts or {}))
    return DistillationConfig(distiller, settings=own.replace(**fields), **shared)


def changed(config: DistillationConfig, **fields: Any) -> DistillationConfig:
    """``config`` with some fields of its method's settings changed."""
    return config.replace(settings=config.settings.replace(**fields))


def job(
    real: LabelledImages, spec: ImageSpec, images_per_class: int = 2, *, seed: int = 0, **more: Any
) -> Job:
    """A job with a generator of its own; ``more`` are other fields of `Job`."""
    return Job(real, spec, images_per_class, torch.Generator().manual_seed(seed), **more)


def distil(
    config: DistillationConfig, real: LabelledImages, spec: ImageSpec, **of_job: Any
) -> LabelledImages:
    """What the distiller makes; ``of_job`` as of `job`."""
    return make_distiller(config).distill(job(real, spec, **of_job))


def _names(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}
