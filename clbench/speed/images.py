"""The training images that rows work on."""

from __future__ import annotations

import torch

from clbench.benchmarks import make_benchmark
from clbench.config import BenchmarkConfig
from clbench.seeding import generator
from clbench.speed.paired import Conditions
from clbench.types import ImageSpec, LabelledImages


def images_of(conditions: Conditions, most: int) -> tuple[LabelledImages, ImageSpec]:
    """Return at most so many training images of all classes, drawn by the seed, and their spec.

    Raises:
        InputError: no such benchmark, or data that are missing.
    """
    config = BenchmarkConfig(conditions.benchmark)
    found = make_benchmark(config, conditions.data_root, conditions.seed).data
    rng = generator(conditions.seed, "speed", "images")
    chosen = torch.randperm(len(found.train), generator=rng)[:most].sort().values
    return found.train.select(chosen), found.spec
