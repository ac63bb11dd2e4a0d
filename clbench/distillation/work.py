"""The name of one distillation: what is kept of it on disk is found by that."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import clbench
from clbench.store.fingerprint import digest, identity, name_of, software
from clbench.types import ImageSpec, LabelledImages

# Modules that take no part in distilling; a new one counts until it is listed here.
_APART = {"__init__", "__main__", "errors", "fields", "report", "table", "training"}


def work_name(
    distiller: dict[str, Any],
    kind: type,
    real: LabelledImages,
    spec: ImageSpec,
    *,
    images_per_class: int,
    packing: int,
    generator: torch.Generator,
    device: torch.device,
    **extra: LabelledImages | None,
) -> str:
    """Name (hex) of one `Distiller.distill`: everything that its result depends on.

    Args:
        distiller: the whole configuration, JSON values.
        kind: the distiller's class, whose source counts.
        real: as in `Distiller.distill`, like the five that follow.
        spec: its classes and shape.
        images_per_class: slots.
        packing: F.
        generator: before anything was drawn from it.
        device: where it is computed.
        extra: further images given, by name.
    """
    here = Path(clbench.__file__).parent
    # Every module that may take part in distilling counts, a new one too.
    parts = [path.stem for path in here.glob("*.py") if path.stem not in _APART]
    modules = [*sorted(parts), "machine/device", "distillation/*", "networks/*"]
    work = {
        "distiller": distiller,
        "spec": asdict(spec),
        "images_per_class": images_per_class,
        "packing": packing,
        "generator": digest(generator.get_state()),
        "real": identity(real),
        "software": software(device, modules, inspect.getsourcefile(kind)),
        **{name: identity(images) for name, images in extra.items()},
    }
    return name_of(work)
