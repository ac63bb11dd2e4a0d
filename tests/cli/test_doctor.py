"""``clbench doctor``: what it looks at, and that it sees what is amiss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import features

from clbench import doctor
from tests.cli.conftest import Invoke
from tests.cli.test_errors import assert_one_line


@pytest.fixture(autouse=True)
def _own_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing torchvision in a process of its own takes seconds; one test does it."""
    monkeypatch.setattr(doctor, "_OWN", "")


def found(about: str) -> doctor.Finding:
    (one,) = [finding for finding in doctor.examine() if finding.about == about]
    return one


def test_a_sound_machine(invoke: Invoke) -> None:
    done = invoke("doctor", "--json")
    assert done.exit_code == 0, done.stdout
    shown = json.loads(done.stdout)
    abouts = {finding["about"] for finding in shown["findings"]}
    assert {"Python", "torch", "cores", "memory", "codec avif", "cache", "data mnist5k"} <= abouts
    assert shown["problems"] == 0
    table = invoke("doctor")
    assert "nothing to mend" in table.stdout and "clbench data fetch kmnist" in table.stdout


def test_every_finding_that_is_amiss_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    findings = list(doctor.examine())
    assert all(one.advice for one in findings if one.health == "problem")
    by = {one.about: one for one in findings}
    assert by["torch"].health == "problem" and by["torch"].advice == "pip install torch"
    assert by["codec avif"].health == "note" and by["codec png"].health == "ok"
    assert by["extra tune"].advice == "pip install 'clbench[tune]'"


def test_folders_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("CLBENCH_CACHE", str(file / "below"))
    assert found("cache").health == "problem" and "CLBENCH_CACHE" in found("cache").advice
    done = invoke("doctor")
    assert done.exit_code == 1 and "1 problem" in done.stdout
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "new" / "cache"))
    assert found("cache").health == "ok" and not (tmp_path / "new").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    assert found("cache").health == "problem" and "free some space" in found("cache").advice


def test_torchvision_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_OWN", "raise RuntimeError('no nms')")
    one = found("torchvision in your own scripts")
    assert one.health == "note" and "RuntimeError: no nms" in one.found
    assert "one index" in one.advice


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["comapre"], ["found 'comapre'; did you mean 'compare'?"]),
        (["data", "fech"], ["Did you mean 'fetch'?"]),
        (["evaluate", "offline", "s.safetensors"],
         ["expected options only, found 's.safetensors' as well", "clbench evaluate SET"]),
        (["list", "data", "codecs"], ["found 'codecs' as well"]),
    ],
)  # fmt: skip
def test_what_was_meant(typed: list[str], words: list[str], invoke: Invoke) -> None:
    assert_one_line(invoke(*typed), *words)
