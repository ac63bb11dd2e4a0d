"""The cache of distilled sets: hits give the same, anything that matters makes a miss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from clbench.config import DistillationConfig, NetworkConfig
from clbench.memory import DistilledMemory, cache
from clbench.memory.cache import DistillationRecord
from clbench.types import LabelledImages
from tests import tiny_stream
from tests.tiny_stream import SPEC

DM = DistillationConfig(
    "dm",
    NetworkConfig("convnet", width=4, depth=2),
    num_networks=2,
    updates_per_network=2,
    learning_rate=1.0,
)


def distilled(directory: Path | bool, config: DistillationConfig = DM, **options: Any) -> Any:
    heard: list[tuple[int, int, float]] = []
    memory = DistilledMemory(
        config,
        SPEC,
        cache=directory,
        on_update=lambda *update: heard.append(update),
        **{"images_per_class": 2, "seed": 4, **options},
    )
    memory.observe(tiny_stream.prototypes(10, 1).of_class(0, 1))
    return memory, heard


def test_a_hit_gives_the_same_set_losses_and_seconds(tmp_path: Path) -> None:
    plain, plain_heard = distilled(False)
    first, first_heard = distilled(tmp_path)
    second, second_heard = distilled(tmp_path)
    assert torch.equal(first.contents().images, plain.contents().images)
    assert torch.equal(second.contents().images, plain.contents().images)
    assert plain_heard == first_heard == second_heard and len(plain_heard) == 4
    done, found = first.distillations[0], second.distillations[0]
    assert not done.from_cache and found.from_cache
    assert found.losses == done.losses and found.flops == done.flops > 0
    (file,) = tmp_path.glob("*.safetensors")
    _, metadata = LabelledImages.load(file)
    # The seconds of the work, not those of reading it back.
    assert found.seconds == float(metadata["seconds"]) <= done.seconds


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 5},
        {"images_per_class": 3},
        {"packing": 2},
        {"config": DM.replace(mmd_weight=0.5)},
        {"config": DM.replace(distiller="datadam")},
    ],
)
def test_other_work_is_a_miss(tmp_path: Path, change: dict[str, Any]) -> None:
    distilled(tmp_path)
    memory, _ = distilled(tmp_path, **change)
    assert not memory.distillations[0].from_cache
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_other_data_or_software_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distilled(tmp_path)
    memory = DistilledMemory(DM, SPEC, images_per_class=2, seed=4, cache=tmp_path)
    data = tiny_stream.prototypes(10, 1).of_class(0, 1)
    data.images[0, 0, 0, 0] ^= 1
    memory.observe(data)
    assert not memory.distillations[0].from_cache
    monkeypatch.setattr(cache, "_sources", lambda distiller: "changed")
    assert not distilled(tmp_path)[0].distillations[0].from_cache


def test_a_broken_file_is_done_again(tmp_path: Path) -> None:
    first, _ = distilled(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.warns(UserWarning, match="broken file"):
        second, _ = distilled(tmp_path)
    assert torch.equal(second.contents().images, first.contents().images)
    assert distilled(tmp_path)[0].distillations[0].from_cache


def test_an_unwritable_cache_only_warns(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="not cached"):
        memory, _ = distilled(tmp_path / "file")
    assert len(memory.contents()) == 4


def test_choosing_real_images_is_not_worth_a_file(tmp_path: Path) -> None:
    distilled(tmp_path, DistillationConfig("random"))
    assert list(tmp_path.iterdir()) == []


def test_records_add_up() -> None:
    parts = [DistillationRecord((1.0,), 2.0, 3.0, True), DistillationRecord((4.0,), 5.0, 6.0)]
    assert DistillationRecord.total(parts) == DistillationRecord((1.0, 4.0), 7.0, 9.0, False)
    assert DistillationRecord.total([]) == DistillationRecord()
    assert DistillationRecord.from_dict(parts[0].to_dict()) == parts[0]
