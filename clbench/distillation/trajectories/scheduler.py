"""Which images an expert is shown when: easy ones first, the easiest dropped in the end.

Li, Guo et al., "Prioritize Alignment in Dataset Distillation" (PAD), arXiv 2408.03360, 2024,
section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clbench.distillation.trajectories.settings import ExpertSettings

# PAD, section 3: (share of the training, share of the easiest images dropped from there on).
FIRST_DROP = (0.4, 0.1)
SECOND_DROP = (0.6, 0.2)


def share(progress: float, config: ExpertSettings) -> tuple[float, float]:
    """Which part of a class is shown, as quantiles (low, high) of difficulty.

    Up to ``addition_end`` high grows from ``initial_ratio`` to 1; low is 0, then `FIRST_DROP`'s
    share, then `SECOND_DROP`'s.

    Args:
        progress: e / E, share of the training that is done, 0 up to but not 1.
        config: ``initial_ratio`` and ``addition_end``.
    """
    start = config.initial_ratio
    high = min(start + (1 - start) * progress / config.addition_end, 1.0)
    for begin, dropped in (SECOND_DROP, FIRST_DROP):
        if progress >= begin:
            return dropped, high
    return 0.0, high


def selected(scores_N: Tensor, labels_N: Tensor, progress: float, config: ExpertSettings) -> Tensor:
    """Positions of the images shown, ascending int64; at least one of every class.

    Of a class of n images, sorted from easy to hard, those from round(low * n) up to but not
    round(high * n), see `share`; of equally hard images the earlier counts as the easier.

    Args:
        scores_N: difficulty, higher is harder.
        labels_N: int64 classes.
        progress: see `share`.
        config: see `share`.
    """
    low, high = share(progress, config)
    parts = []
    for c in labels_N.unique():
        members = (labels_N == c).nonzero().flatten()
        ordered = members[scores_N[members].argsort(stable=True)]
        first = round(low * len(ordered))
        parts.append(ordered[first : max(round(high * len(ordered)), first + 1)])
    return torch.cat(parts).sort().values
