"""Reservoir sampling: a uniform sample of the whole stream, blind to classes and experiences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clbench.codecs.fitting import largest_that_fits
from clbench.coded import CodedImages, in_grid
from clbench.memory.books import ImageMemory
from clbench.seeding import generator
from clbench.types import LabelledImages


class ReservoirMemory(ImageMemory):
    """A uniform sample of all images seen, in as many bytes as the other memories have.

    Where every image takes the same bytes: Algorithm R (Vitter, "Random Sampling with a
    Reservoir", ACM TOMS 1985). Otherwise every image is given a random key when it is seen, and
    those of the lowest keys stay, as many as fit (Efraimidis & Spirakis, "Weighted random sampling
    with a reservoir", 2006, with equal weights); a key above one that was ever turned away is
    turned away too, so that the sample stays uniform when its size changes.

    Unlike `DistilledMemory` it is full from the first experience on, as is usual for a reservoir;
    both hold the same bytes at the end of the stream. ``images_per_class`` only sets the capacity.
    Growing it by `resize` once images were turned away favours later ones.
    """

    num_images_seen = 0
    highest_key = 1.0  # of an image that may stay
    keys: Tensor | None = None  # of the images held, in their order

    @property
    def _places(self) -> int | None:
        share = self.images_per_share
        return None if share is None else share * self.spec.num_classes

    def _condense(self, data: LabelledImages) -> LabelledImages:
        rng = generator(self.seed, "reservoir", self.num_experiences)
        order = self._order(data.hard_labels, rng)
        places = self._places
        if places is None:
            return self._lowest_keys(data, order, rng)
        return self._algorithm_r(data, order, rng, places)

    def _order(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """The order in which images are met: classes shuffled among themselves, then all."""
        parts = []
        for c in labels.unique():
            members = (labels == c).nonzero().flatten()
            parts.append(members[torch.randperm(len(members), generator=rng)])
        order = torch.cat(parts)
        return order[torch.randperm(len(order), generator=rng)]

    def _algorithm_r(
        self, data: LabelledImages, order: Tensor, rng: torch.Generator, places: int
    ) -> LabelledImages:
        # Images are kept sorted by class, which moves them between places; that changes nothing,
        # because the place a new one takes is drawn uniformly whatever lies there.
        held = self._held.grid
        position = torch.arange(len(order))
        draws = torch.rand(len(order), generator=rng, dtype=torch.float64)
        place = (draws * (self.num_images_seen + position + 1)).long()
        filling = position < places - len(held)
        place[filling] = len(held) + position[filling]
        winner = torch.full((places,), -1, dtype=torch.int64)
        for one in (place < places).nonzero().flatten().tolist():
            winner[place[one]] = one
        self.num_images_seen += len(order)
        parts = [held.select(winner[: len(held)] < 0)]
        chosen = winner[winner >= 0]
        if len(chosen):
            parts.append(self._in_grid(data.select(order[chosen])))
        return LabelledImages.concatenate(parts)

    def _lowest_keys(
        self, data: LabelledImages, order: Tensor, rng: torch.Generator
    ) -> LabelledImages:
        held = self._held.grid
        drawn = torch.rand(len(order), generator=rng, dtype=torch.float64)
        self.num_images_seen += len(order)
        low = drawn < self.highest_key
        fresh = self._in_grid(data.select(order[low]))
        kept = torch.zeros(0, dtype=torch.float64) if self.keys is None else self.keys
        candidates = LabelledImages.concatenate([held, fresh])
        keys = torch.cat([kept, drawn[low]])
        return self._as_many_as_fit(candidates, keys)

    def _as_many_as_fit(self, candidates: LabelledImages, keys: Tensor) -> LabelledImages:
        by_key = keys.argsort(stable=True)

        def fits(n: int) -> bool:
            return self._fits(candidates.select(by_key[:n].sort().values))

        num = largest_that_fits(len(by_key) + 1, fits, step=32)
        if num < len(by_key):
            self.highest_key = float(keys[by_key[num]])
        chosen = by_key[:num].sort().values
        # `_hold` sorts by class, stably; the keys go along.
        chosen = chosen[candidates.hard_labels[chosen].argsort(stable=True)]
        self.keys = keys[chosen]
        return candidates.select(chosen)

    def _fits(self, grid: LabelledImages) -> bool:
        coded = CodedImages.of(grid, self.codec, self.spec.shape, self._held)
        return coded.num_bytes <= self.max_size

    def _in_grid(self, data: LabelledImages) -> LabelledImages:
        """Not rounded yet, but of the type of those held."""
        found = in_grid(data, self.codec, self.spec.shape)
        return found.as_floats() if self._held.grid.images.is_floating_point() else found

    def _shrunk(self) -> LabelledImages:
        held, places = self._held.grid, self._places
        if places is None:
            keys = torch.zeros(0, dtype=torch.float64) if self.keys is None else self.keys
            return self._as_many_as_fit(held, keys)
        # A uniform subset of a uniform sample is one too.
        rng = generator(self.seed, "resize", self.num_experiences)
        order = torch.randperm(len(held), generator=rng)[:places]
        return held.select(order.sort().values)

    def state_dict(self) -> dict[str, Any]:
        """See `ImageMemory.state_dict`; also the number of images seen, and the keys."""
        keys = None if self.keys is None else self.keys.clone()
        more = {"num_images_seen": self.num_images_seen, "highest_key": self.highest_key}
        return {**super().state_dict(), **more, "keys": keys}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ImageMemory.load_state_dict`."""
        super().load_state_dict(state)
        self.num_images_seen, self.highest_key = state["num_images_seen"], state["highest_key"]
        self.keys = None if state["keys"] is None else state["keys"].clone()
