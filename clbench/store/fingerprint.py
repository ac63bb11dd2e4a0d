"""Names for work that is kept on disk: everything a result depends on, the software included."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import clbench
from clbench.machine.device import has_bfloat16

if TYPE_CHECKING:
    from clbench.types import LabelledImages


def digest(tensor: Tensor) -> str:
    """SHA-256 (hex) of type, shape and values: a name for what a cache keeps."""
    values = tensor.cpu().contiguous()
    header = f"{values.dtype}{tuple(values.shape)}".encode()
    found = hashlib.sha256(header)
    found.update(values.numpy().data)  # as they lie: bytes would be a copy, or two
    return found.hexdigest()


def name_of(work: dict[str, Any]) -> str:
    """SHA-256 (hex) of JSON values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()


def identity(images: LabelledImages | None) -> list[Any] | None:
    """What tells one set from another, as JSON values."""
    if images is None:
        return None
    return [digest(images.images), digest(images.labels)]


def software(device: torch.device, sources: Iterable[str]) -> dict[str, Any]:
    """Return what may change the numbers although configuration and data are the same.

    Args:
        device: where it is computed.
        sources: paths of source files, see `clbench.store.sources`; changed code never meets its
            old results.
    """
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "clbench": clbench.__version__,
        "sources": _content(tuple(sources)),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device.type,
        "hardware": gpu or torch.backends.cpu.get_cpu_capability(),
        "bfloat16": has_bfloat16(device.type),
    }


@cache
def _content(files: tuple[str, ...]) -> str:
    parts = (Path(file).read_bytes() for file in files)
    return hashlib.sha256(b"".join(parts)).hexdigest()
