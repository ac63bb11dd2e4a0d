"""Every case in a process of its own: what is imported once cannot be imported otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NEEDS_OPERATORS = """
import torch
for name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, name):
        raise RuntimeError(f"operator torchvision::{name} does not exist")
from . import datasets
"""
BRINGS_OPERATORS = """
import torch
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor a, Tensor b, float c) -> Tensor")
from . import datasets
"""


def _run(code: str, *paths: Path, **variables: str) -> str:
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(str(p) for p in (*paths, root))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr.strip().rpartition("\n")[2]


def _torchvision(folder: Path, init: str) -> Path:
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(init)
    (package / "datasets.py").write_text("MNIST = 'the class'")
    return folder


USE = """
from clbench.machine import compat
module = compat.prepare()
assert compat.prepare() is module
print(module.datasets.MNIST, "declared" if compat._libraries else "untouched")
"""


def test_installed_pair() -> None:
    code = "from clbench.machine.compat import prepare; print(prepare().datasets.MNIST.__name__)"
    assert _run(code) == "MNIST\n"


def test_declares_what_a_mismatched_torchvision_lacks(tmp_path: Path) -> None:
    assert _run(USE, _torchvision(tmp_path, NEEDS_OPERATORS)) == "the class declared\n"


def test_leaves_a_matched_pair_alone(tmp_path: Path) -> None:
    assert _run(USE, _torchvision(tmp_path, BRINGS_OPERATORS)) == "the class untouched\n"


@pytest.mark.parametrize(
    "message", ["no driver found", "operator torchvision::brand_new does not exist"]
)
def test_passes_other_errors_on(tmp_path: Path, message: str) -> None:
    folder = _torchvision(tmp_path, f"raise RuntimeError({message!r})")
    assert _run(USE, folder) == f"RuntimeError: {message}"


HOMELESS = """
import os
from clbench.machine.compat import prepare
prepare()
import avalanche.benchmarks
from avalanche.benchmarks.datasets import dataset_utils as settings
print(os.environ["HOME"], os.path.exists(settings.AVALANCHE_CONFIG_FILENAME))
import atexit
atexit._run_exitfuncs()
print(os.path.exists(settings.AVALANCHE_CONFIG_ROOT))
"""


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    """Avalanche's settings go to a folder that lasts as long as the process."""
    home = tmp_path / "file" / "home"
    (tmp_path / "file").touch()
    found = _run(HOMELESS, HOME=str(home), USERPROFILE=str(home))
    assert found.startswith(f"{home} True\nFalse\n")


def test_a_home_that_can_be_written_is_used(tmp_path: Path) -> None:
    found = _run(HOMELESS, HOME=str(tmp_path), USERPROFILE=str(tmp_path))
    assert found.startswith(f"{tmp_path} True\nTrue\n")
