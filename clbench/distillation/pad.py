"""Trajectory matching: MTT, DATM and PAD, three settings of one thing.

MTT: Cazenavette et al., "Dataset Distillation by Matching Training Trajectories", CVPR 2022.
DATM: Guo et al., "Towards Lossless Dataset Distillation via Difficulty-Aligned Trajectory
Matching", ICLR 2024. PAD: Li et al., "Prioritize Alignment in Dataset Distillation", 2024,
arXiv 2408.03360.

A student that learns N steps from the synthetic images, starting at an expert's snapshot t, is to
arrive where the expert was M snapshots later (MTT, eq. 2):

    L = |mask (w_N - w*_{t+M})|^2 / |mask (w*_t - w*_{t+M})|^2

DATM draws t from a window that grows over the run and learns soft labels; PAD also orders the
experts' data by difficulty (`clbench.distillation.difficulty`) and masks the shallow parameters.
The gradient is exact (`clbench.distillation.adjoint`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from clbench import networks
from clbench.config import DistillationConfig
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.matching import Matching
from clbench.distillation.methods import method_of
from clbench.distillation.problem import Problem, repeats
from clbench.distillation.protocol import OnUpdate, Update, Workload, check_counts
from clbench.distillation.selection import Herding
from clbench.distillation.trajectories import make_trajectories
from clbench.distillation.trajectory_updates import TrajectoryUpdates, start_of
from clbench.distillation.unfinished import Unfinished
from clbench.measuring.cost import forward_flops
from clbench.store.files import cache_dir
from clbench.types import ImageSpec, LabelledImages

NO_NEGATIVES = (
    "one class and no memory of others: a classifier has nothing to learn, images were selected "
    "by herding"
)
IMAGES_SHOWN = 10  # times that the images are handed to the listener
FORWARDS_PER_STEP = 12.0  # forward and backward on the way there; both and their derivative back


@dataclass(frozen=True)
class TrajectoryMatching:
    """MTT, DATM or PAD (``config.distiller``), see `TrajectoryConfig`.

    Attributes:
        keep: experts and work that was stopped stay on disk, in `clbench.store.files.cache_dir`,
            and are taken from there.
        uses_known: experts and students also see what memory holds of other classes.
    """

    config: DistillationConfig
    keep: bool = True
    uses_known = True

    @property
    def soft_labels(self) -> bool:
        """Slots carry soft labels."""
        return method_of(self.config).soft_labels

    def distill(
        self,
        real: LabelledImages,
        spec: ImageSpec,
        *,
        images_per_class: int,
        packing: int,
        generator: torch.Generator,
        device: torch.device,
        on_update: OnUpdate | None = None,
        known: LabelledImages | None = None,
    ) -> LabelledImages:
        """See `Distiller.distill`; float32 images on the 0..1 scale.

        Experts are shared by all distillations of the same data.
        """
        check_counts(real, images_per_class, packing)
        if len(real.classes) == 1 and known is None:
            if on_update is not None:
                on_update(Update(0, 0, 0.0, note=NO_NEGATIVES))
            return self._herded(real, spec, images_per_class, packing, generator, device)
        extra = {} if known is None else {"known": known}
        with Unfinished.of(
            self, real, spec, on_update, images_per_class=images_per_class, packing=packing,
            generator=generator, device=device, **extra,
        ) as unfinished:  # fmt: skip
            wanted = self.config.trajectory.against_memory or len(real.classes) == 1
            problem = Problem.make(real, spec, known if wanted else None, device)
            job = self._job(problem, images_per_class, packing, generator, device, unfinished)
            return self._updated(job, unfinished)

    def _job(
        self,
        problem: Problem,
        images_per_class: int,
        packing: int,
        generator: torch.Generator,
        device: torch.device,
        unfinished: Unfinished,
    ) -> TrajectoryUpdates:
        """Experts and start, or where the same work was stopped."""
        config = self.config
        config.trajectory.check_snapshots(
            config.trajectory.experts.num_snapshots(len(problem.images))
        )
        flat = FlatNetwork(config.network, problem.spec, device)
        experts = make_trajectories(
            problem.images,
            problem.spec,
            config.network,
            config.trajectory.experts,
            data_scheduler=method_of(config).data_scheduler,
            precision=config.precision,
            device=device,
            directory=cache_dir() / "trajectories" if self.keep else None,
            on_update=unfinished.tell,
        )
        matching, start = self._matching(), None
        if unfinished.state is not None:
            start = start_of(unfinished.state, problem.spec, packing)
        elif matching is not None:
            start = matching.distill(
                problem.real,
                problem.spec,
                images_per_class=images_per_class,
                packing=packing,
                generator=generator,
                device=device,
                on_update=_as_start(unfinished.tell, experts.seconds_saved),
            )
        job = TrajectoryUpdates(
            config, problem, flat, experts, start, images_per_class, packing, generator
        )
        if unfinished.state is not None:
            job.load_state_dict(unfinished.state)
        return job

    def _updated(self, job: TrajectoryUpdates, unfinished: Unfinished) -> LabelledImages:
        total, saved = self.config.trajectory.num_updates, job.experts.seconds_saved
        every = max(1, total // IMAGES_SHOWN)
        for loss, scalars in job.updates():
            number = job.num_done
            shown = job.result() if number % every == 0 or number == total else None
            unfinished.tell(
                Update(number, total, loss, scalars=scalars, images=shown, seconds_saved=saved)
            )
            unfinished.reached(job)
        return job.result()

    def _herded(
        self,
        real: LabelledImages,
        spec: ImageSpec,
        images_per_class: int,
        packing: int,
        generator: torch.Generator,
        device: torch.device,
    ) -> LabelledImages:
        slots = Herding().distill(
            real,
            spec,
            images_per_class=images_per_class,
            packing=packing,
            generator=generator,
            device=device,
        )
        if not self.soft_labels:
            return slots
        soft = F.one_hot(slots.labels, spec.num_classes).float()
        return LabelledImages(slots.images, soft, packing)

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Training of the experts, the matched start, all student steps there and back."""
        c, work = self.config.trajectory, workload
        if not (c.against_memory or work.num_classes == 1):
            work = dataclasses.replace(work, num_known=0, num_known_classes=0)
        if work.num_classes == 1 and not work.num_known:
            return Herding().flops(spec, work)
        one = forward_flops(networks.build(self.config.network, spec, seed=0), spec.shape)
        num_learnt = work.num_real
        if work.num_known:
            per_class = work.num_real / work.num_classes
            times = repeats(per_class, work.num_known, work.num_known_classes)
            num_learnt += times * work.num_known
        trained = c.experts.num_experts * c.experts.num_epochs(num_learnt)
        if method_of(self.config).data_scheduler:
            epochs = c.experts.num_difficulty_epochs(num_learnt)
            trained += c.experts.num_difficulty_networks * epochs
        num_seen = work.num_images + work.num_known
        batch = min(c.batch_synthetic or num_seen, num_seen)
        steps = c.num_updates * c.student_steps
        total = one * (3.0 * trained * num_learnt + FORWARDS_PER_STEP * steps * batch)
        matching = self._matching()
        return total + (0.0 if matching is None else matching.flops(spec, work))

    def _matching(self) -> Matching | None:
        """What makes the images that the trajectories start from, of initial ones."""
        name = self.config.trajectory.matched_start
        return None if name == "none" else Matching(self.config.replace(distiller=name), self.keep)


def _as_start(on_update: OnUpdate, seconds_saved: float) -> OnUpdate:
    """Tells ``on_update`` of another distiller's updates as of those before the first."""

    def tell(update: Update) -> None:
        seconds = seconds_saved + update.seconds_saved
        on_update(dataclasses.replace(update, phase="start", seconds_saved=seconds))

    return tell
