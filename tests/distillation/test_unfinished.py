"""A distillation that was stopped goes on to the very same end."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from clbench.config import DifficultySettings, DistillationConfig, NetworkConfig
from clbench.distillation import Update, make_distiller, unfinished
from clbench.distillation.matching import updates as matching
from clbench.distillation.trajectories import updates as trajectories
from clbench.distillation.updates import UpdateLog
from clbench.errors import InputError
from clbench.store.checkpoints import checkpoint_bytes
from clbench.store.store import Store
from clbench.types import LabelledImages
from tests import distilling
from tests.distillation.test_pad import NETWORK, SPEC, blobs, config
from tests.distilling import distillation

JUDGES = DifficultySettings(num_difficulty_networks=1, difficulty_epochs=1, batch_size=12)
MATCHING = {"num_networks": 4, "updates_per_network": 2}


def matched(distiller: str, **changes: Any) -> DistillationConfig:
    settings = {"network": NETWORK, "precision": "float32", "learning_rate": 5.0, **MATCHING}
    return distillation(distiller, **settings, **changes)


def regressed(name: str, **fields: Any) -> DistillationConfig:
    made = DistillationConfig(name, NetworkConfig("convnet", width=4, depth=2), precision="float32")
    return distilling.changed(made, num_updates=8, batch_real=20, **fields)


JOBS = {
    "datadam": matched("datadam"),
    "course": matched("datadam", resample=True, network_steps=2, initialisation="noise"),
    "easy": matched("dm", initialisation="easy", matched_layers="deep", difficulty=JUDGES),
    "mtt": config("mtt", num_updates=8),
    "pad": config(
        "pad",
        num_updates=8,
        matched_start="dm",
        **MATCHING,
        decay="cosine",
        normalise_gradient=True,
    ),
    "bptt": distillation(
        "bptt",
        network=NETWORK,
        precision="float32",
        num_updates=8,
        unroll=4,
        window=2,
        matched_start="dm",
        **MATCHING,
    ),
    "kip": regressed("kip"),
    "frepo": regressed("frepo", num_networks=2, network_steps=3, network_uses=3),
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stopped work is kept, however short it was."""
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(unfinished, "WORTH_KEEPING_SECONDS", 0.0)
    return Store().path_of(unfinished.KIND, "0").parent


def kept(place: Path) -> list[Path]:
    return sorted(place.glob("*")) if place.exists() else []


def distil(
    c: DistillationConfig,
    *,
    stop: int = 0,
    phase: str = "distil",
    keep: bool = True,
    seed: int = 0,
    log: UpdateLog | None = None,
) -> tuple[LabelledImages, UpdateLog, torch.Generator]:
    """Images, what was told and the generator; interrupted at update ``stop`` of a phase."""
    of_job = distilling.job(blobs(0, 2, 5), SPEC, seed=seed, keep=keep)
    log = UpdateLog() if log is None else log

    def hear(update: Update) -> None:
        log(update)
        if (update.number, update.phase) == (stop, phase):
            raise KeyboardInterrupt

    made = make_distiller(c).distill(of_job.replace(on_update=hear))
    return made, log, of_job.generator


@pytest.mark.parametrize("stop", [3, 4, 8])
@pytest.mark.parametrize("name", JOBS)
def test_goes_on_to_the_very_same_end(name: str, stop: int, place: Path) -> None:
    whole, told, rng = distil(JOBS[name], keep=False)
    with pytest.raises(KeyboardInterrupt):
        distil(JOBS[name], stop=stop)
    assert len(kept(place)) == 1
    rest, told_again, rng_again = distil(JOBS[name])
    assert torch.equal(rest.images, whole.images) and torch.equal(rest.labels, whole.labels)
    assert told_again.losses == told.losses and told_again.scalars == told.scalars
    assert torch.equal(rng.get_state(), rng_again.get_state())
    assert told_again.seconds_saved > 0
    assert not kept(place)


@pytest.mark.parametrize(("name", "left"), [("datadam", 6), ("mtt", 5)])
def test_what_was_done_is_not_done_again(
    name: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight updates; the fourth was told but not yet kept, nor was its network's third."""
    with pytest.raises(KeyboardInterrupt):
        distil(JOBS[name], stop=4)
    done = []
    # Each is called once in an update.
    for module, what in ((matching, "statistics"), (trajectories, "matching_gradient")):
        work = getattr(module, what)
        monkeypatch.setattr(
            module, what, lambda *a, w=work, **named: done.append(1) or w(*a, **named)
        )
    distil(JOBS[name])
    assert len(done) == left


def test_stopped_in_the_matched_start(place: Path) -> None:
    whole, told, _ = distil(JOBS["pad"], keep=False)
    with pytest.raises(KeyboardInterrupt):
        distil(JOBS["pad"], stop=5, phase="start")
    assert len(kept(place)) == 1
    rest, told_again, _ = distil(JOBS["pad"])
    assert torch.equal(rest.images, whole.images) and told_again.losses == told.losses
    assert told_again.seconds_saved > 0 and not kept(place)


def test_seconds_of_all_parts_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(unfinished.time, "perf_counter", lambda: now[0])

    def tick(update: Update) -> None:
        now[0] += 1

    saved = []
    for stop in (3, 7, 0):
        log = UpdateLog(tick)
        with suppress(KeyboardInterrupt):
            distil(JOBS["datadam"], stop=stop, log=log)
        saved.append(log.seconds_saved)
    # Kept at update 2 after 2 seconds; then 2 told again and 4 done: 6 seconds more.
    assert saved == [0, 2, 8]


def test_work_under_way_is_there_before_it_is_stopped(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "EVERY_SECONDS", 0.0)
    seen = []

    def hear(update: Update) -> None:
        seen.append(len(kept(place)))

    distilling.distil(
        JOBS["datadam"], blobs(0, 2), SPEC, images_per_class=1, on_update=hear, keep=True
    )
    assert seen == [0, 0, 1, 1, 1, 1, 1, 1] and not kept(place)


def test_another_distillation_does_not_go_on_there(place: Path) -> None:
    for c, seed in ((JOBS["datadam"], 0), (JOBS["datadam"], 1), (JOBS["course"], 0)):
        with pytest.raises(KeyboardInterrupt):
            distil(c, stop=5, seed=seed)
    assert len(kept(place)) == 3


def test_nothing_is_kept_unasked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("datadam", "pad"):
        with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
            broken.setenv("CLBENCH_CACHE_BYTES", "no store is opened, so this is not read")
            distil(JOBS[name], stop=5, keep=False)
    monkeypatch.setattr(unfinished, "WORTH_KEEPING_SECONDS", 1000.0)
    with pytest.raises(KeyboardInterrupt):
        distil(JOBS["datadam"], stop=5)
    assert not kept(place)


BROKEN = "broken entry of an unfinished distillation"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("half an entry", "not to be believed"),
        ("nothing of the kind", BROKEN),
        ("a pickle that names code", BROKEN),
        ("half a file", BROKEN),
        ("updates that are none", BROKEN),
    ],
)
def test_a_broken_entry_is_said_and_begun_again(content: str, said: str, place: Path) -> None:
    whole = distil(JOBS["datadam"], keep=False)[0]
    with pytest.raises(KeyboardInterrupt):
        distil(JOBS["datadam"], stop=5)
    (path,) = kept(place)
    code = io.BytesIO()
    torch.save({"state": print, "updates": [], "seconds": 0.0}, code)
    half = path.read_bytes()[:300]
    if content == "half an entry":
        path.write_bytes(half)
    else:
        whole_entries = {
            "nothing of the kind": b"nothing of the kind",
            "a pickle that names code": code.getvalue(),
            "half a file": half,
            "updates that are none": checkpoint_bytes(
                {"state": {}, "updates": [{"of": 1}], "seconds": 0.0}
            ),
        }
        Store().write(unfinished.KIND, path.name, whole_entries[content])
    with pytest.warns(UserWarning, match=said):
        again = distil(JOBS["datadam"])[0]
    assert torch.equal(again.images, whole.images)


def test_a_place_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(unfinished, "EVERY_SECONDS", 0.0)
    with pytest.warns(UserWarning, match="cannot be kept"):
        made = distil(JOBS["datadam"])[0]
    assert len(made) == 6


def test_an_error_of_the_input_is_still_one() -> None:
    with pytest.raises(InputError, match="expected 1 to 24 images .* found 100"):
        distilling.distil(JOBS["datadam"], blobs(0, 2), SPEC, images_per_class=100)
