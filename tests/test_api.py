"""The Python interface does what the commands do, and refuses what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import clbench
from clbench.config import MemoryConfig, SetSettings, SetTrainingConfig
from clbench.data import DATASETS
from clbench.distillation import DISTILLERS, DistillationConfig, DistillerInfo, Update
from clbench.distillation.selection.distiller import RandomSelection
from clbench.errors import Diverged, InputError
from clbench.networks import NetworkConfig
from clbench.sets import DistilledSet
from clbench.types import LabelledImages
from tests import tiny_stream
from tests.distilling import save_set


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny_stream.register(monkeypatch)
    monkeypatch.chdir(tmp_path)


def distilled(path: str = "set.safetensors", distiller: str = "random") -> DistilledSet:
    config, memory = DistillationConfig(distiller), MemoryConfig(images_per_class=2)
    return clbench.distil("tiny", config, memory, device="cpu", output=Path(path))


def test_what_can_be_called_is_listed():
    assert {"compare", "distil", "evaluate", "load_set", "run"} <= set(dir(clbench))


def test_a_set_comes_back_with_its_origin():
    made, found = distilled(), clbench.load_set("set.safetensors")
    assert torch.equal(made.images.images, found.images.images)
    assert (found.name, found.data, found.distilled_with) == ("set", "tiny", "")
    assert made.fingerprint == found.fingerprint and len(found.fingerprint) == 64
    assert found.distil_seconds == made.distil_seconds > 0


def test_a_set_is_never_replaced():
    distilled()
    with pytest.raises(InputError, match=r"set\.safetensors: expected a new file, found one"):
        distilled()


def test_a_set_of_other_data_is_refused(monkeypatch: pytest.MonkeyPatch):
    distilled()
    monkeypatch.setattr(tiny_stream, "NUM_TRAIN", 30)
    # Another entry, since what was read is remembered.
    monkeypatch.setitem(DATASETS, "tiny", replace(tiny_stream.INFO, title="other prototypes"))
    with pytest.raises(InputError, match="distilled from tiny with fingerprint .* data here have"):
        clbench.load_set("set.safetensors")
    assert clbench.load_set("set.safetensors", check=False).data == "tiny"


def test_a_set_without_origin_is_refused(tiny_images: LabelledImages):
    save_set(tiny_images, "bare.safetensors")
    with pytest.raises(InputError, match="made of one data set, found no data set"):
        clbench.load_set("bare.safetensors")


def test_scores_by_path_and_by_set_agree():
    made = distilled()
    network = NetworkConfig("mlp", width=8, depth=1)
    settings = SetSettings(2, network, SetTrainingConfig(epochs=3))
    given = {"workers": 1, "device": "cpu", "cache": False}
    by_path = clbench.evaluate("set", ["set.safetensors"], settings, **given)
    by_set = clbench.evaluate("set", {"set": made}, settings, images="tiny", **given)
    assert by_path.to_dict() == by_set.to_dict()
    assert [row.name for row in by_path.rows] == ["set", "random real"]


def test_an_evaluation_needs_data():
    with pytest.raises(InputError, match="images: expected a data set"):
        clbench.evaluate("offline")
    with pytest.raises(InputError, match="unknown evaluation 'ofline'.*did you mean 'offline'"):
        clbench.evaluate("ofline", images="tiny")


def test_runs_become_a_frame():
    for seed in (0, 1):
        config = tiny_stream.config("random_replay", seed=seed)
        report = clbench.run(config, output=Path("runs") / str(seed), use_cache=False)
        frame = report.to_frame()
        assert frame["average_accuracy"].tolist() == [report.metrics["average_accuracy"]]
        assert frame["memory_bytes"].tolist() == [report.memory[-1]["num_bytes"]]
    comparison = clbench.compare(["runs"])
    table = comparison.to_frame()
    assert table["seed"].tolist() == [0, 1] and set(table["group"]) == {"random_replay"}
    assert clbench.compare([report]).groups[0].seeds == (1,)


class Told:
    """A third party's distiller that tells losses and uses no network."""

    def __init__(self, config: DistillationConfig, loss: float = 1.0) -> None:
        self.loss = loss

    def distill(self, job):
        made = RandomSelection().distill(job)
        job.on_update(Update(1, 1, self.loss))
        return made

    def flops(self, spec, workload):
        return 1.0


def test_a_distiller_without_network_is_not_said_to_use_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(DISTILLERS, "told", DistillerInfo(Told, "told", "none", prefix="told"))
    assert distilled(distiller="told").distilled_with == ""
    assert clbench.load_set("set.safetensors").about()["distilled_with"] is None
    clbench.run(tiny_stream.config("random_replay"), output=Path("real"), use_cache=False)
    config = tiny_stream.config("random_replay").replace(
        strategy="told_replay", distillation=DistillationConfig("told")
    )
    report = clbench.run(config, output=Path("told"), use_cache=False)
    assert report.distillation[0]["losses"] == [1.0]
    assert json.loads(Path("told/config.json").read_text())["distillation"]["distiller"] == "told"
    for run in ("told", "real"):
        assert clbench.load_set(run).distilled_with == ""


def test_a_distillation_that_diverges_writes_no_set(monkeypatch: pytest.MonkeyPatch):
    nan = float("nan")
    row = DistillerInfo(lambda config: Told(config, nan), "told", "none")
    monkeypatch.setitem(DISTILLERS, "told", row)
    with pytest.raises(Diverged, match="expected a finite loss, found nan"):
        distilled(distiller="told")
    assert not Path("set.safetensors").exists()
