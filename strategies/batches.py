"""Mini-batches cut from tensors: whole batches are indexed, normalised and augmented at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.distillation.augmentation import augment
from clbench.training import batches
from clbench.types import ImageSpec, LabelledImages, positions_by_class


def balanced_plan(
    labels: Tensor, num_batches: int, batch_size: int, generator: torch.Generator
) -> Tensor:
    """Which images go into each of ``num_batches`` class-balanced batches.

    Every batch holds batch_size // K images of each of the K classes; the places that are left go
    to different classes, drawn anew for each batch. Each class deals its images in random order and
    reshuffles when none is left, so a class of any size, down to one image, fills its places and no
    image is used twice more than another.

    Args:
        labels: (N,) int64 on the CPU.
        num_batches: S.
        batch_size: B.
        generator: the only source of randomness.

    Returns:
        (S, B) int64 positions.
    """
    classes = labels.unique()
    num = len(classes)
    equal = torch.arange(num).repeat(batch_size // num).expand(num_batches, -1)
    order = torch.rand(num_batches, num, generator=generator).argsort(1)
    dealt = torch.cat([equal, order[:, : batch_size % num]], dim=1)
    plan = torch.empty_like(dealt).flatten()
    # From one sort each: a look at every place for every class is the square of a memory.
    by_class, places_of = positions_by_class(labels), positions_by_class(dealt.flatten())
    for c, places in places_of.items():
        members, wanted = by_class[int(classes[c])], len(places)
        rounds = math.ceil(wanted / len(members))
        decks = torch.rand(rounds, len(members), generator=generator).argsort(1)
        plan[places] = members[decks.flatten()[:wanted]]
    return plan.view_as(dealt)


@dataclass
class MemoryBatches:
    """Memory images that join every training batch.

    Attributes:
        images: (M, C, H, W) decoded and normalised, on the device.
        labels: (M,) int64 or (M, K) soft, on the device.
        batch_size: how many join each batch.
        generator: the only source of randomness; not shared with the current data's order.
    """

    images: Tensor
    labels: Tensor
    batch_size: int
    generator: torch.Generator

    def plan(self, num_batches: int) -> Tensor:
        """(num_batches, batch_size) positions on the device."""
        hard = self.labels if self.labels.ndim == 1 else self.labels.argmax(1)
        plan = balanced_plan(hard.cpu(), num_batches, self.batch_size, self.generator)
        return plan.to(self.images.device)


class TensorBatches:
    """What an Avalanche strategy iterates: one pass gives batches ``[images, labels, tasks]``.

    Images are normalised float32 on the data's device; the last batch of a pass may be smaller
    (but not of one image: that one joins the batch before it).
    Task labels are 0: clbench's streams have a single head.

    Attributes:
        positions: where in memory the images lie that joined the last batch; None without memory.
    """

    def __init__(
        self,
        data: LabelledImages,
        spec: ImageSpec,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        memory: MemoryBatches | None = None,
        augmentation: str = "none",
        augmentation_generator: torch.Generator | None = None,
    ) -> None:
        """Set up the passes.

        Args:
            data: unpacked uint8 or float images with hard labels, on the device to train on.
            spec: how to normalise.
            batch_size: images of ``data`` per batch.
            generator: order of each pass; without one the images come in stored order.
            memory: images appended to every batch.
            augmentation: DSA operations applied to the whole batch, checked already.
            augmentation_generator: needed with an augmentation other than "none".
        """
        self.data, self.spec, self.batch_size = data, spec, batch_size
        self.generator, self.memory = generator, memory
        self.augmentation, self.augmentation_generator = augmentation, augmentation_generator
        self.positions: Tensor | None = None
        self._starts: list[Tensor | None] = []
        self._num_given = self._skip = 0

    def state_dict(self) -> dict[str, Any]:
        """In the middle of a pass, between two batches: from where `load_state_dict` goes on."""
        return {
            "starts": self._starts,
            "num_given": self._num_given,
            "augmentation": _state_of(self.augmentation_generator),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next pass the rest of the one that `state_dict` was taken in."""
        for rng, start in zip(self._orders, state["starts"], strict=True):
            if rng is not None:
                rng.set_state(start)
        if self.augmentation_generator is not None:
            self.augmentation_generator.set_state(state["augmentation"])
        self._starts = state["starts"]
        self._num_given = self._skip = state["num_given"]

    @property
    def _orders(self) -> list[torch.Generator | None]:
        """The generators that a pass draws from at its start, and not later."""
        return [self.generator, None if self.memory is None else self.memory.generator]

    def __len__(self) -> int:
        return len(batches(torch.arange(len(self.data)), self.batch_size))

    def __iter__(self) -> Iterator[list[Tensor]]:
        self._starts = [_state_of(rng) for rng in self._orders]
        self._num_given, self._skip = self._skip, 0
        if self.generator is None:
            order = torch.arange(len(self.data))
        else:
            order = torch.randperm(len(self.data), generator=self.generator)
        pieces = batches(order.to(self.data.images.device), self.batch_size)
        plan = None if self.memory is None else self.memory.plan(len(pieces))
        for step in range(self._num_given, len(pieces)):
            index = pieces[step]
            images = self.spec.normalise(self.data.images[index])
            labels = self.data.labels[index]
            if self.memory is not None and plan is not None:
                self.positions = plan[step]
                images = torch.cat([images, self.memory.images[self.positions]])
                labels = _joined(labels, self.memory.labels[self.positions])
            if self.augmentation != "none":
                assert self.augmentation_generator is not None
                images = augment(images, self.augmentation, self.augmentation_generator)
            tasks = labels.new_zeros(1, dtype=torch.int64).expand(len(labels))
            self._num_given = step + 1
            yield [images, labels, tasks]


def _state_of(rng: torch.Generator | None) -> Tensor | None:
    return None if rng is None else rng.get_state()


def _joined(labels: Tensor, memory: Tensor) -> Tensor:
    if memory.ndim == 2:
        labels = F.one_hot(labels, memory.shape[1]).to(memory.dtype)
    return torch.cat([labels, memory])
