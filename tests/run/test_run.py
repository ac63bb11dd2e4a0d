"""A run from end to end: its report, its directory, its interruption, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from clbench import networks
from clbench.coded import CodedImages
from clbench.config import BenchmarkConfig, MemoryConfig, NetworkConfig, RunConfig
from clbench.distillation import Update
from clbench.errors import InputError
from clbench.machine.device import resolve_device
from clbench.measuring.cost import forward_flops
from clbench.report import RunReport
from clbench.run import NullProgress, RunDirectory, run
from clbench.store.fingerprint import name_of
from clbench.tracking import NullTracker, TensorBoardTracker
from tests import tiny_stream
from tests.distilling import as_set
from tests.tiny_stream import SPEC


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)


def settled(config: RunConfig) -> RunConfig:
    """With the codec and the augmentation that are taken where none is named."""
    learner = config.learner.replace(augmentation="none")
    return config.replace(memory=config.memory.settled(), learner=learner)


class Listener(NullTracker):
    """Remembers events in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_start(self, config: Any, class_groups: Any) -> None:
        self.events.append(("start", class_groups))

    def on_distillation_update(self, k: int, update: Update) -> None:
        self.events.append(("update", k, update.number))

    def on_experience_end(self, k: int, R_so_far: Any, *rest: Any) -> None:
        memory = rest[3]
        self.events.append(("experience", k, len(R_so_far), memory and memory.classes))

    def on_end(self, report: RunReport) -> None:
        self.events.append(("end", report))

    def close(self) -> None:
        self.events.append("close")


class Steps(NullProgress):
    """Checks that phases are as long as they said."""

    def __init__(self) -> None:
        self.phases: list[list[Any]] = []
        self.notes: list[str] = []

    def phase(self, name: str, total: int) -> None:
        self.phases.append([name, total, 0])

    def advance(self, num: int = 1) -> None:
        self.phases[-1][2] += num

    def note(self, text: str) -> None:
        self.notes.append(text)


class Interrupt(NullProgress):
    """Presses Ctrl-C after the second experience."""

    def note(self, text: str) -> None:
        if text.startswith("experience 2"):
            raise KeyboardInterrupt


def content(report: RunReport) -> str:
    values = report.to_dict()
    del values["measured"]
    return json.dumps(values)


def status(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "status.json").read_text())
    return found


@pytest.mark.parametrize("strategy", ["dam_replay", "reservoir_gdumb"])
def test_same_command_same_report(strategy: str, tmp_path: Path) -> None:
    config = tiny_stream.config(
        strategy, benchmark=BenchmarkConfig("split_tiny", 3, True, 0.25), seed=5
    )
    first = run(config, output=tmp_path / "a", use_cache=False)
    torch.manual_seed(99)
    second = run(config, output=tmp_path / "b", use_cache=tmp_path / "cache")
    third = run(config, use_cache=tmp_path / "cache")
    assert content(first) == content(second) == content(third)
    reports = [json.loads((tmp_path / d / "report.json").read_text()) for d in "ab"]
    for report in reports:
        del report["measured"]
    assert reports[0] == reports[1]
    distilled = 3 if strategy == "dam_replay" else 0
    assert (second.measured["from_cache"], third.measured["from_cache"]) == (0, distilled)
    assert content(run(config.replace(seed=6), use_cache=False)) != content(first)


def test_report(tmp_path: Path) -> None:
    config = tiny_stream.config(
        "dm_replay", benchmark=BenchmarkConfig("split_tiny", 3, True, 0.25), seed=1
    )
    report = run(config, output=tmp_path / "run", use_cache=False)
    assert RunReport.load(tmp_path / "run") == report
    assert report.config == settled(config).to_dict()
    assert report.data["num_train"] == [60] * 3 and report.data["num_validation"] == [20] * 3
    assert report.num_test == report.data["num_test"] == [40] * 3
    groups = report.class_groups
    assert sorted(sum(groups, [])) == list(range(6)) and groups != [[0, 1], [2, 3], [4, 5]]
    confusion = torch.tensor(report.confusion_matrix)
    assert confusion.sum(1).tolist() == [20] * 6
    for group, accuracy in zip(groups, report.accuracy_matrix[-1], strict=True):
        # Only right if rows and columns are in the data set's own numbers.
        assert confusion.diag()[group].sum() / 40 == pytest.approx(accuracy)
    assert report.validation_matrix is not None and len(report.validation_matrix) == 3
    assert report.metrics["average_accuracy"] == pytest.approx(sum(report.accuracy_matrix[-1]) / 3)
    assert [entry["num_bytes"] for entry in report.memory] == [384, 768, 1152]
    assert set(report.memory[0]["per_class"]) == {str(c) for c in groups[0]}
    assert [len(entry["losses"]) for entry in report.distillation] == [6, 6, 6]
    assert all(entry["flops"] > 0 for entry in report.distillation)
    network = networks.build(config.learner.network, SPEC, seed=0)
    forward = forward_flops(network, SPEC.shape)
    # 60 images are 4 batches; in two of three experiences 16 memory images join each.
    assert report.flops["train"] == 3 * forward * 8 * (3 * 60 + 2 * 4 * 16)
    assert report.flops["evaluate"] == forward * (4 * 120 + 3 * 60)
    assert report.flops["distil"] == sum(entry["flops"] for entry in report.distillation)
    seconds = report.measured["seconds"]
    assert set(seconds) == {"train", "distil", "evaluate", "total", "wall"}
    assert all(value > 0 for value in seconds.values())
    assert seconds["train"] + seconds["distil"] + seconds["evaluate"] <= seconds["total"]
    assert report.notes == ["25 % of the training images were held out for validation"]


def test_directory(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    config = tiny_stream.config(
        "dam_replay", benchmark=BenchmarkConfig("split_tiny", 3, True), seed=2
    )
    report = run(config, output=path, trackers=[TensorBoardTracker(path)], use_cache=False)
    files = {str(f.relative_to(path)) for f in path.rglob("*") if f.is_file()}
    events = {f for f in files if "events" in f}
    figures = ("accuracy_matrix", "forgetting_curves", "confusion", "memory", "distillation")
    assert events and files - events == {
        "config.json", "env.json", "status.json", "report.json",
        *(f"memory/exp_{k}.safetensors" for k in range(3)),
        *(f"figures/{name}.png" for name in figures),
    }  # fmt: skip
    asked = name_of(config.to_dict())
    assert status(path) == {"status": "done", "error": None, "asked": asked}
    assert json.loads((path / "config.json").read_text()) == settled(config).to_dict()
    assert json.loads((path / "env.json").read_text()) == report.environment
    for k in range(3):
        coded, metadata = CodedImages.load(path / "memory" / f"exp_{k}.safetensors")
        memory = coded.images
        assert metadata["experience"] == str(k)
        learnt = sorted(sum(report.class_groups[: k + 1], []))
        assert list(memory.classes) == learnt and len(memory) == 3 * len(learnt)
        # The labels are the data set's own: each image is nearest to its own class.
        truth = tiny_stream.prototypes(40, 1)
        means = torch.stack([truth.of_class(c).images.float().mean(0) for c in range(6)])
        distance = (memory.images.float()[:, None] - means).square().flatten(2).sum(2)
        assert torch.equal(distance.argmin(1), memory.labels)


def test_events_and_progress() -> None:
    listener, steps = Listener(), Steps()
    report = run(
        tiny_stream.config("dm_gdumb"), trackers=[listener], progress=steps, use_cache=False
    )
    expected: list[Any] = [("start", [[0, 1], [2, 3], [4, 5]])]
    for k in range(3):
        expected += [("update", k, update) for update in range(1, 7)]
        expected.append(("experience", k, k + 1, tuple(range(2 * k + 2))))
    assert listener.events == [*expected, ("end", report), "close"]
    names = [name for name, *_ in steps.phases]
    assert names == ["evaluate"] + ["distil", "train", "evaluate"] * 3
    assert all(total == done for _, total, done in steps.phases)
    assert [phase[1] for phase in steps.phases[:4]] == [3, 6, 60, 3]
    assert len(steps.notes) == 3 and "memory 1152 bytes" in steps.notes[-1]
    replay = Steps()
    run(tiny_stream.config("dm_replay"), progress=replay, use_cache=False)
    assert [p[0] for p in replay.phases] == ["evaluate"] + ["train", "distil", "evaluate"] * 3
    assert all(total == done for _, total, done in replay.phases)


def test_interruption_keeps_what_was_measured(tmp_path: Path) -> None:
    config, path = tiny_stream.config("dam_replay"), tmp_path / "run"
    cache, listener = tmp_path / "cache", Listener()
    with pytest.raises(KeyboardInterrupt):
        run(config, output=path, progress=Interrupt(), trackers=[listener], use_cache=cache)
    assert status(path)["status"] == "interrupted"
    assert listener.events[-1] == "close"
    assert not (path / "report.json").exists()
    partial = json.loads((path / "partial.json").read_text())
    assert len(partial["accuracy_matrix"]) == 2

    report = run(config, output=path, use_cache=cache)
    assert report.measured["from_cache"] == 0, "it goes on, and the third is new"
    assert report.accuracy_matrix[:2] == partial["accuracy_matrix"]
    assert content(report) == content(run(config, use_cache=False))
    assert status(path)["status"] == "done"
    assert not (path / "partial.json").exists()


def test_failure_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, listener = tmp_path / "run", Listener()

    def fail(self: Any, text: str) -> None:
        raise RuntimeError("the\nsky fell")

    monkeypatch.setattr(Steps, "note", fail)
    with pytest.raises(RuntimeError, match="sky"):
        run(tiny_stream.config("naive"), output=path, progress=Steps(), trackers=[listener])
    found = status(path)
    assert found["status"] == "failed" and found["error"] == "RuntimeError: the sky fell"
    assert listener.events[-1] == "close"
    assert len(json.loads((path / "partial.json").read_text())["accuracy_matrix"]) == 1


def test_random_state_of_the_caller_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    run(tiny_stream.config("naive"))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "dam_repaly"}, "did you mean 'dam_replay'"),
        ({"benchmark": BenchmarkConfig("split_tin")}, "did you mean 'split_tiny'"),
        ({"benchmark": BenchmarkConfig("split_tiny", 7)}, "num_experiences: expected 1 to 6"),
        ({"memory": MemoryConfig(codec="tiles:factor=9")}, "expected a factor of 1 to 8"),
        ({"memory": MemoryConfig(capacity_bytes=100)}, "capacity_bytes: expected at least 384"),
    ],
)
def test_bad_configurations(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = tiny_stream.config("random_replay").replace(**changes)
    with pytest.raises(InputError, match=message):
        run(config, output=tmp_path / "run")
    assert not (tmp_path / "run" / "report.json").exists()


@pytest.mark.parametrize("part", ["learner", "distillation"])
def test_unknown_networks_are_found_before_the_work(part: str, tmp_path: Path) -> None:
    config = tiny_stream.config("dm_replay")
    wrong = getattr(config, part).replace(network=NetworkConfig("convent"))
    with pytest.raises(InputError, match="did you mean .?convnet"):
        run(config.replace(**{part: wrong}), output=tmp_path / "run")
    assert status(tmp_path / "run")["status"] == "failed"
    assert not (tmp_path / "run" / "partial.json").exists()


def test_unwritable_or_finished_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_stream.config("naive")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("clbench.benchmarks.Benchmark.data", property(lambda self: 1 / 0))
    with pytest.raises(InputError, match="output: expected a directory that can be written"):
        run(config, output=tmp_path / "file" / "run")
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(InputError, match="found a finished run"):
        run(config, output=tmp_path)


def test_no_output_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(tiny_stream.config("dm_replay"), use_cache=False)
    assert list(tmp_path.iterdir()) == []
    RunDirectory(None).memory(0, as_set(tiny_stream.prototypes(1, 1)).coded)


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    if torch.cuda.is_available():
        assert resolve_device("auto").type == resolve_device("cuda").type == "cuda"
    else:
        assert resolve_device("auto").type == "cpu"
        with pytest.raises(InputError, match="expected a CUDA device, found none"):
            resolve_device("cuda")


def test_more_images_than_there_are() -> None:
    memory = MemoryConfig(images_per_class=41)
    report = run(tiny_stream.config("random_replay", memory=memory))
    assert set(report.memory[-1]["per_class"].values()) == {40}
    (note,) = report.notes
    assert note.startswith("6 of 6 classes have fewer images than the 41 that their share")


def test_notes() -> None:
    benchmark = BenchmarkConfig("split_tiny", 3, train_per_class=30)
    memory = MemoryConfig(capacity_bytes=6 * 64 * 2)
    report = run(tiny_stream.config("reservoir_replay", benchmark=benchmark, memory=memory))
    subset, capacity, reservoir = report.notes
    assert subset == "only 30 training images of each class were used"
    assert capacity == "768 bytes of memory hold 2 images per class"
    assert "full from the first experience" in reservoir
    assert [entry["num_images"] for entry in report.memory] == [12, 12, 12]
