"""One seed, many named streams of randomness.

Every consumer (class order, initial weights, batches, memory, distillation, ...) draws from a
generator of its own name, so one that draws more or less never shifts another: two strategies with
one seed see the same stream, the same initial weights and the same batches.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream ``names`` of ``seed`` (first 8 bytes of SHA-256)."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for the stream ``names`` of ``seed``."""
    return torch.Generator().manual_seed(derive(seed, *names))


def global_state() -> dict[str, Any]:
    """State of the global generators of torch, numpy and random, as tensors and plain values."""
    name, keys, *rest = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "random": [version, list(numbers), gauss],
    }


def set_global_state(state: dict[str, Any]) -> None:
    """Put the global generators where `global_state` found them."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, numbers, gauss = state["random"]
    random.setstate((version, tuple(numbers), gauss))


@contextmanager
def global_seed(seed: int, *names: str | int) -> Iterator[None]:
    """Seed the global generators of torch, numpy and random; put them back on leaving.

    For code that takes no generator: initialisers of torch modules, dropout, Avalanche.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    derived = derive(seed, *names)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(derived)
        random.seed(derived)
        np.random.seed(derived % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
