"""The cache of distilled sets: hits give the same, anything that matters makes a miss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from clbench.config import DistillationConfig, NetworkConfig
from clbench.distillation import Update, make_distiller, work
from clbench.distillation.protocol import Traits
from clbench.memory import DistilledMemory, cache
from clbench.memory.cache import CachedDistiller, DistillationRecord
from clbench.store.store import Entry, Store
from clbench.types import LabelledImages
from tests import telling, tiny_stream
from tests.distilling import changed, distillation
from tests.telling import ALONE, LOSSES, SAVED
from tests.tiny_stream import SPEC

DM = distillation(
    "dm",
    network=NetworkConfig("convnet", width=4, depth=2),
    num_networks=2,
    updates_per_network=2,
    learning_rate=1.0,
)


def kept(place: Path) -> list[Entry]:
    return [entry for entry in Store(place).entries() if entry.kind == cache.KIND]


def metadata(place: Path) -> dict[str, str]:
    """What is kept beside the one set there."""
    (entry,) = kept(place)
    content = Store(place).read(cache.KIND, entry.name)
    assert content is not None
    return LabelledImages.from_bytes(content)[1]


def distilled(directory: Path | bool, config: DistillationConfig = DM, **options: Any) -> Any:
    heard: list[Update] = []
    memory = DistilledMemory(
        config,
        SPEC,
        cache=directory,
        on_update=heard.append,
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
    # The seconds of the work, not those of reading it back.
    assert found.seconds == float(metadata(tmp_path)["seconds"]) <= done.seconds


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 5},
        {"images_per_class": 3},
        {"codec": "tiles:factor=2"},
        {"config": changed(DM, mmd_weight=0.5)},
        {"config": DM.for_distiller("datadam")},
    ],
)
def test_other_work_is_a_miss(tmp_path: Path, change: dict[str, Any]) -> None:
    distilled(tmp_path)
    memory, _ = distilled(tmp_path, **change)
    assert not memory.distillations[0].from_cache
    assert len(kept(tmp_path)) == 2


def test_other_data_or_software_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distilled(tmp_path)
    memory = DistilledMemory(DM, SPEC, images_per_class=2, seed=4, cache=tmp_path)
    data = tiny_stream.prototypes(10, 1).of_class(0, 1)
    data.images[0, 0, 0, 0] ^= 1
    memory.observe(data)
    assert not memory.distillations[0].from_cache
    monkeypatch.setattr(work, "sources_of", lambda module: (__file__,))
    assert not distilled(tmp_path)[0].distillations[0].from_cache


@pytest.mark.parametrize("broken", ["cut", "another thing", "no updates", "updates of others"])
def test_a_broken_entry_is_done_again(tmp_path: Path, broken: str) -> None:
    first, _ = distilled(tmp_path)
    (entry,) = kept(tmp_path)
    store, whole = Store(tmp_path), first.contents()
    contents = {
        "another thing": b"another thing",
        "no updates": whole.to_bytes({"seconds": "1.0"}),
        "updates of others": whole.to_bytes({"seconds": "1.0", "updates": '[{"of": 1}]'}),
    }
    if broken == "cut":
        file = store.path_of(cache.KIND, entry.name)
        file.write_bytes(file.read_bytes()[:50])
    else:
        store.write(cache.KIND, entry.name, contents[broken])
    with pytest.warns(UserWarning, match="not to be believed"):
        second, _ = distilled(tmp_path)
    assert not second.distillations[0].from_cache
    assert torch.equal(second.contents().images, first.contents().images)
    assert distilled(tmp_path)[0].distillations[0].from_cache


def test_an_unwritable_cache_only_warns(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cannot be kept"):
        memory, _ = distilled(tmp_path / "file")
    assert len(memory.contents()) == 4


def test_choosing_real_images_is_not_worth_a_file(tmp_path: Path) -> None:
    distilled(tmp_path, DistillationConfig("random"))
    assert list(tmp_path.iterdir()) == []  # not even a lock was there


@pytest.fixture
def all_told(monkeypatch: pytest.MonkeyPatch) -> DistillationConfig:
    telling.register(monkeypatch)
    return DistillationConfig("telling")


def test_a_hit_tells_curves_notes_and_all_seconds_again(
    tmp_path: Path, all_told: DistillationConfig
) -> None:
    first, first_heard = distilled(tmp_path, all_told)
    second, second_heard = distilled(tmp_path, all_told)
    assert torch.equal(second.contents().labels, first.contents().labels)
    assert second.contents().labels.ndim == 2
    done, found = first.distillations[0], second.distillations[0]
    assert (done.from_cache, found.from_cache) == (False, True)
    assert found.losses == done.losses == LOSSES
    assert found.scalars == done.scalars and len(found.scalars["step_size"]) == 3
    assert SAVED <= found.seconds == float(metadata(tmp_path)["seconds"])
    # Experts are not trained again, and how the images looked on the way is not kept.
    told = [(u.number, u.total, u.loss, dict(u.scalars)) for u in first_heard[2:]]
    assert [(u.number, u.total, u.loss, dict(u.scalars)) for u in second_heard] == told
    assert all(u.phase == "distil" and u.images is None for u in second_heard)


def test_a_note_comes_from_the_cache(
    tmp_path: Path, all_told: DistillationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_WORTH_KEEPING_SECONDS", 0.0)
    for from_cache in (False, True):
        memory = DistilledMemory(all_told, SPEC, images_per_class=2, cache=tmp_path)
        memory.observe(tiny_stream.prototypes(10, 1).of_class(0))
        (record,) = memory.distillations
        assert (record.from_cache, record.notes, record.losses) == (from_cache, (ALONE,), ())


def test_other_knowledge_is_a_miss_where_it_is_used(
    tmp_path: Path, all_told: DistillationConfig
) -> None:
    data = tiny_stream.prototypes(10, 1)

    def second_from_cache(config: DistillationConfig, *before: int) -> bool:
        memory = DistilledMemory(config, SPEC, images_per_class=2, seed=4, cache=tmp_path)
        # Put there without distilling, so that nothing but what is held differs.
        held = tiny_stream.prototypes(2, 1).of_class(*before)
        labels = held.labels if config is DM else torch.eye(6)[held.labels]
        memory._hold(LabelledImages(held.images, labels))
        memory.observe(data.of_class(0, 1))
        return bool(memory.distillations[0].from_cache)

    assert [second_from_cache(all_told, *b) for b in ((), (), (2,), (2,), (3,))] == [
        False, True, False, True, False,
    ]  # fmt: skip
    assert [second_from_cache(DM, *b) for b in ((), (2,))] == [False, True]


def test_records_add_up() -> None:
    parts = [
        DistillationRecord((1.0,), 2.0, 3.0, True, {"b": (0.1,)}, ("few",)),
        DistillationRecord((4.0,), 5.0, 6.0, False, {"b": (0.2,), "c": (1.0,)}, ("few", "odd")),
    ]
    scalars = {"b": (0.1, 0.2), "c": (1.0,)}
    expected = DistillationRecord((1.0, 4.0), 7.0, 9.0, False, scalars, ("few", "odd"))
    assert DistillationRecord.total(parts) == expected
    assert DistillationRecord.total([]) == DistillationRecord()
    assert DistillationRecord.from_dict(parts[0].to_dict()) == parts[0]


def test_what_a_distiller_says_of_itself_its_cache_says_too(tmp_path: Path) -> None:
    """Or a run with a cache would fill its memory otherwise than one without."""
    for name in ("random", "herding", "kip", "pad", "dm"):
        config = DistillationConfig(name)
        plain = make_distiller(config)
        assert Traits.of(CachedDistiller(plain, config, Store(tmp_path))) == Traits.of(plain)
    assert Traits.of(make_distiller(DistillationConfig("kip"))) == Traits(
        uses_known=True, uses_own=True, spare=1.2
    )
    assert Traits.of(object()) == Traits()
