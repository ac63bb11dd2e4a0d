"""Images in memory as a PyTorch data set, and the way back from an Avalanche data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from clbench.types import ImageSpec, LabelledImages


class TensorImages(Dataset[tuple[Tensor, int]]):
    """`LabelledImages` as a data set of normalised images and class indices.

    Indexing gives what a stock data loader needs; code that knows this class takes ``data`` and
    works on whole batches.

    Attributes:
        data: uint8 or float32 images, decoded where they were packed.
        spec: what they look like.
        targets: N class indices (soft labels: the largest entry).
    """

    def __init__(self, data: LabelledImages, spec: ImageSpec) -> None:
        self.data = data
        self.spec = spec
        self.targets: list[int] = self.data.hard_labels.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.spec.normalise(self.data.images[index]), self.targets[index]


def tensors_of(dataset: Any) -> LabelledImages | None:
    """The images below an Avalanche data set, as stored, in its order.

    Args:
        dataset: a `TensorImages`, or an Avalanche data set made of some by taking subsets and
            concatenating.

    Returns:
        uint8 images, or float32 on the 0..1 scale if any leaf holds such; hard labels unless every
        leaf holds soft ones. None where another kind of data set, or a transformation (which this
        would bypass), lies below, or where there are no images.
    """
    return _gather(dataset, None)


def _gather(node: Any, positions: Tensor | None) -> LabelledImages | None:
    if isinstance(node, TensorImages):
        return node.data if positions is None else node.data.select(positions)
    # An Avalanche data set is a tree of FlatData; neither class has a public way to its leaves.
    if hasattr(node, "_flat_data"):
        return _gather(node._flat_data, positions)
    if not hasattr(node, "_datasets") or not hasattr(node, "_indices") or _transforms(node):
        return None
    if node._indices is not None:
        own = torch.tensor(list(node._indices), dtype=torch.int64)
        positions = own if positions is None else own[positions]
    return _concatenated(node._datasets, positions)


def _transforms(node: Any) -> bool:
    groups = (getattr(node, f"_{kind}transform_groups", None) for kind in ("", "frozen_"))
    steps = (step for group in groups if group for step in group.transform_groups.values())
    return any(step is not None for step in steps)


def _concatenated(children: Sequence[Any], positions: Tensor | None) -> LabelledImages | None:
    if positions is None:
        return _joined([_gather(child, None) for child in children])
    ends = torch.tensor([len(child) for child in children]).cumsum(0)
    owner = torch.searchsorted(ends, positions, right=True)
    parts, order = [], []
    for number, child in enumerate(children):
        mine = (owner == number).nonzero().flatten()
        if len(mine):
            start = ends[number] - len(child)
            parts.append(_gather(child, positions[mine] - start))
            order.append(mine)
    joined = _joined(parts)
    return None if joined is None else joined.select(torch.cat(order).argsort())


def _joined(parts: Sequence[LabelledImages | None]) -> LabelledImages | None:
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    if len(known) == 1:
        return known[0]
    as_float = any(part.images.dtype == torch.float32 for part in known)
    as_soft = all(part.labels.ndim == 2 for part in known)
    return LabelledImages.concatenate(
        [
            LabelledImages(
                part.images.float() / 255
                if as_float and part.images.dtype == torch.uint8
                else part.images,
                part.labels if as_soft else part.hard_labels,
            )
            for part in known
        ]
    )
