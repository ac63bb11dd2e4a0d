"""Real images beside distilled ones, in one share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clbench.config import DistillationConfig, MemoryConfig, NetworkConfig
from clbench.distillation import Job
from clbench.distillation.selection.distiller import Herding
from clbench.errors import InputError
from clbench.memory import DistilledMemory
from clbench.run import run
from clbench.types import LabelledImages
from tests import tiny_stream
from tests.distilling import changed, distillation
from tests.tiny_stream import SPEC


def classes(*wanted: int, num: int = 20) -> LabelledImages:
    return tiny_stream.prototypes(num, 1).of_class(*wanted)


def kip(**changes: Any) -> DistillationConfig:
    network = NetworkConfig("convnet", width=4, depth=2, norm="instance")
    return changed(DistillationConfig("kip", network), num_updates=3, batch_real=10, **changes)


class Grey:
    """Learns grey images, and hears what it is given."""

    uses_known = uses_own = True

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def distill(self, job: Job) -> LabelledImages:
        self.jobs.append(job)
        labels = torch.tensor([c for c, num in job.counts.items() for _ in range(num)])
        return LabelledImages(torch.full((len(labels), *SPEC.shape), 0.5), labels)

    def flops(self, spec: Any, workload: Any) -> float:
        return 0.0


def is_grey(images: LabelledImages) -> list[bool]:
    return [float(image.float().std()) == 0 for image in images.images]


@pytest.mark.parametrize(("part", "num_real"), [(0.0, 0), (0.25, 1), (0.5, 2), (0.9, 3)])
def test_a_part_of_each_share_is_real(part: float, num_real: int) -> None:
    grey = Grey()
    memory = DistilledMemory(grey, SPEC, images_per_class=4, real_share=part)
    memory.observe(classes(0, 1))
    memory.observe(classes(2, 3))
    for c in range(4):
        mine = memory.contents().of_class(c)
        assert is_grey(mine) == [False] * num_real + [True] * (4 - num_real)
    assert memory.records[-1].num_bytes == 16 * SPEC.image_bytes
    # Real ones are those that herding would choose first.
    alone = DistilledMemory(Herding(), SPEC, images_per_class=4)
    alone.observe(classes(0, 1))
    chosen = alone.contents().of_class(0).images[:num_real]
    assert torch.equal(memory.contents().of_class(0).images[:num_real], chosen)
    # The distiller knows of them, and of what memory held.
    first, second = (job.known for job in grey.jobs)
    assert (first is None) == (num_real == 0)
    assert second is not None and len(second) == 8 + 2 * num_real


def test_a_class_that_comes_back_keeps_within_its_share() -> None:
    memory = DistilledMemory(Grey(), SPEC, images_per_class=4, real_share=0.5)
    for wanted in ((0, 1), (1, 2), (1,)):
        memory.observe(classes(*wanted))
        assert all(num <= 4 for num in memory.records[-1].per_class.values())
        assert memory.records[-1].num_bytes <= 4 * 6 * SPEC.image_bytes


@pytest.mark.parametrize("codec", ["raw", "float32", "levels:side=4,levels=2", "tiles:factor=2"])
def test_every_codec_holds_both_within_the_share(codec: str) -> None:
    memory = DistilledMemory(kip(), SPEC, capacity_bytes=6 * 256, codec=codec, real_share=0.5)
    memory.observe(classes(0, 1))
    assert memory.contents().classes == (0, 1)
    assert all(size <= 256 for size in memory.records[-1].bytes_per_class.values())


def test_a_run_of_it_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)
    memory = MemoryConfig(images_per_class=4, real_share=0.5)
    config = tiny_stream.config("dm_replay", memory=memory)
    one, other = (run(config, use_cache=False).to_dict() for _ in range(2))
    assert {**one, "measured": {}} == {**other, "measured": {}}
    assert one["memory"][-1]["num_bytes"] == 6 * 4 * 64
    assert one["config"]["memory"]["real_share"] == 0.5


def test_a_memory_of_real_images_has_them_once() -> None:
    """Herded images beside herded ones would be the same."""
    held = []
    for part in (0.0, 0.5):
        memory = DistilledMemory(Herding(), SPEC, images_per_class=4, real_share=part)
        memory.observe(classes(0, 1))
        held.append(memory.contents())
    assert held[0].equals(held[1])


def test_soft_labels_and_shares_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="distiller of hard labels"):
        DistilledMemory(distillation("pad"), SPEC, images_per_class=4, real_share=0.5)
    for share in (-0.1, 1.0):
        with pytest.raises(InputError, match="real_share: expected 0 up to but not 1"):
            DistilledMemory(Grey(), SPEC, images_per_class=4, real_share=share)
        with pytest.raises(InputError, match="real_share: expected 0 up to but not 1"):
            MemoryConfig(real_share=share)
