"""What is kept of what a distiller tells."""

from __future__ import annotations

import torch

from clbench.distillation import Update
from clbench.distillation.updates import UpdateLog
from clbench.types import LabelledImages

IMAGES = LabelledImages(torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64))
TOLD = [
    Update(1, 1, 9.0, "experts", scalars={"accuracy": 0.5}, seconds_saved=3.0, note="old experts"),
    Update(0, 0, 0.0, note="few images"),
    Update(1, 3, 0.5, scalars={"b": 1.0}, images=IMAGES, seconds_saved=3.0),
    Update(2, 3, 0.25, scalars={"b": 2.0, "late": 5.0}, note="few images"),
    Update(3, 3, 0.125),
]


def test_curves_are_those_of_the_images() -> None:
    heard: list[Update] = []
    log = UpdateLog(heard.append)
    for update in TOLD:
        log(update)
    assert log.losses == [0.5, 0.25, 0.125]
    assert log.scalars == {"b": [1.0, 2.0], "late": [5.0]}
    assert log.notes == ["old experts", "few images"]
    assert log.seconds_saved == 3.0
    assert heard == TOLD and heard[2].images is IMAGES


def test_what_it_keeps_tells_the_same_again() -> None:
    first, second = UpdateLog(), UpdateLog()
    for update in TOLD:
        first(update)
    for update in first.told:
        assert update.images is None and update.phase == "distil"
        second(update)
    for name in ("losses", "scalars", "notes"):
        assert getattr(second, name) == getattr(first, name)


def test_nothing_told_leaves_nothing() -> None:
    log = UpdateLog()
    assert (log.losses, log.scalars, log.notes, log.seconds_saved) == ([], {}, [], 0.0)
