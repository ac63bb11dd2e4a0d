"""Many images are learnt in blocks, because solving grows with the cube of their number.

Memory grows with its square: a support of 10,000 images takes 20 GiB and more at once.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from clbench.codecs.scaling import as_floats
from clbench.distillation.kernel.settings import KernelSettings
from clbench.distillation.kernel.updates import KernelUpdates
from clbench.distillation.protocol import Job
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.starting import start_images
from clbench.types import LabelledImages, positions_by_class

MOST_LEARNT = 4000  # images of a block; with 1,000 of memory beside them 2 GiB


def num_blocks(num_images: int) -> int:
    """Return how many blocks so many images are learnt in."""
    return max(1, math.ceil(num_images / MOST_LEARNT))


def blocks_of(labels: Tensor) -> list[Tensor]:
    """Return the positions of each block, ascending: every class is dealt out evenly."""
    num = num_blocks(len(labels))
    dealt = torch.empty(len(labels), dtype=torch.int64)
    first = 0  # goes on from class to class, so that no block is larger than it must be
    for members in positions_by_class(labels).values():
        dealt[members] = (first + torch.arange(len(members))) % num
        first += len(members)
    return [(dealt == block).nonzero().flatten() for block in range(num)]


class KernelBlocks:
    """One distillation under way: its blocks, each learnt by itself beside the same memory.

    Attributes:
        notes: what the report must say.
        num_done: updates of every block.
    """

    def __init__(self, config: DistillationConfig, job: Job) -> None:
        """Choose the images to start from."""
        self.settings = config.own(KernelSettings)
        real = job.real.to(job.device)
        start = start_images(config, real, job.spec, job.counts, job.codec, job.generator)
        start = LabelledImages(as_floats(start.images), start.hard_labels)
        self._places = blocks_of(start.hard_labels.cpu())
        here = [place.to(start.images.device) for place in self._places]
        self.blocks = [KernelUpdates(config, job, start.select(place)) for place in here]
        notes = [block.note for block in self.blocks]
        if len(self.blocks) > 1:
            sizes = f"{len(self.blocks)} blocks of at most {MOST_LEARNT:,}"
            notes.append(f"{len(start):,} images were learnt in {sizes}, each by itself")
        self.notes = list(dict.fromkeys(note for note in notes if note))

    @property
    def num_done(self) -> int:
        """Updates of every block."""
        return self.blocks[-1].num_done

    def updates(self) -> Iterator[float]:
        """Make the updates that are left; yield the mean loss of each."""
        while self.num_done < self.settings.num_updates:
            yield statistics.fmean(block.update() for block in self.blocks)

    def state_dict(self) -> dict[str, Any]:
        """Between two updates this is all there is."""
        return {"blocks": [block.state_dict() for block in self.blocks]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        for block, values in zip(self.blocks, state["blocks"], strict=True):
            block.load_state_dict(values)

    def result(self) -> LabelledImages:
        """Return what has been distilled so far, in the codec's grid, on the CPU."""
        every = LabelledImages.concatenate([block.result() for block in self.blocks])
        return every.select(torch.cat(self._places).argsort())
