"""Which device, and bf16 where it computes in it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch

from clbench.errors import InputError


def resolve_device(name: str) -> torch.device:
    """The device called ``name``; "auto" is CUDA where there is one.

    Raises:
        InputError: CUDA is asked for and not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: expected a CUDA device, found none; use cpu or auto")
    cuda = name != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if cuda else "cpu")


@cache
def has_bfloat16(device_type: str) -> bool:
    """Whether bf16 arithmetic is native: CUDA from Ampere on, CPUs with AVX512-BF16 or AMX."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bf16 for ``auto`` where it is native and for ``bfloat16`` anywhere."""
    enabled = precision == "bfloat16" or (precision == "auto" and has_bfloat16(device.type))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
