"""How classes and images are dealt: pure functions of labels, numbers and generators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from clbench.data import groups as grouping
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


Name = Callable[[int], str]
"""Of a class, as messages show it."""


def deal_by(order: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Deal classes in order, to each experience as many as ``sizes`` says."""
    ends = [sum(sizes[:k]) for k in range(len(sizes) + 1)]
    return tuple(order[a:b] for a, b in zip(ends, ends[1:], strict=False))


def hold_out(labels: Tensor, fraction: float, draw: torch.Generator, name: Name = str) -> Tensor:
    """(N,) True for the images held out: ``fraction`` of each class, rounded.

    Of a class that is too small for that, one is held out, or all but one; of a class of one image,
    none.

    Args:
        labels: (N,) classes.
        fraction: 0 holds out nothing.
        draw: decides which images.
        name: of a class, for messages.

    Raises:
        InputError: every class is too small.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    if fraction == 0:
        return held
    small = None
    fits = False
    for label, members in members_of(labels).items():
        num = round(fraction * len(members))
        if 0 < num < len(members):
            fits = True
        elif small is None:
            small = label, len(members), num
        num = min(max(1, num), len(members) - 1)
        held[_drawn(members, num, draw)] = True
    if small is not None and not fits:
        label, there, num = small
        raise InputError(
            f"validation_fraction: expected one that holds out 1 to {max(1, there - 1)} of the "
            f"{there} training images of {name(label)}, found {fraction:g}, which holds out {num}"
        )
    return held


def hold_out_groups(
    labels: Tensor, groups: Tensor, fraction: float, draw: torch.Generator
) -> Tensor:
    """(N,) True for the images held out: whole groups, about ``fraction`` of each class.

    A class of one group has none held out; see `clbench.data.groups.hold_out`.
    """
    known = groups.unique()
    order = known[torch.randperm(len(known), generator=draw)]
    chosen = grouping.hold_out(labels.tolist(), groups.tolist(), fraction, order.tolist()).groups
    return torch.isin(groups, torch.tensor(sorted(chosen), dtype=groups.dtype))


def keep_per_class(labels: Tensor, num: int | None, draw: torch.Generator) -> Tensor:
    """(N,) True for ``num`` images of each class, or for all with None and of smaller classes.

    Raises:
        InputError: every class has fewer.
    """
    if num is None:
        return torch.ones(len(labels), dtype=torch.bool)
    kept = torch.zeros(len(labels), dtype=torch.bool)
    classes = members_of(labels)
    most = max(map(len, classes.values()), default=0)
    if num > most:
        raise InputError(
            f"train_per_class: expected at most {most}, the training images that the largest class "
            f"has, found {num}"
        )
    for members in classes.values():
        kept[_drawn(members, num, draw)] = True
    return kept


def members_of(labels: Tensor) -> dict[int, Tensor]:
    """Class -> positions of its images, both ascending."""
    classes, counts = labels.unique(return_counts=True)
    order = labels.argsort(stable=True)
    return dict(zip(classes.tolist(), order.split(counts.tolist()), strict=True))


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


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
        positions = there.nonzero().flatten()
        classes = [positions[members] for members in members_of(labels[there]).values()]
        smallest = min(map(len, classes), default=0)
        for members in classes:
            chosen[_drawn(members, smallest, draw)] = True
    return chosen


def _drawn(members: Tensor, num: int, draw: torch.Generator) -> Tensor:
    return members[torch.randperm(len(members), generator=draw)[:num]]
