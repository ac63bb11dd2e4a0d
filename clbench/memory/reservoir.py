"""Reservoir sampling: a uniform sample of the whole stream, blind to classes and experiences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clbench.memory.books import ImageMemory
from clbench.packing import pack
from clbench.seeding import generator
from clbench.types import LabelledImages


class ReservoirMemory(ImageMemory):
    """Algorithm R (Vitter, "Random Sampling with a Reservoir", ACM TOMS 1985) over slots.

    The unit of sampling is what fills one slot: an image, or with packing F a random group of F x F
    images of one class of one experience (up to F * F - 1 images of a class, drawn at random, find
    no group and are passed over). After any number of experiences every unit seen is held with the
    same probability. Unlike `DistilledMemory` it is full from the first experience on, as is usual
    for a reservoir; both hold the same bytes at the end of the stream. ``images_per_class`` only
    sets the capacity. Growing it by `resize` once units were turned away favours later ones.
    """

    num_units = 0

    def _condense(self, data: LabelledImages) -> LabelledImages:
        rng = generator(self.seed, "reservoir", self.num_experiences)
        units = self._units(data.hard_labels, rng)
        # Slots are kept sorted by class, which moves them between places; that changes nothing,
        # because the place a new unit takes is drawn uniformly whatever lies there.
        position = torch.arange(len(units))
        draws = torch.rand(len(units), generator=rng, dtype=torch.float64)
        place = (draws * (self.num_units + position + 1)).long()
        num_held = len(self._held)
        filling = position < self.max_size - num_held
        place[filling] = num_held + position[filling]
        winner = torch.full((self.max_size,), -1, dtype=torch.int64)
        for unit in (place < self.max_size).nonzero().flatten().tolist():
            winner[place[unit]] = unit
        self.num_units += len(units)
        parts = [self._held.select(winner[:num_held] < 0)]
        chosen = winner[winner >= 0]
        if len(chosen):
            parts.append(self._packed(data, units[chosen]))
        return LabelledImages.concatenate(parts)

    def _units(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """(M, F * F) positions of the images of each unit, units in random order."""
        size = self.packing**2
        parts = []
        for c in labels.unique():
            members = (labels == c).nonzero().flatten()
            members = members[torch.randperm(len(members), generator=rng)]
            parts.append(members[: len(members) // size * size].view(-1, size))
        units = torch.cat(parts)
        return units[torch.randperm(len(units), generator=rng)]

    def _packed(self, data: LabelledImages, units: Tensor) -> LabelledImages:
        chosen = data.select(units.flatten())
        if self.packing == 1:
            return self.stored(chosen)
        pixels = chosen.images if chosen.images.is_floating_point() else chosen.images / 255
        labels = chosen.labels[:: self.packing**2]
        return self.stored(LabelledImages(pack(pixels, self.packing), labels, self.packing))

    def _shrunk(self) -> LabelledImages:
        # A uniform subset of a uniform sample is one too.
        rng = generator(self.seed, "resize", self.num_experiences)
        order = torch.randperm(len(self._held), generator=rng)[: self.max_size]
        return self._held.select(order.sort().values)

    def state_dict(self) -> dict[str, Any]:
        """See `ImageMemory.state_dict`; also the number of units seen."""
        return {**super().state_dict(), "num_units": self.num_units}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ImageMemory.load_state_dict`."""
        super().load_state_dict(state)
        self.num_units = state["num_units"]
