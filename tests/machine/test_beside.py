from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clbench.machine import beside as module
from clbench.machine.beside import beside

KEPT = Path(__file__).parents[1] / "kept"
COPIES = sys.platform == "linux"  # where a copy is safe; elsewhere the work is done here


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of this process, which is copied although torch is imported."""
    monkeypatch.setattr(module, "_can_copy", lambda: COPIES)
    return os.getpid()


def test_the_work_is_done_in_another_process_where_that_is_safe(here: int) -> None:
    process, text = beside(lambda: (os.getpid(), "x" * 1_000_000))()
    assert (process != here) is COPIES
    assert len(text) == 1_000_000


def test_work_whose_process_ends_early_is_done_here(here: int) -> None:
    result = beside(lambda: os.getpid() if os.getpid() == here else os._exit(9))
    assert result() == here


def test_a_failure_is_met_here(here: int) -> None:
    def fail() -> None:
        raise ValueError("no such colour")

    with pytest.raises(ValueError, match="no such colour"):
        beside(fail)()


def test_without_a_copy_the_work_waits_until_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_can_copy", lambda: False)
    done: list[int] = []
    result: Callable[[], None] = beside(lambda: done.append(1))
    assert done == []
    result()
    assert done == [1]


def test_a_comparison_is_the_same_with_and_without_a_second_process(tmp_path: Path) -> None:
    """With torch in it no process is copied, on any platform."""
    written = []
    for name, first in (("alone", "torch"), ("beside", "sys")):
        start = f"import {first}; from clbench.cli import main; main()"
        command = ["compare", str(KEPT), "-o", name, "--quiet"]
        subprocess.run([sys.executable, "-c", start, *command], cwd=tmp_path, check=True)
        written.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert any(name.endswith(".png") for name in written[0])
    assert written[0] == written[1]
