"""The learner with replay against a bare torch loop on the very same batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench import networks, strategies
from clbench.benchmarks import make_benchmark
from clbench.config import BenchmarkConfig, MemoryConfig, RunConfig
from clbench.machine.allocator import keep_freed_memory
from clbench.measuring.cost import Stopwatch
from clbench.run.preparation import with_own_choices
from clbench.seeding import generator
from clbench.speed.paired import Conditions, Once, SameOutcome, as_outcome
from clbench.strategies.batches import balanced_plan
from clbench.training import batches
from clbench.types import LabelledImages

IMAGES_PER_CLASS, MOST_EPOCHS = 10, 3


@dataclass(frozen=True, eq=False)
class Experience:
    """What a bare loop is given of an experience, on the device.

    Attributes:
        data: its images.
        memory: normalised images (M, C, H, W) and labels (M,) that are replayed; None at first.
        orders: of each epoch, positions of the images of each batch.
        plans: of each epoch, (S, B) positions of the memory images of each batch.
    """

    data: LabelledImages
    memory: tuple[Tensor, Tensor] | None
    orders: list[list[Tensor]]
    plans: list[Tensor]


class LearnerPair(SameOutcome):
    """`random_replay` as ``clbench run`` builds it, and the same steps written down plainly.

    Random real images, ten of each class, in raw pixels; filling the memory is not counted.
    """

    def __init__(self, conditions: Conditions) -> None:
        """Read the stream, and learn it once to know what memory holds before each experience."""
        keep_freed_memory()
        self.device = conditions.device
        asked = RunConfig(
            strategy="random_replay",
            seed=conditions.seed,
            benchmark=BenchmarkConfig(conditions.benchmark),
            memory=MemoryConfig(images_per_class=IMAGES_PER_CLASS, codec="raw"),
        )
        self.benchmark = make_benchmark(asked.benchmark, conditions.data_root, asked.seed)
        settled = with_own_choices(strategies.resolved(asked), self.benchmark)
        # Augmentation draws its own numbers; it is the same code in both.
        epochs = min(settled.learner.epochs or 1, MOST_EPOCHS)
        learner = settled.learner.replace(augmentation="none", epochs=epochs)
        self.config = settled.replace(learner=learner)
        self.experiences: list[Experience] = []
        self._learn(watched=True)

    def fast(self) -> Once:
        """Measure the learner."""
        return self._learn()

    def _learn(self, *, watched: bool = False) -> Once:
        config, spec = self.config, self.benchmark.spec
        memory = strategies.make_memory(
            config, spec, device=self.device, cache=False, on_update=None
        )
        assert memory is not None
        strategy = strategies.build(config, spec, device=self.device, memory=memory)
        clock = Stopwatch(self.device)
        for k, experience in enumerate(self.benchmark.streams.train):
            if watched:
                held = memory.normalised(self.device) if len(memory.contents()) else None
                self.experiences.append(self._drawn(k, held))
            with clock.phase("train"):
                strategy.train(experience, eval_streams=[])
        seconds = clock.seconds["train"] - sum(memory.seconds)
        return Once(seconds, strategy.num_trained_images, as_outcome(*strategy.model.parameters()))

    def _drawn(self, k: int, memory: tuple[Tensor, Tensor] | None) -> Experience:
        """Draw what the learner draws, by generators of the same names."""
        learner, seed = self.config.learner, self.config.seed
        data = self.benchmark.tensors("train", k).to(self.device)
        rng = generator(seed, "batches", k)
        of_memory = generator(seed, "memory_batches", k)
        orders, plans = [], []
        for _ in range(learner.epochs or 1):
            order = torch.randperm(len(data), generator=rng).to(self.device)
            orders.append(batches(order, learner.batch_size))
            if memory is not None:
                num, size = len(orders[-1]), learner.memory_batch_size
                plan = balanced_plan(memory[1].cpu(), num, size, of_memory)
                plans.append(plan.to(self.device))
        return Experience(data, memory, orders, plans)

    def plain(self) -> Once:
        """Measure the bare loop: index, normalise, join, step."""
        spec, learner = self.benchmark.spec, self.config.learner
        network = networks.build(learner.network, spec, seed=self.config.seed).to(self.device)
        optimizer = torch.optim.SGD(network.parameters(), lr=learner.learning_rate)
        clock, num = Stopwatch(self.device), 0
        with clock.phase("train"):
            for experience in self.experiences:
                for epoch, order in enumerate(experience.orders):
                    for step, index in enumerate(order):
                        x = spec.normalise(experience.data.images[index])
                        y = experience.data.labels[index]
                        if experience.memory is not None:
                            drawn = experience.plans[epoch][step]
                            x = torch.cat([x, experience.memory[0][drawn]])
                            y = torch.cat([y, experience.memory[1][drawn]])
                        loss = F.cross_entropy(network(x), y)
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()
                        num += len(x)
        return Once(clock.seconds["train"], num, as_outcome(*network.parameters()))
