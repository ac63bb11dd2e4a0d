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

from clbench import networks
from clbench.distillation.alone import herded, is_alone, seen
from clbench.distillation.difficulty.settings import DifficultySettings
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.learning import learn
from clbench.distillation.matched_start import MatchedStart
from clbench.distillation.problem import Problem, repeats
from clbench.distillation.protocol import Job, Workload
from clbench.distillation.selection.distiller import Herding
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.student import start_of
from clbench.distillation.trajectories.experts import Experts, make_trajectories
from clbench.distillation.trajectories.settings import TrajectorySettings
from clbench.distillation.trajectories.updates import TrajectoryUpdates
from clbench.distillation.unfinished import Unfinished
from clbench.measuring.cost import forward_flops
from clbench.store.store import Store
from clbench.types import ImageSpec, LabelledImages

FORWARDS_PER_STEP = 12.0  # forward and backward on the way there; both and their derivative back


@dataclass(frozen=True)
class TrajectoryMatching:
    """MTT, DATM or PAD (``config.distiller``), see `TrajectorySettings`.

    Attributes:
        uses_known: experts and students also see what memory holds of other classes.
    """

    config: DistillationConfig
    uses_known = True

    @property
    def soft_labels(self) -> bool:
        """Images carry soft labels."""
        return self.config.own(TrajectorySettings).soft_labels

    def distill(self, job: Job) -> LabelledImages:
        """See `Distiller.distill`; float32 images on the 0..1 scale.

        Experts are shared by all distillations of the same data.
        """
        job.check_counts()
        if is_alone(job):
            return herded(job, soft_labels=self.soft_labels)
        with Unfinished.of(self, job) as unfinished:
            against = self.config.own(TrajectorySettings).against_memory
            known = job.known if against or len(job.real.classes) == 1 else None
            problem = Problem.make(job.real, job.spec, known, job.device)
            updates, saved = self._begun(problem, job, unfinished)
            return learn(updates, updates.settings.num_updates, unfinished, saved)

    def _begun(
        self, problem: Problem, job: Job, unfinished: Unfinished
    ) -> tuple[TrajectoryUpdates, float]:
        """Experts and start, or where the same work was stopped; and the seconds a cache saved."""
        config, settings = self.config, self.config.own(TrajectorySettings)
        settings.check_snapshots(settings.experts.num_snapshots(len(problem.images)))
        flat = FlatNetwork(config.network, problem.spec, job.device)
        wanted = Experts(
            problem.images,
            problem.spec,
            config.network,
            settings.experts,
            settings.data_scheduler,
            config.precision,
            job.device,
        )
        store = Store() if job.keep else None
        experts = make_trajectories(wanted, store=store, on_update=unfinished.tell)
        saved = experts.seconds_saved
        if unfinished.state is not None:
            start: LabelledImages | None = start_of(unfinished.state, problem.spec)
        else:
            start = self._start().images(problem, job, unfinished.tell, saved)
        updates = TrajectoryUpdates(config, problem, flat, experts, start, job)
        if unfinished.state is not None:
            updates.load_state_dict(unfinished.state)
        return updates, saved

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Training of the experts, the matched start, all student steps there and back."""
        c = self.config.own(TrajectorySettings)
        work = seen(workload, against_memory=c.against_memory)
        if work.num_classes == 1 and not work.num_known:
            return Herding().flops(spec, work)
        one = forward_flops(networks.build(self.config.network, spec, seed=0), spec.shape)
        num_learnt = work.num_real
        if work.num_known:
            per_class = work.num_real / work.num_classes
            times = repeats(per_class, work.num_known, work.num_known_classes)
            num_learnt += times * work.num_known
        trained = c.experts.num_experts * c.experts.num_epochs(num_learnt)
        if c.data_scheduler:
            epochs = c.experts.num_difficulty_epochs(num_learnt)
            trained += c.experts.num_difficulty_networks * epochs
        num_seen = work.num_images + work.num_known
        batch = min(c.batch_synthetic or num_seen, num_seen)
        steps = c.num_updates * c.student_steps
        total = one * (3.0 * trained * num_learnt + FORWARDS_PER_STEP * steps * batch)
        return total + self._start().flops(spec, work)

    def _start(self) -> MatchedStart:
        """What makes the images that the trajectories start from, of initial ones."""
        settings = self.config.own(TrajectorySettings)
        experts = settings.experts
        judges = {f.name: getattr(experts, f.name) for f in dataclasses.fields(DifficultySettings)}
        start = settings.start.replace(difficulty=DifficultySettings(**judges))
        return MatchedStart(self.config, settings.matched_start, start)
