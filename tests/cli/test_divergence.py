"""What diverged is told, and never passes for a result."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from clbench.errors import Diverged
from clbench.store.tensors import pack_tensors
from clbench.types import LabelledImages
from tests.cli.conftest import SMALL_DISTILLATION, Invoke
from tests.cli.test_errors import assert_one_line
from tests.distilling import save_set

STREAM = ["--train-per-class", "60", "--images-per-class", "2", "--no-tensorboard", "--quiet"]
RUN = ["run", *STREAM, "--epochs", "1", "--set-epochs", "5", "--no-cache", *SMALL_DISTILLATION]
HUGE = "1e8"
NETWORKS = ["--evaluation-epochs", "3", "--num-networks-evaluated", "2", "--workers", "1"]
RUNS = {
    "momentum": (["--learning-rate", "20", "--momentum", "0.9"], "--learning-rate (it is 20)"),
    "huge": (["--learning-rate", "1e6"], "--learning-rate (it is 1e+06)"),
    "set": (["--strategy", "random_gdumb", "--set-learning-rate", HUGE], "--set-learning-rate"),
    "distilled": (
        ["--strategy", "dam_replay", "--network-steps", "5", "--network-learning-rate", "1e30"]
        + ["--updates-per-network", "2"],
        "--network-learning-rate",
    ),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_run_that_diverges_is_no_result(invoke: Invoke, case: str) -> None:
    options, remedy = RUNS[case]
    done = invoke(*RUN, "--strategy", "random_replay", *options, "-o", f"runs/{case}")
    assert_one_line(done, "experience", "expected", "finite", "lower", remedy)
    folder = Path("runs") / case
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "diverged" and status["error"] in done.stderr
    partial = json.loads((folder / "partial.json").read_text())
    assert len(partial["untrained_accuracy"]) == 5 and not (folder / "report.json").exists()
    assert_one_line(invoke("compare", "runs"), f"runs/{case} diverged")
    assert invoke(*RUN, "--strategy", "random_replay", "-o", "runs/sound").exit_code == 0
    compared = invoke("compare", "runs", "-o", "compared")
    assert f"1 diverged, left out (their status.json says where): [runs/{case}]" in compared.stdout
    assert len(json.loads(Path("compared/comparison.json").read_text())["groups"]) == 1


def test_an_offline_training_that_diverges(invoke: Invoke) -> None:
    command = ["evaluate", "offline", "--network", "mlp", "--width", "8", "--epochs", "2"]
    done = invoke(*command, "--learning-rate", HUGE, "-o", "o", "--quiet", "--batch-size", "500")
    assert_one_line(done, "expected", "lower --learning-rate (it is 1e+08)", "o/report.json")
    report = json.loads(Path("o/report.json").read_text())
    assert report["diverged"] in done.stderr and report["result"]["accuracy"] is None
    assert not Path("o/checkpoint.pt").exists()


def test_networks_that_diverge_do_not_cost_the_others(invoke: Invoke) -> None:
    distilled = invoke(
        "distill", "--distiller", "random", "--images-per-class", "1", "-o", "s.safetensors",
        *NETWORKS, "--evaluation-learning-rate", HUGE, "--evaluation-network", "mlp",
    )  # fmt: skip
    assert distilled.exit_code == 0 and distilled.stdout.count(" diverged ") == 2
    assert json.loads(Path("s.json").read_text())["scores"][0]["num_diverged"] == 2
    rate = ["--evaluation-learning-rate", "1e6", *NETWORKS, "--no-tensorboard"]
    of_two = ["--networks", "mlp,lenet", "-o", "c"]
    crossed = invoke("evaluate", "cross-architecture", "s.safetensors", *rate, *of_two)
    assert crossed.exit_code == 0, crossed.stderr
    result = json.loads(Path("c/report.json").read_text())
    assert result["result"]["scores"]["s"]["mlp"]["accuracy_mean"] is None
    assert ["s", "mlp", 2] in result["result"]["diverged"]
    assert "lower --evaluation-learning-rate" in crossed.stdout and "diverged  " in crossed.stdout
    few = ["--candidates", "2", "--full-epochs", "0", "-o", "a"]
    searched = invoke("evaluate", "architecture-search", "s.safetensors", *rate, *few)
    assert searched.exit_code == 0, searched.stderr
    assert "best by s: none" in searched.stdout and "diverged:    cnn on s (4)" in searched.stdout
    assert json.loads(Path("a/report.json").read_text())["diverged_networks"]


@pytest.mark.parametrize("pixel", [math.nan, math.inf, -0.5, 1.5, 200.0])
def test_pixels_that_are_none_are_refused(invoke: Invoke, pixel: float) -> None:
    images = torch.full((2, 1, 28, 28), 0.5)
    images[1, 0, 3, 4] = pixel
    save_set(LabelledImages(images, torch.tensor([0, 1])), "s.safetensors", {"data": "mnist5k"})
    for command in (["evaluate", "set"], ["evaluate", "cross-architecture"]):
        done = invoke(*command, "s.safetensors")
        assert_one_line(done, "s.safetensors", "expected pixels", "0 to 1")


def test_soft_labels_that_are_none_are_refused(invoke: Invoke) -> None:
    """When they are written, because a byte is always a label, and in a file of version 0.1."""
    images, labels = torch.zeros(1, 1, 28, 28), torch.full((1, 10), math.nan)
    with pytest.raises(Diverged, match="expected finite pixels and labels"):
        save_set(LabelledImages(images, labels), "s.safetensors")
    content = pack_tensors({"images": images, "labels": labels}, {"packing": "1"})
    Path("s.safetensors").write_bytes(content)
    assert_one_line(invoke("evaluate", "s.safetensors"), "finite labels")
