"""Experts' training trajectories, kept on disk because they cost more than what is made of them.

An expert depends on its number and on the settings alone, so each is an entry of its own in the
store: what was trained before an interruption is not trained again, and more experts only cost
those that are new.
Trajectories: Cazenavette et al. (MTT), CVPR 2022, section 3.2; images ordered by difficulty: Li,
Guo et al. (PAD), 2024, section 3.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from clbench import networks
from clbench.distillation.augmentation import parse
from clbench.distillation.difficulty.el2n import STATE as el2n_state
from clbench.distillation.difficulty.el2n import el2n
from clbench.distillation.expert import Expert
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.protocol import OnUpdate, Update
from clbench.distillation.trajectories.scheduler import selected
from clbench.distillation.trajectories.settings import ExpertSettings
from clbench.errors import Diverged
from clbench.machine.device import autocast
from clbench.machine.steps import in_steps
from clbench.networks.settings import NetworkConfig
from clbench.store.fingerprint import identity, name_of, software
from clbench.store.sources import sources_of
from clbench.store.store import Store
from clbench.store.tensors import pack_tensors, unpack_tensors
from clbench.store.under_way import UnderWay
from clbench.types import ImageSpec, LabelledImages

KIND = "experts"  # of entries in the store
_COURSE = ("course", "weights")  # what is kept of an expert under way
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


@dataclass(frozen=True, eq=False)
class Experts:
    """The experts wanted.

    Attributes:
        real: N unpacked images, hard labels 0 to K - 1.
        spec: K classes.
        network: the experts' architecture.
        settings: how many experts and how they are trained.
        data_scheduler: show images by difficulty (PAD); otherwise all of them all the time.
        precision: see `clbench.machine.device.autocast`.
        device: where to compute.
    """

    real: LabelledImages
    spec: ImageSpec
    network: NetworkConfig
    settings: ExpertSettings
    data_scheduler: bool
    precision: str
    device: torch.device

    @property
    def fingerprint(self) -> str:
        """Name (hex) of everything that an expert's weights depend on but its number."""
        config, spec, num = self.settings, self.spec, len(self.real)
        apart = _APART if self.data_scheduler else _APART | _SCHEDULER
        with autocast(self.precision, self.device):
            bfloat16 = torch.is_autocast_enabled(self.device.type)
        built = type(networks.build(self.network, spec, seed=0))
        difficulty = config.num_difficulty_epochs(num) if self.data_scheduler else None
        work = {
            "network": asdict(self.network),
            "config": {name: v for name, v in asdict(config).items() if name not in apart},
            "snapshots": [config.num_epochs(num), config.num_snapshots(num)],
            "difficulty_epochs": difficulty,
            "augmentation": parse(config.augmentation, spec),
            "data_scheduler": self.data_scheduler,
            "spec": [spec.shape, spec.mean, spec.std, spec.num_classes],
            "real": identity(self.real),
            "bfloat16": bfloat16,
            "software": software(self.device, _sources(built)),
        }
        return name_of(work)


def make_trajectories(
    wanted: Experts, *, store: Store | None, on_update: OnUpdate | None
) -> Trajectories:
    """Train the experts, or those that are not on disk yet.

    Args:
        wanted: which experts.
        store: where experts are kept; None keeps none. One that cannot be read or written costs a
            warning.
        on_update: called while difficulty is judged, after each of all experts' snapshots, and
            once for an expert from disk.

    Raises:
        InputError: an architecture with running statistics, see `FlatNetwork`.
        Diverged: the loss of an expert is no number any more.
    """
    shelf = _Shelf(store, "" if store is None else wanted.fingerprint)
    config, real, precision = wanted.settings, wanted.real, wanted.precision
    flat, data = FlatNetwork(wanted.network, wanted.spec, wanted.device), real.to(wanted.device)
    scores = None
    if wanted.data_scheduler:
        scores = _scores(shelf, wanted, data, on_update)
    num_snapshots = config.num_snapshots(len(real))
    total = config.num_experts * num_snapshots
    weights = torch.empty(config.num_experts, num_snapshots + 1, flat.num_parameters)

    def tell(expert: int, snapshot: int, loss: float) -> None:
        if on_update is not None:
            number, saved = expert * num_snapshots + snapshot, shelf.seconds_saved
            on_update(Update(number, total, loss, phase="experts", seconds_saved=saved))

    for k in range(config.num_experts):
        with shelf.lock(f"expert_{k}"):
            found = shelf.read(f"expert_{k}", weights[k].shape)
            if found is not None:
                weights[k], losses = found
                tell(k, num_snapshots, losses[-1])
                continue
            expert = Expert(flat, data, config, "expert", k, precision=precision)
            course = Course(expert, real.labels.cpu(), scores, config)
            with shelf.under_way(f"expert_{k}", _COURSE) as kept:
                _follow(course, weights[k], kept, partial(tell, k))
                shelf.write(f"expert_{k}", weights[k], course.losses, kept.seconds)
    return Trajectories(weights, shelf.seconds_saved)


def _follow(
    course: Course, weights_SP: Tensor, kept: UnderWay, tell: Callable[[int, float], None]
) -> None:
    """Train an expert to the end, from where it was stopped; its snapshots into ``weights_SP``."""
    if kept.state is None:
        weights_SP[0] = course.expert.weights
    else:
        course.load_state_dict(kept.state["course"])
        done = len(course.losses)
        weights_SP[: done + 1] = kept.state["weights"]
        if done:
            tell(done, course.losses[-1])

    def state() -> dict[str, Any]:
        done = len(course.losses)
        return {"course": course.state_dict(), "weights": weights_SP[: done + 1].clone()}

    with in_steps():
        while not course.done:
            if course.step():
                weights_SP[len(course.losses)] = course.expert.weights
                tell(len(course.losses), course.losses[-1])
            kept.reached(state)


class Course:
    """The training of one expert, snapshot by snapshot.

    The number of steps is that of ``epochs`` passes over all images, however few are shown, and
    one per snapshot at least; snapshot s comes after round(s * steps / S) of them.

    Attributes:
        expert: trained in place.
        losses: mean loss since the last one at every snapshot so far.
    """

    def __init__(
        self, expert: Expert, labels_N: Tensor, scores_N: Tensor | None, config: ExpertSettings
    ) -> None:
        """Nothing is trained yet.

        Args:
            expert: fresh.
            labels_N: int64 classes.
            scores_N: difficulty by which the images shown are chosen anew after every snapshot;
                None shows all of them.
            config: see `Experts`.
        """
        self.expert, self.losses = expert, list[float]()
        self._labels, self._scores, self._config = labels_N, scores_N, config
        self._num_snapshots = config.num_snapshots(len(labels_N))
        of_epochs = config.num_epochs(len(labels_N)) * expert.num_epoch_steps
        self._num_steps = max(of_epochs, self._num_snapshots)
        self._done, self._since = 0, list[Tensor]()

    @property
    def done(self) -> bool:
        """Whether the last snapshot was reached."""
        return len(self.losses) >= self._num_snapshots

    def step(self) -> bool:
        """Take one step; whether a snapshot is reached with it.

        Raises:
            Diverged: the loss is no number any more.
        """
        s = len(self.losses)
        if self._scores is not None and not self._since:
            shown = selected(self._scores, self._labels, s / self._num_snapshots, self._config)
            self.expert.batches.restrict(shown)
        self._since.append(self.expert.step())
        self._done += 1
        if self._done < round((s + 1) * self._num_steps / self._num_snapshots):
            return False
        loss, self._since = float(torch.stack(self._since).mean()), []
        if not math.isfinite(loss):
            rate = self._config.learning_rate
            raise Diverged(
                f"experts: expected a finite loss, found {loss} after {self._done} steps; lower "
                f"the experts' learning_rate (--expert-learning-rate, it is {rate:g})"
            )
        self.losses.append(loss)
        return True

    def state_dict(self) -> dict[str, Any]:
        """After a step: all that the rest depends on."""
        return {
            "expert": self.expert.state_dict(),
            "losses": list(self.losses),
            "since": torch.stack(self._since) if self._since else None,
            "done": self._done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Be where `state_dict` was taken."""
        self.expert.load_state_dict(state["expert"])
        self.losses, self._done = list(state["losses"]), state["done"]
        self._since = [] if state["since"] is None else list(state["since"])


def _sources(network: type) -> list[str]:
    """What computes an expert; a third party's network counts as well as ours."""
    return sorted({*sources_of(__name__), *sources_of(network.__module__)})


def _scores(
    shelf: _Shelf, wanted: Experts, data: LabelledImages, on_update: OnUpdate | None
) -> Tensor:
    with shelf.lock("difficulty"):
        found = shelf.read("difficulty", (len(data),))
        if found is not None:
            return found[0]
        with shelf.under_way("difficulty", el2n_state) as kept:
            scores = el2n(
                data,
                wanted.spec,
                wanted.network,
                wanted.settings,
                device=wanted.device,
                precision=wanted.precision,
                on_update=on_update,
                kept=kept,
            )
            shelf.write("difficulty", scores, [], kept.seconds)
        return scores


class _Shelf:
    """Tensors in the store with the losses and seconds it took to make each.

    Attributes:
        seconds_saved: sum of the seconds of what was found there.
    """

    def __init__(self, store: Store | None, fingerprint: str) -> None:
        self._store, self._fingerprint = store, fingerprint
        self.seconds_saved = 0.0

    def read(self, name: str, shape: tuple[int, ...]) -> tuple[Tensor, list[float]] | None:
        """The tensor and its losses; None where there is none of this shape, all finite."""
        if self._store is None:
            return None
        content = self._store.read(KIND, self._entry(name))
        if content is None:
            return None
        try:
            tensors, about = unpack_tensors(content)
            tensor, losses = tensors[name], [float(x) for x in about["losses"]]
            seconds = float(about["seconds"])
            if tuple(tensor.shape) != shape:
                raise ValueError(f"expected {tuple(shape)}, found {tuple(tensor.shape)}")
            if not tensor.isfinite().all() or not seconds >= 0:
                raise ValueError("expected finite numbers, found others")
        except (KeyError, TypeError, ValueError) as error:
            place = self._store.path_of(KIND, self._entry(name))
            warnings.warn(f"{place}: not to be believed ({error}); made again", stacklevel=3)
            return None
        self.seconds_saved += seconds
        return tensor, losses

    def write(self, name: str, tensor: Tensor, losses: list[float], seconds: float) -> None:
        """Keep it, if that can be done."""
        if self._store is not None:
            content = pack_tensors({name: tensor}, {"losses": losses, "seconds": seconds})
            self._store.write(KIND, self._entry(name), content)

    def under_way(self, name: str, values: Sequence[str]) -> UnderWay:
        """The work on it, which goes on where it was stopped; its state has these values."""
        return UnderWay(self._store, self._entry(name), values)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """One process at a time makes it; the others wait and find it."""
        return nullcontext() if self._store is None else self._store.lock(KIND, self._entry(name))

    def _entry(self, name: str) -> str:
        return f"{self._fingerprint}.{name}"
