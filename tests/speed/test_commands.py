"""The speed commands run; what they measure is for people to read, not for a test to assert."""

from __future__ import annotations

import sys

import pytest

from clbench.codecs import CODECS
from tests.speed import codecs, comparison, decoding, distillation, learner, offline, trajectories


def test_distillation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seconds", "0.5", "--num-networks", "1", "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", ["distillation", *arguments])
    distillation.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["plain", "fast", "ratio fast / plain"]


def test_learner_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["learner"])
    with pytest.raises(SystemExit) as stop:
        learner.main()
    assert stop.value.code == 2 and "--data-root" in capsys.readouterr().err


def test_bare_loop_and_ours_train_on_the_same_images() -> None:
    from clbench.benchmarks import make_benchmark
    from clbench.config import BenchmarkConfig

    benchmark = make_benchmark(BenchmarkConfig("split_mnist5k", train_per_class=70), None, 0)
    assert learner.bare(benchmark)[0] == learner.ours(benchmark)[0] == 4 * (140 + 3 * 64)


def test_trajectories(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--steps", "1", "2", "--unrolled", "2", "--width", "2", "--num-images", "2"]
    monkeypatch.setattr(sys, "argv", ["trajectories", *arguments])
    trajectories.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith("full unrolling over adjoint, N = 2")


@pytest.mark.parametrize("noise", [False, True])
def test_offline(
    noise: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--images", "300", "--repeats", "1", "--networks", "mlp", "cnn"]
    if noise:
        arguments += ["--noise", "3x16x16"]
    monkeypatch.setattr(sys, "argv", ["offline", *arguments])
    offline.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["mlp", "cnn"]
    assert all("times the bare loop's seconds" in line for line in lines)


def test_codecs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["codecs", "--images", "30"])
    codecs.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0].partition(":")[0] for line in lines[1:]] == list(CODECS)


def test_decoding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["decoding", "--share", "0.005", "--image-size", "32"])
    monkeypatch.setattr(decoding.time, "sleep", lambda seconds: None)
    decoding.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "images: 16 of 224 x 224, decoded to 32"
    assert [line.split(":")[0] for line in lines[1:4]] == [
        "first start",
        "second start",
        "ratio first / second",
    ]


def test_comparison(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["comparison", "--reports", "40", "--repeats", "1"])
    monkeypatch.setattr(comparison, "seconds_of", lambda folder, output: 1.0)
    comparison.main()
    assert capsys.readouterr().out.startswith("40 reports in ")
