"""Experts' training trajectories, kept on disk because they cost more than what is made of them.

An expert depends on its number and on the settings alone, so each has a file of its own: what was
trained before an interruption is not trained again, and more experts only cost those that are new.
Trajectories: Cazenavette et al. (MTT), CVPR 2022, section 3.2; images ordered by difficulty: Li,
Guo et al. (PAD), 2024, section 3.
"""

from __future__ import annotations

import inspect
import json
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from clbench import networks
from clbench.config import ExpertConfig, NetworkConfig
from clbench.distillation.augmentation import parse
from clbench.distillation.difficulty import el2n, selected
from clbench.distillation.expert import Expert
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.protocol import OnUpdate, Update
from clbench.errors import Diverged
from clbench.machine.device import autocast
from clbench.store.files import write_bytes
from clbench.store.fingerprint import identity, name_of, software
from clbench.types import ImageSpec, LabelledImages

# What computes an expert: changed code never meets its old results.
SOURCES = (
    "machine/device",
    "seeding",
    "types",
    "distillation/augmentation",
    "distillation/difficulty",
    "distillation/expert",
    "distillation/flat",
    "distillation/trajectories",
    "networks/*",
)

# Asking for more experts adds to those there are; augmentation counts as what it stands for.
_APART = {"num_experts", "augmentation"}
_SCHEDULER = {"num_difficulty_networks", "difficulty_epochs", "initial_ratio", "addition_end"}


@dataclass(frozen=True, eq=False)
class Trajectories:
    """What the experts went through.

    Attributes:
        weights: (E, S + 1, P) float32 on the CPU: E experts, the initial weights and S snapshots,
            P parameters from shallow to deep.
        seconds_saved: wall time of the original work, where it came from disk.
    """

    weights: Tensor
    seconds_saved: float


def make_trajectories(
    real: LabelledImages,
    spec: ImageSpec,
    network: NetworkConfig,
    config: ExpertConfig,
    *,
    data_scheduler: bool,
    precision: str,
    device: torch.device,
    directory: Path | None,
    on_update: OnUpdate | None,
) -> Trajectories:
    """Train the experts, or those that are not on disk yet.

    Args:
        real: N unpacked images, hard labels 0 to K - 1.
        spec: K classes.
        network: the experts' architecture.
        config: how many experts and how they are trained.
        data_scheduler: show images by difficulty (PAD); otherwise all of them all the time.
        precision: see `clbench.machine.device.autocast`.
        device: where to compute.
        directory: where experts are kept; None keeps none. A directory that cannot be read or
            written costs a warning.
        on_update: called while difficulty is judged, after each of all experts' snapshots, and
            once for an expert from disk.

    Raises:
        InputError: an architecture with running statistics, see `FlatNetwork`.
        Diverged: the loss of an expert is no number any more.
    """
    shelf = _Shelf(None)
    if directory is not None:
        name = fingerprint(
            real,
            spec,
            network,
            config,
            data_scheduler=data_scheduler,
            precision=precision,
            device=device,
        )
        shelf = _Shelf(directory / name)
    flat, data = FlatNetwork(network, spec, device), real.to(device)
    scores = None
    if data_scheduler:
        scores = _scores(shelf, data, flat, config, precision, on_update)
    num_snapshots = config.num_snapshots(len(real))
    total = config.num_experts * num_snapshots
    weights = torch.empty(config.num_experts, num_snapshots + 1, flat.num_parameters)

    def tell(expert: int, snapshot: int, loss: float) -> None:
        if on_update is not None:
            number, saved = expert * num_snapshots + snapshot, shelf.seconds_saved
            on_update(Update(number, total, loss, phase="experts", seconds_saved=saved))

    for k in range(config.num_experts):
        found = shelf.read(f"expert_{k}", weights[k].shape)
        if found is not None:
            weights[k], losses = found
            tell(k, num_snapshots, losses[-1])
            continue
        start, losses = time.perf_counter(), []
        expert = Expert(flat, data, config, "expert", k, precision=precision)
        weights[k, 0] = expert.weights
        for s, loss in enumerate(train(expert, real.labels.cpu(), scores, config), 1):
            weights[k, s] = expert.weights
            losses.append(loss)
            tell(k, s, loss)
        shelf.write(f"expert_{k}", weights[k], losses, time.perf_counter() - start)
    return Trajectories(weights, shelf.seconds_saved)


def train(
    expert: Expert, labels_N: Tensor, scores_N: Tensor | None, config: ExpertConfig
) -> Iterator[float]:
    """Train ``expert`` in place; stop at every snapshot with the mean loss since the last one.

    The number of steps is that of ``epochs`` passes over all images, however few are shown, and
    one per snapshot at least; snapshot s comes after round(s * steps / S) of them.

    Args:
        expert: fresh.
        labels_N: int64 classes.
        scores_N: difficulty by which the images shown are chosen anew after every snapshot; None
            shows all of them.
        config: see `make_trajectories`.

    Raises:
        Diverged: the loss is no number any more.
    """
    num_snapshots = config.num_snapshots(len(labels_N))
    steps = max(config.num_epochs(len(labels_N)) * expert.num_epoch_steps, num_snapshots)
    done = 0
    for s in range(num_snapshots):
        if scores_N is not None:
            expert.batches.restrict(selected(scores_N, labels_N, s / num_snapshots, config))
        until = round((s + 1) * steps / num_snapshots)
        loss = float(torch.stack([expert.step() for _ in range(until - done)]).mean())
        if not math.isfinite(loss):
            raise Diverged(
                f"experts: expected a finite loss, found {loss} after {until} steps; lower the "
                f"experts' learning_rate (--expert-learning-rate, it is {config.learning_rate:g})"
            )
        done = until
        yield loss


def fingerprint(
    real: LabelledImages,
    spec: ImageSpec,
    network: NetworkConfig,
    config: ExpertConfig,
    *,
    data_scheduler: bool,
    precision: str,
    device: torch.device,
) -> str:
    """Name (hex) of everything that an expert's weights depend on but its number.

    Arguments as in `make_trajectories`.
    """
    apart = _APART if data_scheduler else _APART | _SCHEDULER
    num = len(real)
    with autocast(precision, device):
        bfloat16 = torch.is_autocast_enabled(device.type)
    built = type(networks.build(network, spec, seed=0))
    work = {
        "network": asdict(network),
        "config": {name: v for name, v in asdict(config).items() if name not in apart},
        "snapshots": [config.num_epochs(num), config.num_snapshots(num)],
        "difficulty_epochs": config.num_difficulty_epochs(num) if data_scheduler else None,
        "augmentation": parse(config.augmentation, spec),
        "data_scheduler": data_scheduler,
        "spec": [spec.shape, spec.mean, spec.std, spec.num_classes],
        "real": identity(real),
        "bfloat16": bfloat16,
        "software": software(device, SOURCES, inspect.getsourcefile(built)),
    }
    return name_of(work)


def _scores(
    shelf: _Shelf,
    data: LabelledImages,
    flat: FlatNetwork,
    config: ExpertConfig,
    precision: str,
    on_update: OnUpdate | None,
) -> Tensor:
    found = shelf.read("difficulty", (len(data),))
    if found is not None:
        return found[0]
    start = time.perf_counter()
    scores = el2n(
        data,
        flat.spec,
        flat.config,
        config,
        device=flat.device,
        precision=precision,
        on_update=on_update,
    )
    shelf.write("difficulty", scores, [], time.perf_counter() - start)
    return scores


class _Shelf:
    """A directory of tensors with the losses and seconds it took to make each.

    Attributes:
        seconds_saved: sum of the seconds of what was found there.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self.seconds_saved = 0.0

    def read(self, name: str, shape: tuple[int, ...]) -> tuple[Tensor, list[float]] | None:
        """The tensor and its losses; None where there is none of this shape."""
        if self._directory is None:
            return None
        path = self._directory / f"{name}.safetensors"
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["clbench"])
                tensor, losses = file.get_tensor(name), [float(x) for x in about["losses"]]
                seconds = float(about["seconds"])
            if tuple(tensor.shape) != shape:
                raise ValueError(f"expected {shape}, found {tuple(tensor.shape)}")
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            warnings.warn(f"broken file in the cache of experts: {path} ({error})", stacklevel=3)
            return None
        self.seconds_saved += seconds
        return tensor, losses

    def write(self, name: str, tensor: Tensor, losses: list[float], seconds: float) -> None:
        """Keep it, if that can be done."""
        if self._directory is None:
            return
        about = json.dumps({"losses": losses, "seconds": seconds})
        # One key only: safetensors writes several in no fixed order.
        content = save({name: tensor.contiguous()}, {"clbench": about})
        try:
            write_bytes(self._directory / f"{name}.safetensors", content)
        except OSError as error:
            warnings.warn(f"expert not cached: {error}", stacklevel=3)
