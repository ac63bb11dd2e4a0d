"""Distribution and attention matching: DM and DataDAM.

DM: Zhao & Bilen, "Dataset Condensation with Distribution Matching", WACV 2023.
DataDAM: Sajedi et al., "DataDAM: Efficient Dataset Distillation with Attention Matching", ICCV
2023.

For every class the statistics of real and synthetic images in a random network are brought
together by moving the synthetic images:

    L_SAM = sum over layers, classes, positions of (mean A_real - mean A_syn)^2   (DataDAM eq. 1-3)
    L_MMD = sum over classes, dimensions of (mean e_real - mean e_syn)^2          (DM eq. 4)
    L     = attention_weight * L_SAM + mmd_weight * L_MMD                         (DataDAM eq. 5)

A is the attention map of a layer, e the flattened output of the last pooling. The authors' code
minimises 100 * L; here the factor is part of ``learning_rate``.
"""

from __future__ import annotations

from dataclasses import dataclass

from clbench import networks
from clbench.distillation.matching.settings import MatchingSettings
from clbench.distillation.matching.updates import MatchingUpdates
from clbench.distillation.protocol import Job, Update, Workload
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.unfinished import Unfinished
from clbench.measuring.cost import forward_flops
from clbench.types import ImageSpec, LabelledImages

BACKWARD_TO_INPUT = 1.0  # a backward pass to the input alone costs one forward


@dataclass(frozen=True)
class Matching:
    """DM or DataDAM (``config.distiller``), see `MatchingSettings` for the loop.

    Stopped work is kept after a whole network, every half minute at most, and when stopped.
    """

    config: DistillationConfig

    def distill(self, job: Job) -> LabelledImages:
        """See `Distiller.distill`; float32 images on the 0..1 scale."""
        job.check_counts()
        settings = self.config.own(MatchingSettings)
        each = settings.updates_per_network
        with Unfinished.of(self, job) as unfinished:
            updates = MatchingUpdates(self.config, job)
            if unfinished.state is not None:
                updates.load_state_dict(unfinished.state)
            num = settings.networks(coarse=job.codec.coarse)
            total, done = num * each, unfinished.num_updates
            for _ in range(done // each, num):
                for loss in updates.use_network():
                    done += 1
                    unfinished.tell(Update(done, total, loss))
                unfinished.reached(updates)
            return updates.result()

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Forward passes of the real batches; forward, backward of the synthetic images."""
        c, w = self.config.own(MatchingSettings), workload
        one = forward_flops(networks.build(self.config.network, spec, seed=0), spec.shape)
        num = c.networks(coarse=w.coarse)
        updates = num * c.updates_per_network
        real = min(c.batch_real * w.num_classes, w.num_real)
        draws = updates if c.resample or c.network_steps else num
        steps = num * (c.updates_per_network - 1) * c.network_steps
        per_update = w.num_images * (1 + BACKWARD_TO_INPUT)
        return one * (draws * real + updates * per_update + steps * 3 * w.num_images)
