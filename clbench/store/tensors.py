"""Tensors with a description of them as bytes, and back; reading runs nothing."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor

from clbench.store.reading import parse_json


def pack_tensors(tensors: dict[str, Tensor], about: dict[str, Any]) -> bytes:
    """Return safetensors bytes; equal content gives equal bytes."""
    from safetensors.torch import save

    described = json.dumps(about, sort_keys=True)
    # One key only: safetensors writes several in no fixed order.
    return save({k: t.cpu().contiguous() for k, t in tensors.items()}, {"clbench": described})


def unpack_tensors(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `pack_tensors` was given.

    Raises:
        ValueError: something else; says what is wrong in a few words.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
        header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = parse_json(header["__metadata__"]["clbench"])
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:80] or type(error).__name__) from None
    if not isinstance(about, dict):
        raise ValueError("its description is no object")
    return tensors, about
