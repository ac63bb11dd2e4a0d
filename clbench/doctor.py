"""What of this machine matters to clbench, and what to do where something is amiss."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

Health = Literal["ok", "note", "problem"]

_NEWEST_UNKNOWN = "not installed"
_ENOUGH_DISK = 2 * 2**30  # bytes: experts and decoded images of a large data set
_ENOUGH_MEMORY = 2 * 2**30  # bytes: a run on MNIST peaks at half of it
# Extra of setup.cfg -> the package that it brings.
EXTRAS = {"tune": "optuna", "ray": "ray", "wandb": "wandb", "mlflow": "mlflow"}
_OWN = "import torchvision"  # as in a user's script, without what clbench does before


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: what.
        health: "ok"; "note", something that is missing and not needed; "problem", to be mended.
        found: in a few words.
        advice: what to do; "" where nothing is.
    """

    about: str
    health: Health
    found: str
    advice: str = ""


def examine(data_root: Path | None = None) -> Iterator[Finding]:
    """Look at Python, packages, devices, codecs, plug-ins, folders and data, in this order.

    Args:
        data_root: where data sets are looked for, see `clbench.data.data_root`.
    """
    yield from _packages()
    yield _torchvision()
    yield from _devices()
    yield _memory()
    yield from _codecs()
    yield from _extras()
    yield from _plugins()
    yield from _places()
    yield from _data(data_root)


def _packages() -> Iterator[Finding]:
    version, needed = platform.python_version(), (3, 11)
    good = sys.version_info >= needed
    advice = "" if good else "make an environment with Python 3.11 or newer"
    yield Finding("Python", "ok" if good else "problem", version, advice)
    for name in ("clbench", "torch", "torchvision", "avalanche-lib", "numpy", "constriction"):
        found = _version(name)
        lacks = found is None and name != "clbench"
        advice = f"pip install {name}" if lacks else ""
        shown = found or ("used from its folder" if name == "clbench" else _NEWEST_UNKNOWN)
        yield Finding(name, "problem" if lacks else "ok", shown, advice)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _torchvision() -> Finding:
    about = "torchvision in your own scripts"
    done = subprocess.run([sys.executable, "-c", _OWN], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Finding(about, "ok", "can be imported")
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return Finding(
        about,
        "note",
        f"cannot be imported unless clbench is before ({last})",
        "install torch and torchvision from one index (README, Install and run)",
    )


def _devices() -> Iterator[Finding]:
    import torch

    from clbench.evaluation.trials import default_workers

    cores, threads = default_workers(), torch.get_num_threads()
    good = threads <= cores
    yield Finding(
        "cores",
        "ok" if good else "problem",
        f"{cores} to use, {threads} threads",
        "" if good else "set OMP_NUM_THREADS to the number of cores, or leave it unset",
    )
    if not torch.cuda.is_available():
        yield Finding("GPU", "note", "none that PyTorch can use", "none is needed for digits")
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(number)
        yield Finding("GPU", "ok", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")


def _memory() -> Finding:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return Finding("memory", "note", "unknown on this system")
    good = free >= _ENOUGH_MEMORY
    advice = "" if good else "close what holds it; clbench run on MNIST takes about 1 GiB"
    return Finding("memory", "ok" if good else "problem", f"{free / 2**30:.1f} GiB free", advice)


def _codecs() -> Iterator[Finding]:
    from PIL import features

    for kind, feature in (("png", "zlib"), ("jpeg", "jpg"), ("webp", "webp"), ("avif", "avif")):
        there = features.check(feature)
        advice = "" if there else "pip install --upgrade --force-reinstall pillow"
        found = "can be written" if there else "Pillow was built without it"
        yield Finding(f"codec {kind}", "ok" if there else "note", found, advice)


def _extras() -> Iterator[Finding]:
    for extra, package in EXTRAS.items():
        found = _version(package)
        if found is None:
            advice = f"pip install 'clbench[{extra}]'"
            yield Finding(f"extra {extra}", "note", f"{package} is not installed", advice)
        else:
            yield Finding(f"extra {extra}", "ok", f"{package} {found}")


def _plugins() -> Iterator[Finding]:
    from clbench.codecs.table import CODECS
    from clbench.distillation import DISTILLERS
    from clbench.evaluation.table import EVALUATIONS
    from clbench.networks import NETWORKS
    from clbench.strategies import STRATEGIES

    for table in (STRATEGIES, DISTILLERS, NETWORKS, CODECS, EVALUATIONS):
        for fault in table.loaded()[1]:
            advice = "upgrade or uninstall the package that brings it"
            yield Finding("plug-in", "problem", fault, advice)


def _places() -> Iterator[Finding]:
    from clbench.store.files import cache_dir

    cache = cache_dir()
    yield _writable("runs (the current folder)", Path.cwd(), "work in a folder of your own")
    yield _writable("cache", cache, "set CLBENCH_CACHE to a folder that can be written")


def _writable(about: str, folder: Path, advice: str) -> Finding:
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding(about, "problem", f"{folder}: {error.strerror}", advice)
    found = f"{folder}: can be written, {free / 2**30:.1f} GiB free"
    if free < _ENOUGH_DISK:
        return Finding(about, "problem", found, "free some space, or clbench cache clear")
    return Finding(about, "ok", found)


def _data(data_root: Path | None) -> Iterator[Finding]:
    from clbench import data

    root = data.data_root(data_root)
    for name in data.names():
        state = data.status(name, root)
        there = state != "missing"
        ask = data.info(name).on_request
        get = f"see clbench data prepare {name} --help" if ask else f"clbench data fetch {name}"
        found = state if state == "embedded" else f"{state} in {root}"
        yield Finding(f"data {name}", "ok" if there else "note", found, "" if there else get)
