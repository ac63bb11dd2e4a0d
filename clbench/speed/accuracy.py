"""DataDAM against the paper's plain loop: seconds until both sets teach fresh networks equally."""

from __future__ import annotations

import statistics
from functools import cached_property

import torch
from torch import Tensor

from clbench import networks
from clbench.config import DistillationConfig, SetTrainingConfig
from clbench.seeding import derive, generator
from clbench.speed.images import images_of
from clbench.speed.matching import Distilling
from clbench.speed.paired import Conditions, Once
from clbench.training import accuracy, train_on_set
from clbench.types import ImageSpec, LabelledImages

MOST_IMAGES = 60_000
IMAGES_PER_CLASS, BATCH, NUM_UPDATES = 10, 256, 240
WIDTH = 32  # the default's
NETWORKS = (5, 10, 20, 30, 40, 60, 80, 120, 160, 240, 320)
HELD_OUT = 10  # one of so many images judges, and none of these is distilled
NUM_LEARNERS = 4
TRAINING = SetTrainingConfig()


class EqualAccuracyPair:
    """The paper's loop makes 240 updates, with 256 real images of each class in every one.

    clbench's form, at its defaults, takes as many networks (of `NETWORKS`) as it needs until fresh
    networks that learn its set are as accurate as those that learn the other, on held-out images.
    """

    def __init__(self, conditions: Conditions) -> None:
        """Read the images."""
        every, spec = images_of(conditions, MOST_IMAGES)
        held = torch.arange(len(every)) % HELD_OUT == 0
        self.work = Distilling(every.select(~held), spec, conditions, WIDTH, IMAGES_PER_CLASS)
        self.paper = self.work.changed(
            num_networks=NUM_UPDATES, resample=True, updates_per_network=1, batch_real=BATCH
        )
        self.school = _School(every.select(held), spec, conditions, self.work.config)
        self._measured: Once | None = None

    @cached_property
    def num_networks(self) -> int:
        """How many networks clbench's form needs."""
        self._measured = self.plain()
        target = float(self._measured.outcome)
        for num in NETWORKS:
            if self.school.accuracy(self.work.fast(self._config(num))[1]) >= target:
                break
        return num

    def _config(self, num_networks: int) -> DistillationConfig:
        return self.work.changed(num_networks=num_networks)

    def fast(self) -> Once:
        """Measure clbench's form."""
        return self._once(*self.work.fast(self._config(self.num_networks)))

    def plain(self) -> Once:
        """Measure the paper's loop; the measurement that the networks were counted by counts."""
        measured, self._measured = self._measured, None
        return measured or self._once(*self.work.plain(self.paper))

    def _once(self, seconds: float, images: Tensor) -> Once:
        outcome = torch.tensor([self.school.accuracy(images)], dtype=torch.float64)
        return Once(seconds, 1, outcome)

    def difference(self, fast: Once, plain: Once) -> float:
        """Return by how much clbench's set teaches less; 0 where it does not."""
        return max(0.0, float(plain.outcome - fast.outcome))


class _School:
    """Fresh networks that learn a set, and the images that judge them."""

    def __init__(
        self,
        held_out: LabelledImages,
        spec: ImageSpec,
        conditions: Conditions,
        config: DistillationConfig,
    ) -> None:
        self.held_out, self.spec, self.config = held_out, spec, config
        self.seed, self.device = conditions.seed, conditions.device

    def accuracy(self, images: Tensor) -> float:
        """Return the mean accuracy after learning images (K * n, C, H, W), classes ascending."""
        classes = torch.tensor(self.held_out.classes)
        labels = classes.repeat_interleave(len(images) // len(classes))
        taught = LabelledImages(images.float(), labels).quantised()
        return statistics.fmean(self._learner(taught, k) for k in range(NUM_LEARNERS))

    def _learner(self, taught: LabelledImages, k: int) -> float:
        seed = derive(self.seed, "speed", "learner", k)
        network = networks.build(self.config.network, self.spec, seed=seed)
        rng = generator(self.seed, "speed", "learner", k, "batches")
        train_on_set(network, taught, self.spec, TRAINING, generator=rng, device=self.device)
        return accuracy(network, self.held_out, self.spec, self.device)
