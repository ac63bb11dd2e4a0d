"""What a distilled memory hands to its distiller, and what it records of it."""

from __future__ import annotations

import pytest
import torch

from clbench.distillation import Job, Update
from clbench.distillation.selection.distiller import RandomSelection
from clbench.memory import DistillationRecord, DistilledMemory
from clbench.types import LabelledImages
from tests import tiny_stream
from tests.telling import ALONE, LOSSES, SAVED, Telling
from tests.tiny_stream import SPEC


def classes(*wanted: int) -> LabelledImages:
    return tiny_stream.prototypes(20, 1).of_class(*wanted)


def test_a_distiller_is_given_what_memory_holds_of_other_classes() -> None:
    distiller = Telling()
    memory = DistilledMemory(distiller, SPEC, images_per_class=2, codec="tiles:factor=2")
    memory.observe(classes(0, 1))
    held = memory.contents()
    memory.observe(classes(2))
    memory.observe(classes(1, 3))
    first, second, third = distiller.known[0], distiller.known[1], distiller.known[2:]
    assert first is None
    assert second is not None and second.images.shape[1:] == SPEC.shape
    assert torch.equal(second.images, held.images) and torch.equal(second.labels, held.labels)
    assert len(third) == 1 and third[0] is not None and third[0].classes == (0, 2)
    # 1 comes back and keeps half of its images; a label takes 6 bytes, an image 16.
    assert distiller.counts[-1] == {1: 3, 3: 6}


def test_other_distillers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Job] = []
    distill = RandomSelection.distill

    def listen(self: RandomSelection, job: Job) -> LabelledImages:
        given.append(job)
        return distill(self, job)

    monkeypatch.setattr(RandomSelection, "distill", listen)
    memory = DistilledMemory(RandomSelection(), SPEC, images_per_class=2)
    memory.observe(classes(0, 1))
    memory.observe(classes(2, 3))
    assert len(given) == 2 and all(job.known is None for job in given)


def test_the_record_holds_curves_notes_and_the_seconds_of_the_original_work() -> None:
    heard: list[Update] = []
    memory = DistilledMemory(Telling(), SPEC, images_per_class=2, on_update=heard.append)
    memory.observe(classes(0))
    memory.observe(classes(1, 2))
    alone, record = memory.distillations
    assert (alone.losses, alone.scalars, alone.notes) == ((), {}, (ALONE,))
    assert alone.seconds < SAVED
    assert record.losses == LOSSES and record.notes == ()
    assert record.scalars == {"step_size": (0.03, 0.015, 0.03 / 3)}
    assert SAVED <= record.seconds < SAVED + 5
    assert [(u.phase, u.number) for u in heard[1:]] == [
        ("experts", 1), ("experts", 2), ("distil", 1), ("distil", 2), ("distil", 3),
    ]  # fmt: skip
    assert heard[-1].images is not None


def test_the_state_holds_them_too() -> None:
    memory = DistilledMemory(Telling(), SPEC, images_per_class=2)
    memory.observe(classes(0))
    memory.observe(classes(1, 2))
    other = DistilledMemory(Telling(), SPEC, images_per_class=2)
    other.load_state_dict(memory.state_dict())
    assert other.distillations == memory.distillations


def test_a_state_of_before_there_were_curves() -> None:
    values = {"losses": [1.0, 0.5], "flops": 2.0, "seconds": 3.0, "from_cache": True}
    assert DistillationRecord.from_dict(values) == DistillationRecord((1.0, 0.5), 2.0, 3.0, True)


class Growing(RandomSelection):
    """Learnt images, as it were, that take more bytes than real ones."""

    ordered = False

    def distill(self, job: Job) -> LabelledImages:
        made = super().distill(job).as_floats()
        noise = torch.rand(made.images.shape, generator=job.generator)
        return LabelledImages((made.images > 0.5) * 1.0 if self.calm else noise, made.labels)

    calm = False


class Calm(Growing):
    calm = True


@pytest.mark.parametrize("kind", [Growing, Calm])
def test_learnt_images_that_outgrow_their_share_are_dropped_and_that_is_said(
    kind: type[Growing],
) -> None:
    memory = DistilledMemory(kind(), SPEC, capacity_bytes=6 * 40, codec="levels:side=8,levels=2")
    memory.observe(classes(0, 1))
    (record,) = memory.distillations
    assert max(memory.records[-1].bytes_per_class.values()) <= 40
    said = [note for note in record.notes if "learnt images were dropped" in note]
    assert len(said) == (kind is Growing)
