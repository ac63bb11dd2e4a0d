from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 500
SOURCES = [
    file
    for folder in ("clbench", "strategies", "benchmarks")
    for file in sorted((ROOT / folder).rglob("*.py"))
]


def test_imports_point_downwards(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlinter.cli import lint_imports

    monkeypatch.chdir(ROOT)
    code = lint_imports(no_cache=True)
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize("folder", ["clbench", "strategies", "benchmarks"])
def test_modules_stay_short(folder: str) -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text().splitlines())
        for file in SOURCES
        if file.is_relative_to(ROOT / folder)
    }
    assert lengths, "no sources found"
    assert {name: num for name, num in lengths.items() if num > MAX_LINES} == {}


@pytest.mark.parametrize("module", ["clbench", "clbench.cli"])
def test_importing_is_light(module: str) -> None:
    heavy = {"torch", "torchvision", "avalanche", "matplotlib", "scipy", "numpy"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
