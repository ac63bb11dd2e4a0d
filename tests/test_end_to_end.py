"""The main job as a user types it, on the real MNIST at full size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clbench.coded import CodedImages
from clbench.report import RunReport


@pytest.fixture(scope="module")
def folder(real_data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("run") / "out"
    command = [sys.executable, "-m", "clbench", "run", "--strategy", "dam_replay"]
    command += ["--baseline", "random_replay", "--benchmark", "split_mnist", "--seed", "1"]
    command += ["--data-root", str(real_data_root), "--output", str(place), "--no-cache"]
    command += ["--distill-width", "32", "--num-networks", "30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "average accuracy" in done.stdout
    return place


def test_distilled_memory_beats_real_memory_at_equal_bytes(folder: Path) -> None:
    ours = RunReport.load(folder / "dam_replay")
    baseline = RunReport.load(folder / "random_replay")
    assert sum(ours.data["num_train"]) == 60000 and sum(ours.num_test) == 10000
    assert ours.memory[-1]["num_bytes"] == baseline.memory[-1]["num_bytes"] == 100 * 784
    assert ours.data["fingerprint"] == baseline.data["fingerprint"]
    gain = ours.metrics["average_accuracy"] - baseline.metrics["average_accuracy"]
    assert gain > 0.04


def test_everything_a_user_looks_at_is_there(folder: Path) -> None:
    run = folder / "dam_replay"
    for name in ("config.json", "env.json", "status.json", "report.json"):
        assert (run / name).stat().st_size > 0
    assert len(list((run / "figures").glob("*.png"))) == 5
    assert len(list(run.rglob("events.*"))) == 1
    memory, _ = CodedImages.load(run / "memory" / "exp_4.safetensors")
    assert len(memory) == 100 and memory.classes == tuple(range(10))
    assert list((folder / "comparison").glob("*.png"))
