"""How classes and images are dealt: pure functions of labels, numbers and generators."""

from __future__ import annotations

import torch
from torch import Tensor

from clbench.types import InputError


def deal(class_order: tuple[int, ...], num_experiences: int) -> tuple[tuple[int, ...], ...]:
    """Deal classes in order to experiences, as evenly as they go; the first get one more.

    Raises:
        InputError: fewer classes than experiences.
    """
    num_classes = len(class_order)
    if not 1 <= num_experiences <= num_classes:
        raise InputError(
            f"num_experiences: expected 1 to {num_classes}, one class in each at least, found "
            f"{num_experiences}"
        )
    size, more = divmod(num_classes, num_experiences)
    ends = [size * k + min(k, more) for k in range(num_experiences + 1)]
    return tuple(class_order[a:b] for a, b in zip(ends, ends[1:], strict=False))


def hold_out(labels: Tensor, fraction: float, draw: torch.Generator) -> Tensor:
    """(N,) True for the images held out: ``fraction`` of each class, rounded.

    Raises:
        InputError: a class would hold out no image, or all.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    if fraction == 0:
        return held
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        num = round(fraction * len(members))
        if not 0 < num < len(members):
            raise InputError(
                f"validation_fraction: expected one that holds out 1 to {len(members) - 1} of the "
                f"{len(members)} training images of a class, found {fraction:g}, which holds out "
                f"{num}"
            )
        held[_drawn(members, num, draw)] = True
    return held


def keep_per_class(labels: Tensor, num: int | None, draw: torch.Generator) -> Tensor:
    """(N,) True for ``num`` images of each class, or for all with None.

    Raises:
        InputError: a class has fewer.
    """
    if num is None:
        return torch.ones(len(labels), dtype=torch.bool)
    kept = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        if num > len(members):
            raise InputError(
                f"train_per_class: expected at most {len(members)}, the training images that a "
                f"class has, found {num}"
            )
        kept[_drawn(members, num, draw)] = True
    return kept


def _drawn(members: Tensor, num: int, draw: torch.Generator) -> Tensor:
    return members[torch.randperm(len(members), generator=draw)[:num]]
