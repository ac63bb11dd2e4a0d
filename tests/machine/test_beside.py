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
linux = pytest.mark.skipif(sys.platform != "linux", reason="copies of a process: Linux alone")


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> int:
    """Copy this process although torch is imported; its number."""
    monkeypatch.setattr(module, "_can_copy", lambda: True)
    return os.getpid()


@linux
def test_the_work_is_done_in_another_process(copying: int) -> None:
    result = beside(lambda: (os.getpid(), "x" * 1_000_000))
    process, text = result()
    assert process != copying
    assert len(text) == 1_000_000


@linux
def test_work_whose_process_ends_early_is_done_here(copying: int) -> None:
    result = beside(lambda: os.getpid() if os.getpid() == copying else os._exit(9))
    assert result() == copying


@linux
def test_a_failure_is_met_here(copying: int) -> None:
    def fail() -> None:
        raise ValueError("no such colour")

    with pytest.raises(ValueError, match="no such colour"):
        beside(fail)()


def test_without_a_copy_the_work_waits_until_it_is_asked_for() -> None:
    assert "torch" in sys.modules or sys.platform != "linux"
    done: list[int] = []
    result: Callable[[], None] = beside(lambda: done.append(1))
    assert done == []
    result()
    assert done == [1]


@linux
def test_a_comparison_is_the_same_with_and_without_a_second_process(tmp_path: Path) -> None:
    written = []
    # One core in the affinity mask is what `_can_copy` takes as no room for a copy.
    for name, cores in (("two", os.sched_getaffinity(0)), ("one", {min(os.sched_getaffinity(0))})):
        command = [sys.executable, "-m", "clbench", "compare", str(KEPT), "-o", name, "--quiet"]
        subprocess.run(
            command,
            cwd=tmp_path,
            check=True,
            preexec_fn=lambda cores=cores: os.sched_setaffinity(0, cores),
        )
        written.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert written[0].keys() == written[1].keys()
    assert any(name.endswith(".png") for name in written[0])
    assert written[0] == written[1]
