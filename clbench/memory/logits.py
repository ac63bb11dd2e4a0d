"""A reservoir that keeps, beside each image, the logits that a network gave it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from clbench.coded import CodedImages
from clbench.errors import InputError
from clbench.memory.books import MemoryRecord
from clbench.memory.reservoir import ReservoirMemory
from clbench.types import ImageSpec, LabelledImages

LOGIT_BYTES = 1  # of one logit
_BATCH = 512


class LogitsMemory(ReservoirMemory):
    """A uniform sample with a byte for each logit, charged like the images' streams.

    DER (Buzzega et al., "Dark Experience for General Continual Learning", NeurIPS 2020). An image's
    logits are those of the learner at the end of the experience that brought it, for the image as
    it is replayed. They are kept as whole steps of ``step``, -128 to 127 of them.

    The sample is by random keys whatever the codec (see `ReservoirMemory`), and an image's key
    finds its logits again when images move.
    """

    _places = None

    def __init__(self, spec: ImageSpec, *, step: float = 0.25, **capacity: Any) -> None:
        """See `ImageMemory`; ``step`` is the distance of two stored logits."""
        super().__init__(spec, **capacity)
        self.step = step
        self.label_bytes = LOGIT_BYTES * spec.num_classes
        self._check_capacity(int(self.max_size))
        self._levels = torch.zeros(0, spec.num_classes, dtype=torch.int8)
        self._network: nn.Module | None = None
        self._device = torch.device("cpu")

    @property
    def logits(self) -> Tensor:
        """(M, K) float32 logits of the images held, in the order of `contents`."""
        return self._levels.float() * self.step

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Take in an Avalanche experience with the logits of the strategy's ``model``."""
        self._network, self._device = agent_state.model, torch.device(agent_state.device)
        super().post_adapt(agent_state, exp)
        self._network = None

    def observe(self, data: LabelledImages) -> None:
        """See `ImageMemory.observe`.

        Raises:
            InputError: outside `post_adapt`, where no network gives logits.
        """
        if self._network is None:
            raise InputError("a memory of logits: expected a learner's network, found none")
        super().observe(data)

    def _hold(self, grid: LabelledImages) -> None:
        before = torch.zeros(0, dtype=torch.float64) if self._held_keys is None else self._held_keys
        super()._hold(grid)
        assert self.keys is not None
        self._levels = self._found_again(before, self.keys)
        self._held_keys = self.keys

    _held_keys: Tensor | None = None

    def _found_again(self, before: Tensor, keys: Tensor) -> Tensor:
        """Return the levels of images with ``keys``: those they had, or those of the network."""
        levels = torch.zeros(len(keys), self.spec.num_classes, dtype=torch.int8)
        order = before.argsort()
        place = torch.searchsorted(before[order], keys).clamp_max(max(len(before) - 1, 0))
        kept = before[order[place]] == keys if len(before) else torch.zeros_like(keys).bool()
        if len(before):
            levels[kept] = self._levels[order[place[kept]]]
        if not kept.all():
            levels[~kept] = self._levels_of(self.normalised()[0][~kept])
        return levels

    @torch.no_grad()
    def _levels_of(self, images_NCHW: Tensor) -> Tensor:
        network = self._network
        assert network is not None
        was_training = network.training
        network.eval()
        parts = [network(x.to(self._device)).cpu() for x in images_NCHW.split(_BATCH)]
        network.train(was_training)
        return (torch.cat(parts) / self.step).round().clamp(-128, 127).to(torch.int8)

    def _fits(self, grid: LabelledImages) -> bool:
        coded = CodedImages.of(grid, self.codec, self.spec.shape, self._held)
        return coded.num_bytes + self.label_bytes * len(grid) <= self.max_size

    def _record(self) -> MemoryRecord:
        images = super()._record()
        each = {c: self.label_bytes * num for c, num in images.per_class.items()}
        return replace(
            images,
            num_bytes=images.num_bytes + self.label_bytes * images.num_images,
            bytes_per_class={c: size + each[c] for c, size in images.bytes_per_class.items()},
        )

    def state_dict(self) -> dict[str, Any]:
        """See `ReservoirMemory.state_dict`; also the stored logits."""
        return {**super().state_dict(), "levels": self._levels.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ImageMemory.load_state_dict`."""
        super().load_state_dict(state)
        self._levels, self._held_keys = state["levels"].clone(), self.keys
