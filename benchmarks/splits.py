"""How classes and images are dealt: pure functions of labels, numbers and generators."""

from __future__ import annotations

import torch
from torch import Tensor

from clbench.errors import InputError

# Split MNIST's; the field's usual number.
_USUAL_EXPERIENCES = 5


def deal(
    order: tuple[int, ...], num_experiences: int | None, what: str = "class"
) -> tuple[tuple[int, ...], ...]:
    """Deal classes, or levels, in order to experiences, as evenly as they go; the first get more.

    Args:
        order: what is dealt.
        num_experiences: T; None is 5, or as many as there are classes where they are fewer.
        what: is dealt, for the message.

    Raises:
        InputError: fewer classes than experiences.
    """
    if num_experiences is None:
        num_experiences = min(_USUAL_EXPERIENCES, len(order))
    if not 1 <= num_experiences <= len(order):
        raise InputError(
            f"num_experiences: expected 1 to {len(order)}, one {what} in each at least, found "
            f"{num_experiences}"
        )
    size, more = divmod(len(order), num_experiences)
    ends = [size * k + min(k, more) for k in range(num_experiences + 1)]
    return tuple(order[a:b] for a, b in zip(ends, ends[1:], strict=False))


def deal_by(order: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Deal classes in order, to each experience as many as ``sizes`` says."""
    ends = [sum(sizes[:k]) for k in range(len(sizes) + 1)]
    return tuple(order[a:b] for a, b in zip(ends, ends[1:], strict=False))


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


def undersample(labels: Tensor, groups: Tensor, kept: Tensor, draw: torch.Generator) -> Tensor:
    """(N,) True for as many images of each class as its group's smallest class has.

    Args:
        labels: (N,) classes.
        groups: (N,) which images are to be balanced against each other.
        kept: (N,) True for the images there are; the others neither count nor come back.
        draw: decides who is dropped.
    """
    chosen = torch.zeros_like(kept)
    for group in groups.unique():
        there = kept & (groups == group)
        classes = [(there & (labels == c)).nonzero().flatten() for c in labels[there].unique()]
        smallest = min(map(len, classes), default=0)
        for members in classes:
            chosen[_drawn(members, smallest, draw)] = True
    return chosen


def _drawn(members: Tensor, num: int, draw: torch.Generator) -> Tensor:
    return members[torch.randperm(len(members), generator=draw)[:num]]
