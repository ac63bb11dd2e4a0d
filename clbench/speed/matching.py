"""DataDAM against the paper's plain loop: update for update, and to equal loss."""

from __future__ import annotations

import torch

from clbench.config import DistillationConfig, MatchingSettings, NetworkConfig
from clbench.distillation import Job, make_distiller
from clbench.machine.allocator import keep_freed_memory
from clbench.measuring.cost import Stopwatch
from clbench.seeding import derive, generator
from clbench.speed.images import images_of
from clbench.speed.paired import Conditions, Once, SameOutcome, as_outcome
from clbench.speed.plain_matching import plain_distill, plain_loss, stock_convnet
from clbench.types import ImageSpec, LabelledImages

MOST_IMAGES, IMAGES_PER_CLASS, BATCH = 1280, 10, 128
WIDTH = 16  # of both forms, so that the plain one takes seconds
NUM_UPDATES, NUM_LONG_UPDATES = 3, 8
NUM_JUDGES, MOST_NETWORKS = 4, 256
_PAPER = {"resample": True, "updates_per_network": 1, "batch_real": BATCH}


class Distilling:
    """Images, and both ways to distil them.

    Attributes:
        real: images to distil.
        spec: what they look like.
        config: DataDAM's default one, but for the network's width.
        images_per_class: to make.
    """

    def __init__(
        self,
        real: LabelledImages,
        spec: ImageSpec,
        conditions: Conditions,
        width: int,
        images_per_class: int,
    ) -> None:
        """Arguments as the attributes; ``width`` of the ConvNet that images are matched in."""
        keep_freed_memory()
        self.real, self.spec, self.images_per_class = real, spec, images_per_class
        self.device, self.seed = conditions.device, conditions.seed
        self.config = DistillationConfig("datadam", network=NetworkConfig("convnet", width=width))

    def changed(self, **fields: object) -> DistillationConfig:
        """Return the configuration with other settings of matching."""
        return self.config.replace(settings=self.config.own(MatchingSettings).replace(**fields))

    def fast(self, config: DistillationConfig) -> tuple[float, torch.Tensor]:
        """Return the seconds of clbench's form, and its images on the 0..1 scale."""
        rng = generator(self.seed, "speed", "distil")
        job = Job.equal(self.real, self.spec, self.images_per_class, rng)
        job = job.replace(device=self.device)
        clock = Stopwatch(self.device)
        with clock.phase("distil"):
            made = make_distiller(config).distill(job)
        return clock.seconds["distil"], made.as_floats().images

    def plain(self, config: DistillationConfig) -> tuple[float, torch.Tensor]:
        """Return the same of the paper's loop."""
        rng = generator(self.seed, "speed", "distil")
        clock = Stopwatch(self.device)
        with clock.phase("distil"):
            made = plain_distill(
                self.real, self.spec, config, self.images_per_class, rng, device=self.device
            )
        return clock.seconds["distil"], made


def _short(conditions: Conditions) -> Distilling:
    """What both forms take seconds for."""
    real, spec = images_of(conditions, MOST_IMAGES)
    return Distilling(real, spec, conditions, WIDTH, IMAGES_PER_CLASS)


class MatchingPair(SameOutcome):
    """The same updates in single precision: one network, real batch and augmentation for each."""

    def __init__(self, conditions: Conditions) -> None:
        """Read the images."""
        self.work = _short(conditions)
        config = self.work.changed(num_networks=NUM_UPDATES, **_PAPER)
        self.config = config.replace(precision="float32")

    def fast(self) -> Once:
        """Measure clbench's form."""
        seconds, images = self.work.fast(self.config)
        return Once(seconds, NUM_UPDATES, as_outcome(images))

    def plain(self) -> Once:
        """Measure the paper's loop."""
        seconds, images = self.work.plain(self.config)
        return Once(seconds, NUM_UPDATES, as_outcome(images))


class EqualLossPair:
    """Seconds until both have brought the matching loss in networks of others as far down.

    The plain loop makes 8 updates with 128 real images of each class. clbench's form, at its
    defaults, takes as many networks (a power of 2) as it needs to reach that loss.
    """

    def __init__(self, conditions: Conditions) -> None:
        """Read the images, and find how many networks clbench's form needs."""
        self.work = _short(conditions)
        self.paper = self.work.changed(num_networks=NUM_LONG_UPDATES, **_PAPER)
        self.judges = _Judges(self.work.real, self.work.spec, conditions, self.paper)
        target = self.judges.loss(self.work.plain(self.paper)[1])
        self.num_networks = 1
        while self.num_networks < MOST_NETWORKS and self._loss_of_fast() > target:
            self.num_networks *= 2

    def _loss_of_fast(self) -> float:
        return self.judges.loss(self.work.fast(self._config())[1])

    def _config(self) -> DistillationConfig:
        return self.work.changed(num_networks=self.num_networks)

    def fast(self) -> Once:
        """Measure clbench's form."""
        seconds, images = self.work.fast(self._config())
        return Once(seconds, 1, torch.tensor([self.judges.loss(images)], dtype=torch.float64))

    def plain(self) -> Once:
        """Measure the paper's loop."""
        seconds, images = self.work.plain(self.paper)
        return Once(seconds, 1, torch.tensor([self.judges.loss(images)], dtype=torch.float64))

    def difference(self, fast: Once, plain: Once) -> float:
        """Return by how much the loss of clbench's form is higher; 0 where it is not."""
        return max(0.0, float(fast.outcome - plain.outcome))


class _Judges:
    """Networks that neither form has seen, and real images of every class."""

    def __init__(
        self,
        real: LabelledImages,
        spec: ImageSpec,
        conditions: Conditions,
        config: DistillationConfig,
    ) -> None:
        self.spec, self.config, self.device = spec, config, conditions.device
        seeds = [derive(conditions.seed, "speed", "judge", k) for k in range(NUM_JUDGES)]
        self.networks = [stock_convnet(config.network, spec, s).to(self.device) for s in seeds]
        most = config.own(MatchingSettings).batch_real
        self.real = [real.of_class(c).images[:most].to(self.device) for c in real.classes]

    @torch.no_grad()
    def loss(self, images: torch.Tensor) -> float:
        """Return the mean loss of images (K * IMAGES_PER_CLASS, C, H, W), without augmentation."""
        each = [self.spec.normalise(part) for part in self.real]
        mine = self.spec.normalise(images.to(self.device)).split(IMAGES_PER_CLASS)
        losses = [plain_loss(net, each, list(mine), self.config) for net in self.networks]
        return float(torch.stack(losses).mean())
