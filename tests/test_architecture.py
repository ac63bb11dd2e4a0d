from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 500
MAX_PARAMETERS, LONG, MAX_LONG = 8, 60, 7
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


def functions() -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of the sources, methods and inner ones too, by file, line and name."""
    return {
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}": node
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_functions_take_few_parameters() -> None:
    found = {}
    for name, node in functions().items():
        given = node.args
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        found[name] = len(named) + (given.vararg is not None) + (given.kwarg is not None)
    assert len(found) > 500, "no sources found"
    assert {name: num for name, num in found.items() if num > MAX_PARAMETERS} == {}


def test_few_functions_are_long() -> None:
    lengths = {
        name: (node.end_lineno or node.lineno) - node.lineno + 1
        for name, node in functions().items()
    }
    long = {name: num for name, num in lengths.items() if num > LONG}
    assert len(long) <= MAX_LONG, long


TABLES = [
    f"clbench.{part}.table"
    for part in ("codecs", "distillation", "networks", "evaluation", "tracking")
]


@pytest.mark.parametrize(
    "module", ["clbench", "clbench.cli", "clbench.config", "clbench.strategies", *TABLES]
)
def test_importing_is_light(module: str) -> None:
    heavy = {"torch", "torchvision", "avalanche", "matplotlib", "scipy", "numpy"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
