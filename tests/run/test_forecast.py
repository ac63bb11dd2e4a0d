"""What is said before long work begins."""

from __future__ import annotations

import pytest
import torch

from clbench import strategies
from clbench.benchmarks import make_benchmark
from clbench.config import RunConfig
from clbench.distillation import make_distiller, pace
from clbench.run import forecast as module
from clbench.run import run
from tests import tiny_stream
from tests.distilling import changed

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _stream(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)


def told(config: RunConfig) -> list[str]:
    benchmark = make_benchmark(config.benchmark, None, 0)
    memory = strategies.make_memory(config, benchmark.spec, device=CPU, cache=False, on_update=None)
    return module.forecast(config, benchmark, memory, CPU)


@pytest.mark.parametrize(
    "strategy",
    ["naive", "cumulative", "random_replay", "random_gdumb", "dm_replay", "pad_replay"],
)
def test_operations_are_those_that_a_run_counts(strategy: str) -> None:
    config = tiny_stream.config(strategy)
    config = config.replace(set_training=config.set_training.replace(epochs=3))
    report = run(config)
    config = RunConfig.from_dict(report.config)
    benchmark = make_benchmark(config.benchmark, None, 0)
    memory = strategies.make_memory(config, benchmark.spec, device=CPU, cache=False, on_update=None)
    assert module.distilling_flops(module.StreamSize.of(benchmark), memory) == pytest.approx(
        report.flops["distil"]
    )
    learning = module.learning_flops(config, module.StreamSize.of(benchmark), memory)
    assert learning == pytest.approx(report.flops["train"], rel=0.1)


def test_short_work_is_neither_told_nor_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (module, pace):
        monkeypatch.setattr(place, "forward_rate", lambda *_: pytest.fail("measured"))
    assert told(tiny_stream.config("dm_replay")) == []


def test_long_work_is_told_with_what_would_shorten_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (module, pace):
        monkeypatch.setattr(place, "forward_rate", lambda *_: 1e8)
    base = tiny_stream.config("dm_replay")
    wide = changed(base.distillation, num_networks=10**7)
    (line,) = told(base.replace(distillation=wide))
    assert line.startswith("distilling will take about ") and "hours on this CPU" in line
    assert "--num-networks" in line and "a GPU" in line
    long = base.replace(learner=base.learner.replace(epochs=10**9))
    assert told(long)[0].startswith("learning will take about ")
    benchmark = make_benchmark(long.benchmark, None, 0)
    assert module.forecast(long, benchmark, None, torch.device("cuda")) == []


def test_kernel_regression_is_told_by_its_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solving in double precision is no convolution: a network's rate told seconds for hours."""
    monkeypatch.setattr(pace, "forward_rate", lambda *_: 1e30)
    base = tiny_stream.config("kip_replay").distillation
    longer = changed(base, num_updates=40)
    spec = tiny_stream.SPEC
    one, same = (pace.distilling_rate(make_distiller(c), c, spec) for c in (base, longer))
    assert 1e5 < one < 1e14 and 0.05 < one / same < 20
    network = changed(base, kernel="network")
    assert pace.distilling_rate(make_distiller(network), network, spec) == 1e30


def test_images_of_a_memory_are_counted_where_their_bytes_depend_on_pixels() -> None:
    config = tiny_stream.config("random_replay")
    held = config.memory.replace(capacity_bytes=600, codec="levels:side=8,levels=2")
    config = config.replace(memory=held.replace(images_per_class=None))
    memory = strategies.make_memory(config, tiny_stream.SPEC)
    benchmark = make_benchmark(config.benchmark, None, 0)
    size = module.StreamSize.of(benchmark)
    counted = size.with_counted(benchmark, memory)
    assert memory is not None
    memory.observe(benchmark.tensors("train", 0))
    held_now = len(memory.contents()) / len(benchmark.class_groups[0])
    assert module.images_per_class(memory, counted) == pytest.approx(held_now, rel=0.3)
    raw = strategies.make_memory(tiny_stream.config("random_replay"), tiny_stream.SPEC)
    assert size.with_counted(benchmark, raw) == size
