"""Memories: what is kept of every experience, usable in anybody's Avalanche ``ReplayPlugin``."""

from clbench.memory.books import ImageMemory, MemoryRecord
from clbench.memory.cache import CachedDistiller, DistillationRecord
from clbench.memory.datasets import dataset_images
from clbench.memory.distilled import DistilledMemory
from clbench.memory.logits import LogitsMemory
from clbench.memory.reservoir import ReservoirMemory

__all__ = [
    "CachedDistiller",
    "DistillationRecord",
    "DistilledMemory",
    "ImageMemory",
    "LogitsMemory",
    "MemoryRecord",
    "ReservoirMemory",
    "dataset_images",
]
