"""How hard an image is.

EL2N: Paul, Ganguli & Dziugaite, "Deep Learning on a Data Diet: Finding Important Examples Early in
Training", NeurIPS 2021, definition 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.distillation.difficulty.settings import DifficultySettings
from clbench.distillation.expert import Expert
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.protocol import OnUpdate, Update
from clbench.distillation.settings import DistillationConfig
from clbench.machine.device import autocast
from clbench.machine.steps import in_steps
from clbench.networks.settings import NetworkConfig
from clbench.store.under_way import UnderWay
from clbench.types import ImageSpec, LabelledImages

STATE = ("total", "number", "step", "expert")  # what is kept on the way
_TOLD_EVERY = 20  # steps
_SCORING_BATCH = 500  # bounds memory, changes no score beyond rounding


def el2n(
    real: LabelledImages,
    spec: ImageSpec,
    network: NetworkConfig,
    config: DifficultySettings,
    *,
    device: torch.device,
    precision: str = "auto",
    on_update: OnUpdate | None = None,
    kept: UnderWay | None = None,
) -> Tensor:
    """Mean of || softmax(f(x)) - onehot(y) ||_2 over briefly trained networks.

    The networks are trained as experts are; the images are scored without augmentation.

    Args:
        real: N images, hard labels 0 to K - 1.
        spec: K classes.
        network: architecture of the networks.
        config: how many networks, and how they are trained.
        device: where to compute.
        precision: see `clbench.machine.device.autocast`.
        on_update: hears now and then of the steps of all networks, as phase "difficulty".
        kept: keeps the work on the way (a state of `STATE`), and knows where it was stopped.

    Returns:
        (N,) float32 on the CPU, 0 to sqrt(2); higher is harder.

    Raises:
        InputError: an architecture with running statistics, see `FlatNetwork`.
    """
    flat, data = FlatNetwork(network, spec, device), real.to(device)
    kept = UnderWay(None, "", STATE) if kept is None else kept
    total, first, state = torch.zeros(len(real)), 0, kept.state
    if state is not None:
        total, first = state["total"], state["number"]
    for number in range(first, config.num_difficulty_networks):
        expert = Expert(flat, data, config, "difficulty", number, precision=precision)
        begun = 0
        if state is not None:
            expert.load_state_dict(state["expert"])
            begun, state = state["step"], None
        steps = config.num_difficulty_epochs(len(real)) * expert.num_epoch_steps
        with in_steps():
            for step in range(begun + 1, steps + 1):
                loss = expert.step()
                if on_update is not None and (step % _TOLD_EVERY == 0 or step == steps):
                    done, of = number * steps + step, config.num_difficulty_networks * steps
                    on_update(Update(done, of, float(loss), phase="difficulty"))
                kept.reached(partial(_state, total, number, step, expert))
        total = total + _errors(flat, expert.weights, data, precision)
    return total / config.num_difficulty_networks


def _state(total: Tensor, number: int, step: int, expert: Expert) -> dict[str, Any]:
    return {"total": total, "number": number, "step": step, "expert": expert.state_dict()}


def easiest(
    real: LabelledImages,
    spec: ImageSpec,
    config: DistillationConfig,
    difficulty: DifficultySettings,
    counts: Mapping[int, int],
) -> Tensor:
    """Return positions of each class's images of lowest `el2n`, classes ascending.

    ``real`` and ``spec`` as of `el2n`; the networks are those of ``config``, trained where the
    images are.
    """
    scores = el2n(
        real,
        spec,
        config.network,
        difficulty,
        device=real.images.device,
        precision=config.precision,
    )
    order = scores.argsort(stable=True).to(real.labels.device)
    ordered = real.labels[order]
    return torch.cat([order[ordered == c][: counts[c]] for c in real.classes])


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
