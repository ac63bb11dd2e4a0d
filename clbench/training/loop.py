"""The one supervised loop for a network and one set of labelled images, small or whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench.distillation.augmentation import augment, parse
from clbench.errors import Diverged, require_finite
from clbench.machine.device import autocast
from clbench.machine.steps import in_steps
from clbench.training.settings import SetTrainingConfig
from clbench.types import ImageSpec, LabelledImages

# Part of a one-cycle training in which the learning rate rises.
WARM_UP = 0.2
MOST_BYTES_READY = 2**28


def learning_rate(config: SetTrainingConfig, progress: float) -> float:
    """The learning rate when ``progress`` (0 up to but not 1) of the training is done.

    By steps; only "step" waits for an epoch's end, see `Training`.
    """
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    if config.schedule == "one_cycle":
        if progress < WARM_UP:
            return config.learning_rate * progress / WARM_UP
        falling = (progress - WARM_UP) / (1 - WARM_UP)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * falling))
    late = config.schedule == "step" and progress >= 0.5
    return config.learning_rate * (0.1 if late else 1.0)


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut positions, (N,), into batches of ``size``; the last may be smaller, but not of one image.

    One image that is left over joins the batch before it: batch normalisation of hidden units
    cannot take one image.
    """
    pieces = list(order.split(size))
    if size > 1 and len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


class Epoch(NamedTuple):
    """One pass over the set, as it was seen while training.

    Attributes:
        loss: mean cross-entropy.
        accuracy: share of (augmented) images that were right when they came, 0..1.
    """

    loss: float
    accuracy: float


class Training:
    """A training under way; `state_dict` after any step is all that is needed to go on.

    SGD, always to the last epoch; bf16 where the device has it.
    """

    def __init__(
        self,
        network: nn.Module,
        data: LabelledImages,
        spec: ImageSpec,
        config: SetTrainingConfig,
        *,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        """Nothing is trained yet.

        Args:
            network: trained in place; moved to ``device``.
            data: hard or soft labels.
            spec: normalisation and the data's own augmentation.
            config: epochs, optimiser, schedule, augmentation.
            generator: order of the images and augmentation.
            device: where to train.
        """
        self.network, self.spec, self.config, self.device = network, spec, config, device
        decoded = data.to(device)
        self._labels = decoded.labels
        # Floats of a small set are kept; those of a large one are made batch by batch.
        self._ready = 4 * decoded.images.numel() <= MOST_BYTES_READY
        self._images = spec.normalise(decoded.images) if self._ready else decoded.images
        self._generator = generator
        self._operations = parse(config.augmentation, spec)
        network.to(device).train()
        self._optimizer = torch.optim.SGD(
            network.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        self.num_epochs = 0
        self._begin_pass()

    @property
    def done(self) -> bool:
        """Whether every epoch is over."""
        return self.num_epochs >= self.config.epochs

    def epoch(self, on_step: Callable[[], None] | None = None) -> Epoch:
        """One more pass over all images, or the rest of one.

        Args:
            on_step: called after each step; what it raises leaves a state to go on from.

        Raises:
            Diverged: the loss, or after the last epoch a weight, is nan or infinite.
        """
        self.network.train()
        num = self._rest_of_pass(on_step)
        self.num_epochs += 1
        loss, right = (self._totals / num).tolist()
        self._begin_pass()
        where = f"training on a set, epoch {self.num_epochs} of {self.config.epochs}"
        require_finite(loss, where, self._remedy)
        if self.done:
            require_finite_weights(self.network, where, self._remedy)
        return Epoch(loss, right)

    @property
    def _remedy(self) -> str:
        return f"lower the learning rate (it is {self.config.learning_rate:g})"

    def _begin_pass(self) -> None:
        self._pass_start, self._num_steps = self._generator.get_state(), 0
        # On the device until the end: reading a number waits for it.
        self._totals = torch.zeros(2, dtype=torch.float64, device=self.device)

    def _rest_of_pass(self, on_step: Callable[[], None] | None) -> int:
        """Take the steps that are left; the number of images of a whole pass."""
        now = self._generator.get_state()
        if self._num_steps:
            # The order of a pass is drawn again from where its generator was.
            self._generator.set_state(self._pass_start)
        else:
            self._pass_start = now
        order = torch.randperm(len(self._images), generator=self._generator).to(self.device)
        if self._num_steps:
            self._generator.set_state(now)
        pieces = batches(order, self.config.batch_size)
        for i in range(self._num_steps, len(pieces)):
            self._set_rate(i / len(pieces))
            self._totals += self._step(pieces[i])
            self._num_steps += 1
            if on_step is not None:
                on_step()
        return len(order)

    def _set_rate(self, part: float) -> None:
        # The step falls between epochs: as many whole ones before it as half of them, rounded down.
        config = self.config
        if config.schedule == "step":
            progress = 0.5 if self.num_epochs >= config.epochs // 2 else 0.0
        else:
            progress = (self.num_epochs + part) / config.epochs
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(config, progress)

    def _step(self, index: Tensor) -> Tensor:
        """Sum of the losses, and how many were right."""
        labels, images = self._labels[index], self._images[index]
        if not self._ready:
            images = self.spec.normalise(images)
        batch = augment(images, self._operations, self._generator)
        with autocast("auto", self.device):
            logits = self.network(batch)
        logits = logits.float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        hard = labels if labels.ndim == 1 else labels.argmax(1)
        right = (logits.detach().argmax(1) == hard).sum()
        return torch.stack([loss.detach() * len(index), right])

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser, generator, epochs done, and what the pass under way needs."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "num_epochs": self.num_epochs,
            "pass": [self._pass_start, self._num_steps, self._totals.cpu()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])
        self.num_epochs = state["num_epochs"]
        self._pass_start, self._num_steps, totals = state["pass"]
        self._totals = totals.to(self.device)


def require_finite_weights(network: nn.Module, where: str, remedy: str) -> None:
    """Stop where a weight is no number; arguments as of `clbench.errors.require_finite`.

    Raises:
        Diverged: a weight or a running statistic is nan or infinite.
    """
    values = [v for v in network.state_dict().values() if v.is_floating_point()]
    if values and not torch.stack([v.isfinite().all() for v in values]).all():
        raise Diverged(f"{where}: expected finite weights, found others; {remedy}")


def train_on_set(
    network: nn.Module,
    data: LabelledImages,
    spec: ImageSpec,
    config: SetTrainingConfig,
    *,
    generator: torch.Generator,
    device: torch.device,
    on_epoch: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train ``network`` in place on ``data`` alone; the last epoch counts.

    Arguments as of `Training`, and ``on_epoch`` as of `finish`.

    Returns:
        Mean loss of each epoch.

    Raises:
        Diverged: see `Training.epoch`.
    """
    training = Training(network, data, spec, config, generator=generator, device=device)
    return finish(training, on_epoch=on_epoch)


def finish(
    training: Training,
    *,
    on_epoch: Callable[[int, float], None] | None = None,
    on_step: Callable[[], None] | None = None,
) -> list[float]:
    """Go on with a training to its last epoch.

    Args:
        training: fresh, or in the middle of an epoch.
        on_epoch: called with the number of epochs done and the mean loss.
        on_step: called after each step, see `Training.epoch`; a stop from outside waits for it.

    Returns:
        Mean loss of each epoch that was ended here.

    Raises:
        Diverged: see `Training.epoch`.
    """
    losses: list[float] = []
    with nullcontext() if on_step is None else in_steps():
        while not training.done:
            losses.append(training.epoch(on_step).loss)
            if on_epoch is not None:
                on_epoch(training.num_epochs, losses[-1])
    return losses


@torch.no_grad()
def predict_logits(
    network: nn.Module,
    data: LabelledImages,
    spec: ImageSpec,
    device: torch.device,
    batch_size: int = 500,
) -> Tensor:
    """Logits of every image, (N, K) float32 on the CPU; the network is left in eval mode."""
    network.to(device).eval()
    parts = []
    for images in data.images.split(batch_size):
        with autocast("auto", device):
            logits = network(spec.normalise(images.to(device)))
        parts.append(logits.float().cpu())
    return torch.cat(parts)


def predict(
    network: nn.Module, data: LabelledImages, spec: ImageSpec, device: torch.device
) -> Tensor:
    """Predicted class of every image, (N,) int64 on the CPU; the network is left in eval mode."""
    return predict_logits(network, data, spec, device).argmax(1)


def accuracy(
    network: nn.Module, data: LabelledImages, spec: ImageSpec, device: torch.device
) -> float:
    """Share of images whose predicted class is the label's, 0..1."""
    predicted = predict(network, data, spec, device)
    return float((predicted == data.hard_labels.cpu()).double().mean())
