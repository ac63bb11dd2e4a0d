"""How hard an image is, and which images an expert is shown when.

EL2N: Paul, Ganguli & Dziugaite, "Deep Learning on a Data Diet: Finding Important Examples Early in
Training", NeurIPS 2021, definition 2.2.
Scheduler: Li, Guo et al., "Prioritize Alignment in Dataset Distillation" (PAD), arXiv 2408.03360,
2024, section 3: easy images first, hard ones added, the easiest dropped in the end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.config import DistillationConfig, ExpertConfig, NetworkConfig
from clbench.distillation.expert import Expert
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.protocol import OnUpdate, Update
from clbench.machine.device import autocast
from clbench.types import ImageSpec, LabelledImages

# PAD, section 3: (share of the training, share of the easiest images dropped from there on).
FIRST_DROP = (0.4, 0.1)
SECOND_DROP = (0.6, 0.2)

_TOLD_EVERY = 20  # steps
_SCORING_BATCH = 500  # bounds memory, changes no score beyond rounding


def el2n(
    real: LabelledImages,
    spec: ImageSpec,
    network: NetworkConfig,
    config: ExpertConfig,
    *,
    device: torch.device,
    precision: str = "auto",
    on_update: OnUpdate | None = None,
) -> Tensor:
    """Mean of || softmax(f(x)) - onehot(y) ||_2 over briefly trained networks.

    The networks are trained as experts are; the images are scored without augmentation.

    Args:
        real: N unpacked images, hard labels 0 to K - 1.
        spec: K classes.
        network: architecture of the networks.
        config: how many networks, and how they are trained.
        device: where to compute.
        precision: see `clbench.machine.device.autocast`.
        on_update: hears now and then of the steps of all networks, as phase "difficulty".

    Returns:
        (N,) float32 on the CPU, 0 to sqrt(2); higher is harder.

    Raises:
        InputError: an architecture with running statistics, see `FlatNetwork`.
    """
    flat, data = FlatNetwork(network, spec, device), real.to(device)
    total = torch.zeros(len(real))
    for number in range(config.num_difficulty_networks):
        expert = Expert(flat, data, config, "difficulty", number, precision=precision)
        steps = config.num_difficulty_epochs(len(real)) * expert.num_epoch_steps
        for step in range(1, steps + 1):
            loss = expert.step()
            if on_update is not None and (step % _TOLD_EVERY == 0 or step == steps):
                done, of = number * steps + step, config.num_difficulty_networks * steps
                on_update(Update(done, of, float(loss), phase="difficulty"))
        total += _errors(flat, expert.weights, data, precision)
    return total / config.num_difficulty_networks


def easiest(
    real: LabelledImages,
    spec: ImageSpec,
    config: DistillationConfig,
    num_per_class: int,
    device: torch.device,
) -> Tensor:
    """Positions of each class's ``num_per_class`` images of lowest `el2n`, classes ascending.

    ``real`` and ``spec`` as of `el2n`; the networks are those of ``config``.
    """
    scores = el2n(
        real,
        spec,
        config.network,
        config.trajectory.experts,
        device=device,
        precision=config.precision,
    )
    order = scores.argsort(stable=True).to(real.labels.device)
    ordered = real.labels[order]
    return torch.cat([order[ordered == c][:num_per_class] for c in real.classes])


@torch.no_grad()
def _errors(
    network: FlatNetwork, weights_P: Tensor, data: LabelledImages, precision: str
) -> Tensor:
    parts = []
    for index in torch.arange(len(data), device=network.device).split(_SCORING_BATCH):
        batch = data.select(index)
        with autocast(precision, network.device):
            logits = network(weights_P, network.spec.normalise(batch.images))
        wanted = F.one_hot(batch.labels, logits.shape[1])
        parts.append((logits.float().softmax(1) - wanted).norm(dim=1).cpu())
    return torch.cat(parts)


def share(progress: float, config: ExpertConfig) -> tuple[float, float]:
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


def selected(scores_N: Tensor, labels_N: Tensor, progress: float, config: ExpertConfig) -> Tensor:
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
