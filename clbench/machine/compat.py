"""Lets torchvision be imported beside a PyTorch that it was not built for.

The registry's torchvision is built for CUDA. Beside a CPU-only PyTorch its compiled library does
not load, and its import fails with "operator torchvision::nms does not exist", because it gives a
shape function to detection operators that only the library declares. Nothing here uses those
operators, so declaring them is enough. A matched pair is left alone.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
# A declaration lasts only as long as the Library object that made it.
_libraries: list[Any] = []


def prepare() -> ModuleType:
    """Import torchvision, first declaring the operators it lacks; call before importing Avalanche.

    Returns:
        torchvision. A second call does nothing more.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: torchvision's import fails for another reason than a missing operator.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        # The error is the only test that needs no knowledge of where a platform keeps the library.
        if "torchvision::" not in str(error) or not _declare_missing():
            raise
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    return importlib.import_module("torchvision")


def _declare_missing() -> list[str]:
    import torch

    missing = [name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in missing:
        library.define(_SCHEMAS[name])
    _libraries.append(library)
    return missing
