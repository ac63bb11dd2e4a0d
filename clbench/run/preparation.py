"""What is settled and checked before the first experience."""

from __future__ import annotations

from clbench import benchmarks, networks
from clbench.benchmarks import Benchmark
from clbench.config import RunConfig
from clbench.distillation import DISTILLERS
from clbench.distillation.augmentation import parse
from clbench.fields import settings_of
from clbench.memory import DistilledMemory, ImageMemory
from clbench.run import evaluations
from clbench.run.progress import RunProgress


def decode(benchmark: Benchmark, progress: RunProgress) -> None:
    """Decode image files that were never decoded before, where somebody can see it."""
    if not benchmark.is_decoded:
        return

    def show(done: int, total: int) -> None:
        if done == 1:
            progress.phase("decode", total)
        progress.advance()

    benchmark.read(show)


def with_own_choices(config: RunConfig, benchmark: Benchmark) -> RunConfig:
    """The configuration with the benchmark's own choices filled in, as the report keeps it."""
    config = evaluations.with_training(config.replace(benchmark=benchmark.config))
    own = benchmarks.info(config.benchmark.name)
    config = config.replace(memory=config.memory.settled(own.codec, own.memory_bytes))
    learner = config.learner
    learner = learner if learner.epochs is not None else learner.replace(epochs=own.epochs)
    if learner.augmentation is None:
        learner = learner.replace(augmentation=own.augmentation)
    return config.replace(learner=learner)


def check(config: RunConfig, benchmark: Benchmark, memory: ImageMemory | None) -> None:
    """What can only be known once the data is there, before hours of work depend on it."""
    spec = benchmark.spec
    for setting in settings_of(config.distillation.settings):
        if setting.path.endswith("augmentation"):
            parse(setting.default, spec)
    for part in (config.distillation, config.set_training):
        parse(part.augmentation, spec)
    evaluations.check(config, spec, memory is not None)
    if memory is None:
        return
    needs_network = DISTILLERS.find(config.distillation.distiller).needs_network
    if isinstance(memory, DistilledMemory) and needs_network:
        networks.build(config.distillation.network, spec, seed=0)
