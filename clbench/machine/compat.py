"""Lets torchvision and Avalanche be imported where their own import fails.

The registry's torchvision is built for CUDA. Beside a CPU-only PyTorch its compiled library does
not load, and its import fails with "operator torchvision::nms does not exist", because it gives a
shape function to detection operators that only the library declares. Nothing here uses those
operators, so declaring them is enough. A matched pair is left alone.

Avalanche writes its settings below the home folder when it is imported, which fails in a container
or a cluster's job without one. Nothing here reads them, so a folder that lasts as long as the
process will do.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_SETTINGS = "avalanche.benchmarks.datasets.dataset_utils"
# A declaration lasts only as long as the Library object that made it.
_libraries: list[Any] = []


def prepare() -> ModuleType:
    """Import torchvision, first declaring the operators it lacks; call before importing Avalanche.

    Also sees to a home for Avalanche's settings where there is none.

    Returns:
        torchvision. A second call does nothing more.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: torchvision's import fails for another reason than a missing operator.
    """
    torchvision = _torchvision()
    _find_home()
    return torchvision


def _torchvision() -> ModuleType:
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        # The error is the only test that needs no knowledge of where a platform keeps the library.
        if "torchvision::" not in str(error) or not _declare_missing():
            raise
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    return importlib.import_module("torchvision")


def _find_home() -> None:
    """Give Avalanche and matplotlib a temporary folder where the home folder cannot be written."""
    settings = Path("~/.avalanche").expanduser()
    if _SETTINGS in sys.modules or (settings / "config.json").exists():
        return
    try:
        settings.mkdir(parents=True, exist_ok=True)
        if os.access(settings, os.W_OK):
            return
    except OSError:
        pass
    place = tempfile.mkdtemp(prefix="clbench-home-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    os.environ.setdefault("MPLCONFIGDIR", place)
    before = {name: os.environ.get(name) for name in ("HOME", "USERPROFILE")}
    os.environ.update(dict.fromkeys(before, place))
    try:
        importlib.import_module(_SETTINGS)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _declare_missing() -> list[str]:
    import torch

    missing = [name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in missing:
        library.define(_SCHEMAS[name])
    _libraries.append(library)
    return missing
