"""The commands of this folder run; what they measure is for people to read, not to be asserted."""

from __future__ import annotations

import sys

import pytest

from tests.speed import comparison, decoding


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
