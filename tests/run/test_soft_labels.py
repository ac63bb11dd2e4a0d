"""Soft labels, curves and notes of a distiller on their way through a whole run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clbench.coded import CodedImages
from clbench.comparison import compare
from clbench.config import BenchmarkConfig, MemoryConfig, NetworkConfig, TrajectorySettings
from clbench.errors import InputError
from clbench.report import RunReport
from clbench.run import NullProgress, run
from clbench.tracking import NullTracker, TensorBoardTracker
from clbench.types import LabelledImages
from tests import telling, tiny_stream
from tests.distilling import changed
from tests.telling import ALONE, LOSSES, SAVED

SOFT_SLOT = 64 + 6


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)
    telling.register(monkeypatch)


class Watch(NullProgress, NullTracker):
    """Remembers phases and notes, and the images that a distiller shows."""

    def __init__(self) -> None:
        self.phases: list[list[Any]] = []
        self.notes: list[str] = []
        self.images: list[LabelledImages] = []

    def phase(self, name: str, total: int) -> None:
        self.phases.append([name, total, 0])

    def advance(self, num: int = 1) -> None:
        self.phases[-1][2] += num

    def note(self, text: str) -> None:
        self.notes.append(text)

    def on_distillation_update(self, k: int, update: Any) -> None:
        if update.images is not None:
            self.images.append(update.images)


def assert_right_and_soft(images: LabelledImages) -> None:
    """The labels are soft, in the data set's own numbers, ascending, and true of the images."""
    assert images.labels.shape == (len(images), 6)
    torch.testing.assert_close(images.labels.sum(1), torch.ones(len(images)))
    assert images.labels.max(1).values.sub(0.9 + 0.1 / 6).abs().max() < 1e-3
    assert images.hard_labels.tolist() == sorted(images.hard_labels.tolist())
    truth = tiny_stream.prototypes(40, 1)
    means = torch.stack([truth.of_class(c).images.float().mean(0) for c in range(6)])
    distance = (images.images.float()[:, None] - means).square().flatten(2).sum(2)
    assert torch.equal(distance.argmin(1), images.hard_labels)


@pytest.mark.parametrize("training", ["replay", "gdumb"])
def test_soft_labels_teach(training: str, tmp_path: Path) -> None:
    config = tiny_stream.config(
        f"telling_{training}", benchmark=BenchmarkConfig("split_tiny", 3, True), seed=2
    )
    watch = Watch()
    report = run(config, output=tmp_path, progress=watch, trackers=[watch], use_cache=False)
    assert report.class_groups != [[0, 1], [2, 3], [4, 5]]
    assert report.metrics["average_accuracy"] > (0.9 if training == "replay" else 0.6)
    assert [entry["num_bytes"] for entry in report.memory] == [6 * k * SOFT_SLOT for k in (1, 2, 3)]
    for k in range(3):
        coded, _ = CodedImages.load(tmp_path / "memory" / f"exp_{k}.safetensors")
        memory = coded.images
        assert_right_and_soft(memory)
        assert list(memory.classes) == sorted(sum(report.class_groups[: k + 1], []))
        assert_right_and_soft(watch.images[k])
        assert watch.images[k].classes == tuple(sorted(report.class_groups[k]))
    assert (tmp_path / "figures" / "memory.png").stat().st_size > 0
    phases = [name for name, *_ in watch.phases]
    filling = ["experts", "distil"]
    around = ["train", *filling] if training == "replay" else [*filling, "train"]
    assert phases == ["evaluate", *[*around, "evaluate"] * 3]
    assert all(total == done for _, total, done in watch.phases)


def test_certain_soft_labels_teach_as_hard_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    hard = run(tiny_stream.config("random_replay"), use_cache=False)
    distill = telling.Telling.distill

    def certain(*arguments: Any, **options: Any) -> LabelledImages:
        made = distill(*arguments, **options)
        return LabelledImages(made.images, torch.eye(6)[made.hard_labels])

    monkeypatch.setattr(telling.Telling, "distill", certain)
    soft = run(tiny_stream.config("telling_replay"), use_cache=False)
    # The same images at the same steps; sums differ in their last bits.
    for one, other in zip(soft.accuracy_matrix, hard.accuracy_matrix, strict=True):
        assert one == pytest.approx(other, abs=0.05)


def test_soft_labels_of_tiles(tmp_path: Path) -> None:
    config = tiny_stream.config("telling_gdumb", memory=MemoryConfig(3, codec="tiles:factor=2"))
    report = run(config, output=tmp_path, use_cache=False)
    # An image takes 16 bytes and its label 6; a share is 3 raw images and their labels.
    num = 3 * SOFT_SLOT // (16 + 6)
    each = {str(c): num * (16 + 6) for c in range(6)}
    assert report.memory[-1] == {
        "num_images": 6 * num, "num_bytes": sum(each.values()), "bytes_per_class": each,
        "per_class": {str(c): num for c in range(6)}, "decoded_bytes": 6 * num * 64 * 4,
    }  # fmt: skip
    memory, _ = CodedImages.load(tmp_path / "memory" / "exp_2.safetensors")
    assert memory.images.labels.shape == (6 * num, 6)


def test_at_equal_bytes_soft_labels_leave_fewer_images() -> None:
    memory = MemoryConfig(capacity_bytes=6 * 64 * 4)
    soft = run(tiny_stream.config("telling_replay", memory=memory), use_cache=False)
    hard = run(tiny_stream.config("random_replay", memory=memory), use_cache=False)
    assert soft.memory[-1]["num_images"] == 6 * 3 and hard.memory[-1]["num_images"] == 6 * 4
    assert soft.memory[-1]["num_bytes"] <= hard.memory[-1]["num_bytes"] == 6 * 64 * 4
    assert soft.notes[0] == "1536 bytes of memory hold 3 images per class"
    (warning,) = compare([soft, hard]).warnings
    assert "bytes of memory" in warning and "1,260" in warning and "1,536" in warning


def test_the_report_holds_curves_notes_and_saved_seconds(tmp_path: Path) -> None:
    config = tiny_stream.config("telling_replay", benchmark=BenchmarkConfig("split_tiny", 6))
    watch = Watch()
    tracker = TensorBoardTracker(tmp_path / "events")
    report = run(config, output=tmp_path / "run", progress=watch, trackers=[tracker])
    alone, *others = report.distillation
    assert alone == {"losses": [], "scalars": {}, "flops": 7.0}
    curves = {"step_size": [0.03, 0.015, 0.03 / 3]}
    assert others == [{"losses": list(LOSSES), "scalars": curves, "flops": 7.0}] * 5
    assert report.notes == [f"experience 1: {ALONE}"] and report.notes[0] in watch.notes
    assert RunReport.load(tmp_path / "run") == report
    seconds = report.measured["seconds"]
    assert 5 * SAVED <= seconds["distil"] < 5 * SAVED + 10
    assert seconds["total"] - seconds["wall"] == pytest.approx(5 * SAVED, abs=1)
    assert all(value > 0 for value in seconds.values())
    events = EventAccumulator(str(tmp_path / "events")).Reload().Tags()
    assert {f"distillation/experience_{k}/expert_loss" for k in range(2, 7)} <= set(
        events["scalars"]
    )
    assert "distillation/experience_1/loss" not in events["scalars"]
    assert "distillation/experience_6/images" in events["images"]


def test_notes_and_curves_are_the_same_from_the_cache(tmp_path: Path) -> None:
    config = tiny_stream.config("telling_gdumb", benchmark=BenchmarkConfig("split_tiny", 6))
    reports = [run(config, use_cache=tmp_path).to_dict() for _ in range(2)]
    # Nothing was distilled of the first experience, so there was nothing to keep.
    assert [report.pop("measured")["from_cache"] for report in reports] == [0, 5]
    assert json.dumps(reports[0]) == json.dumps(reports[1])


def test_a_network_that_is_needed_is_checked_before_the_work(tmp_path: Path) -> None:
    config = tiny_stream.config("telling_replay")
    wrong = config.distillation.replace(network=NetworkConfig("convent"))
    with pytest.raises(InputError, match="did you mean .?convnet"):
        run(config.replace(distillation=wrong), output=tmp_path)
    assert not (tmp_path / "partial.json").exists()
    unneeded = config.replace(strategy="random_replay", distillation=wrong)
    assert run(unneeded).memory


def test_the_augmentation_of_experts_is_checked_before_the_work(tmp_path: Path) -> None:
    config = tiny_stream.config("pad_replay")
    experts = config.distillation.own(TrajectorySettings).experts.replace(augmentation="blur")
    wrong = changed(config.distillation, experts=experts)
    with pytest.raises(InputError, match="blur"):
        run(config.replace(distillation=wrong), output=tmp_path)
    assert not (tmp_path / "partial.json").exists()


def test_runs_of_several_seeds_share_their_experts(tmp_path: Path) -> None:
    """The second run's experts come from the cache, in leaps that fill the bar; time is charged."""
    watches, reports = [], []
    for seed in (3, 4):
        watches.append(Watch())
        config = tiny_stream.config("pad_replay", seed=seed)
        reports.append(run(config, progress=watches[-1], use_cache=tmp_path))
        assert all(total == done for _, total, done in watches[-1].phases)
    of_first, of_second = ([p for p in w.phases if p[0] == "experts"] for w in watches)
    assert of_first == of_second != []
    first, second = (report.measured["seconds"] for report in reports)
    assert second["total"] > second["wall"], "more is charged than passed"
    assert first["distil"] > 0
