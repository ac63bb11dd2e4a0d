"""A place of its own for every test, and small options that make a run take a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clbench.cli.group import cli

Invoke = Callable[..., Result]

# One small cache of distilled sets would tie tests together; the parsed digits may be shared.
SMALL_STREAM = ["--train-per-class", "20", "--width", "8", "--depth", "1"]
SMALL_DISTILLATION = ["--num-networks", "2", "--updates-per-network", "1", "--distill-width", "4"]
SMALL_EVALUATION = ["--num-networks-evaluated", "2", "--evaluation-epochs", "1"]
SMALL_EVALUATION += ["--evaluation-width", "4", "--workers", "1"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def invoke(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command in an empty working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("CLBENCH_CACHE", str(cache))
    monkeypatch.delenv("CLBENCH_DATA", raising=False)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), prog_name="clbench")

    return run
