"""Distillations in few words: settings of whichever part by their names alone, jobs by keyword."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clbench.codecs import parse
from clbench.codecs.pixels import Pixels
from clbench.coded import CodedImages
from clbench.config import DistillationConfig, MatchingSettings, TrajectorySettings
from clbench.distillation import DISTILLERS, Job, make_distiller
from clbench.distillation.bptt.settings import BpttSettings
from clbench.sets import DistilledSet
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
    if isinstance(own, TrajectorySettings | BpttSettings):
        only_start = _names(MatchingSettings) - _names(type(own))
        rest = {name: fields.pop(name) for name in list(fields) if name in only_start}
        fields["start"] = own.start.replace(**rest, **(start or {}))
    if isinstance(own, TrajectorySettings):
        fields["experts"] = own.experts.replace(**(experts or {}))
    return DistillationConfig(distiller, settings=own.replace(**fields), **shared)


def changed(config: DistillationConfig, **fields: Any) -> DistillationConfig:
    """``config`` with some fields of its method's settings changed."""
    return config.replace(settings=config.settings.replace(**fields))


def job(
    real: LabelledImages,
    spec: ImageSpec,
    images_per_class: int = 2,
    *,
    seed: int = 0,
    codec: str = "raw",
    **more: Any,
) -> Job:
    """A job with a generator of its own; ``more`` are other fields of `Job`."""
    equal = Job.equal(real, spec, images_per_class, torch.Generator().manual_seed(seed))
    return equal.replace(codec=parse(codec), **more)


def as_set(images: LabelledImages | CodedImages, **more: Any) -> DistilledSet:
    """A set of raw images, or of what is coded already."""
    if isinstance(images, LabelledImages):
        floats, shape = images.images.is_floating_point(), tuple(images.images.shape[1:])
        images = CodedImages.of(images, Pixels(floats=floats), shape)  # type: ignore[arg-type]
    return DistilledSet(images, **more)


def save_set(
    images: LabelledImages, path: Path | str, about: Mapping[str, str] | None = None
) -> None:
    """Write images as they are, as a set of ``clbench distill``."""
    as_set(images).coded.save(Path(path), about)


def distil(
    config: DistillationConfig, real: LabelledImages, spec: ImageSpec, **of_job: Any
) -> LabelledImages:
    """What the distiller makes; ``of_job`` as of `job`."""
    return make_distiller(config).distill(job(real, spec, **of_job))


def _names(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}
