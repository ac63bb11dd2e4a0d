"""What the runs of a grid take here, before they are made.

As measured where a run of the same row is done, else as estimated: operations over the operations
a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from clbench import networks, strategies
from clbench.benchmarks import Benchmark, make_benchmark
from clbench.config import BenchmarkConfig, RunConfig
from clbench.distillation import DistillationConfig, make_distiller
from clbench.distillation.pace import distilling_rate
from clbench.measuring.cost import forward_flops, forward_rate
from clbench.networks.settings import NetworkConfig
from clbench.run.forecast import StreamSize, distilling_flops, learning_flops
from clbench.run.preparation import with_own_choices
from clbench.sweep.states import Planned, State
from clbench.types import ImageSpec


@dataclass(frozen=True)
class PricedRow:
    """Runs that differ in their seeds.

    Attributes:
        row: what they have in common.
        num: all of them.
        num_left: those not done.
        seconds: of each.
        origin: "measured" or "estimated".
    """

    row: str
    num: int
    num_left: int
    seconds: float
    origin: str

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON."""
        return asdict(self)


def price_rows(
    planned: Sequence[Planned],
    found: Mapping[str, State],
    data_root: Path | None,
    num_threads: int,
) -> list[PricedRow]:
    """Price every row; speeds are measured on this machine with the threads that a run has.

    Raises:
        InputError: a configuration that cannot be run, or data that are missing.
    """
    rows: dict[str, list[Planned]] = {}
    for one in planned:
        rows.setdefault(one.row, []).append(one)
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        return [_priced(row, runs, found, data_root) for row, runs in rows.items()]
    finally:
        torch.set_num_threads(before)


def _priced(
    row: str, runs: Sequence[Planned], found: Mapping[str, State], data_root: Path | None
) -> PricedRow:
    done = [found[one.name].seconds for one in runs if found[one.name].status == "done"]
    seconds = fmean(done) if done else seconds_of(runs[0].config, data_root)
    origin = "measured" if done else "estimated"
    return PricedRow(row, len(runs), len(runs) - len(done), seconds, origin)


def seconds_of(config: RunConfig, data_root: Path | None) -> float:
    """Return the estimated seconds of a run on this machine's CPU with torch's threads.

    Learning, testing and distilling; imports, decoding and figures are not counted. It errs by
    tens of per cent: small batches reach less than the rate that is measured.

    Raises:
        InputError: a configuration that cannot be run.
    """
    config = strategies.resolved(config)
    benchmark = _benchmark(config.benchmark, data_root, config.seed)
    config = with_own_choices(config, benchmark)
    cpu = torch.device("cpu")
    memory = strategies.make_memory(config, benchmark.spec, device=cpu, cache=False, on_update=None)
    learner = config.learner.network
    one, rate = _speed(learner, benchmark.spec)
    size = StreamSize.of(benchmark).with_counted(benchmark, memory)
    learning = learning_flops(config, size, memory) + one * sum(size.num_test) * (
        len(benchmark) + 1
    )
    distilling = distilling_flops(size, memory)
    seconds = learning / rate
    if distilling:
        seconds += distilling / _distilling_rate(config.distillation, benchmark.spec)
    return seconds


@lru_cache(maxsize=32)
def _benchmark(config: BenchmarkConfig, data_root: Path | None, seed: int) -> Benchmark:
    return make_benchmark(config, data_root, seed)


@lru_cache(maxsize=64)
def _distilling_rate(config: DistillationConfig, spec: ImageSpec) -> float:
    return distilling_rate(make_distiller(config), config, spec)


@lru_cache(maxsize=64)
def _speed(network: NetworkConfig, spec: ImageSpec) -> tuple[float, float]:
    """Operations of one image, and operations a second, of a network."""
    made = networks.build(network, spec, seed=0)
    return forward_flops(made, spec.shape), forward_rate(made, spec.shape)
