"""The commands of this folder run; what they measure is for people to read, not to be asserted."""

from __future__ import annotations

import sys

import pytest
import torch

from clbench.config import NetworkConfig
from tests.speed import comparison, decoding, several_networks


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


def test_several_networks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = (NetworkConfig("convnet", width=4, depth=2), NetworkConfig("mlp", width=8))
    monkeypatch.setattr(several_networks, "CASES", cases)
    few = ["--networks", "2", "--steps", "2", "--batches", "5", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["several_networks", *few])
    threads = torch.get_num_threads()
    several_networks.main()
    torch.set_num_threads(threads)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["network", "width", "batch"]
    for line, name in zip(lines, ["convnet", "mlp"], strict=True):
        found = line.split()
        assert found[0] == name and float(found[3]) > 0 and float(found[5]) > 0
        assert float(found[4]) < 1e-5 and float(found[6]) < 1e-5, "every way takes the same steps"


def test_several_networks_are_trained_at_all() -> None:
    work = several_networks.Work.drawn(NetworkConfig("mlp", width=8), 2, 3, 5)
    before = several_networks._states(work)
    _, after = several_networks.one_after_another(work)
    assert several_networks.difference(before, after) > 1e-3
    assert several_networks.difference(before, several_networks._states(work)) == 0
