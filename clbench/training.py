"""The one supervised loop for a network and a small set of labelled images."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench.config import SetTrainingConfig
from clbench.device import autocast
from clbench.distillation.augmentation import augment, parse
from clbench.types import ImageSpec, LabelledImages


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

    The learning rate falls to a tenth after half of the epochs, as in the evaluation of the
    DC/DSA/DM family. bf16 where the device has it.

    Args:
        network: moved to ``device``.
        data: hard or soft labels; packed slots are decoded first.
        spec: normalisation and the data's own augmentation.
        config: epochs, optimiser, augmentation.
        generator: order of the images and augmentation.
        device: where to train.
        on_epoch: called with the number of epochs done and the mean loss.

    Returns:
        Mean loss of each epoch.
    """
    decoded = data.decoded().to(device)
    images, labels = spec.normalise(decoded.images), decoded.labels
    operations = parse(config.augmentation, spec)
    network.to(device).train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    losses = []
    for epoch in range(config.epochs):
        if epoch == config.epochs // 2:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * 0.1
        order = torch.randperm(len(images), generator=generator).to(device)
        total = 0.0
        for index in order.split(config.batch_size):
            batch = augment(images[index], operations, generator)
            with autocast("auto", device):
                logits = network(batch)
            loss = F.cross_entropy(logits.float(), labels[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(index)
        losses.append(total / len(images))
        if on_epoch is not None:
            on_epoch(epoch + 1, losses[-1])
    return losses


@torch.no_grad()
def predict(
    network: nn.Module,
    data: LabelledImages,
    spec: ImageSpec,
    device: torch.device,
    batch_size: int = 500,
) -> Tensor:
    """Predicted class of every image, (N,) int64 on the CPU; the network is left in eval mode."""
    network.to(device).eval()
    parts = []
    for images in data.decoded().images.split(batch_size):
        with autocast("auto", device):
            logits = network(spec.normalise(images.to(device)))
        parts.append(logits.float().argmax(1).cpu())
    return torch.cat(parts)


def accuracy(
    network: nn.Module, data: LabelledImages, spec: ImageSpec, device: torch.device
) -> float:
    """Share of images whose predicted class is the label's, 0..1."""
    predicted = predict(network, data, spec, device)
    return float((predicted == data.decoded().hard_labels.cpu()).double().mean())
