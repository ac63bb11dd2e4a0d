"""Back-propagation through training: images from which fresh networks learn to predict real ones.

Feng, Vedantam & Kempe, "Embarrassingly Simple Dataset Distillation", ICLR 2024, arXiv 2311.07025
(RaT-BPTT); Wang et al., "Dataset Distillation", 2018, arXiv 1811.10959, is the first to do it.

A fresh network w_0 takes N steps of SGD on the synthetic images S, and is judged by real ones B:

    L = cross-entropy(B; w_N),    w_{i+1} = w_i - b g_i(w_i; S),    N uniform in window..unroll.

The gradient of L with respect to S goes back through the last ``window`` steps, and leaves out how
S moved the weights before: with all of them it explodes, and with N fixed the images serve one
length of training alone. Within the window it is exact (`clbench.distillation.adjoint`).
"""

from __future__ import annotations

from dataclasses import dataclass

from clbench import networks
from clbench.distillation.alone import herded, is_alone, seen
from clbench.distillation.bptt.settings import BpttSettings
from clbench.distillation.bptt.updates import BpttUpdates
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.learning import learn
from clbench.distillation.matched_start import MatchedStart
from clbench.distillation.problem import Problem
from clbench.distillation.protocol import Job, Workload
from clbench.distillation.selection.distiller import Herding
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.student import start_of
from clbench.distillation.unfinished import Unfinished
from clbench.measuring.cost import forward_flops
from clbench.types import ImageSpec, LabelledImages

TRAINING = 3.0  # forwards of a step: forward and backward
BACK = 9.0  # of one that is differentiated: both, and their derivative


@dataclass(frozen=True)
class BackPropagation:
    """RaT-BPTT, see `BpttSettings`.

    Attributes:
        uses_known: networks also learn, and are judged by, what memory holds of other classes.
    """

    config: DistillationConfig
    uses_known = True

    @property
    def soft_labels(self) -> bool:
        """Images carry soft labels."""
        return self.config.own(BpttSettings).soft_labels

    def distill(self, job: Job) -> LabelledImages:
        """See `Distiller.distill`; float32 images on the 0..1 scale."""
        job.check_counts()
        if is_alone(job):
            return herded(job, soft_labels=self.soft_labels)
        settings = self.config.own(BpttSettings)
        with Unfinished.of(self, job) as unfinished:
            against = settings.against_memory or len(job.real.classes) == 1
            problem = Problem.make(job.real, job.spec, job.known if against else None, job.device)
            if unfinished.state is not None:
                start: LabelledImages | None = start_of(unfinished.state, problem.spec)
            else:
                start = self._start().images(problem, job, unfinished.tell)
            network = FlatNetwork(self.config.network, problem.spec, job.device)
            updates = BpttUpdates(self.config, problem, network, start, job)
            if unfinished.state is not None:
                updates.load_state_dict(unfinished.state)
            return learn(updates, settings.num_updates, unfinished)

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """The matched start, all steps there, the windows back, and the judging."""
        c = self.config.own(BpttSettings)
        work = seen(workload, against_memory=c.against_memory)
        if work.num_classes == 1 and not work.num_known:
            return Herding().flops(spec, work)
        one = forward_flops(networks.build(self.config.network, spec, seed=0), spec.shape)
        num_seen = work.num_images + work.num_known
        batch = min(c.batch_synthetic or num_seen, num_seen)
        steps = TRAINING * (c.unroll + c.window) / 2 + BACK * c.window
        judged = TRAINING * min(c.batch_real, work.num_real)
        return c.num_updates * one * (steps * batch + judged) + self._start().flops(spec, work)

    def _start(self) -> MatchedStart:
        settings = self.config.own(BpttSettings)
        return MatchedStart(self.config, settings.matched_start, settings.start)
