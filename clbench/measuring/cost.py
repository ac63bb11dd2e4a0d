"""What a run costs: operations, seconds, bytes, and where it ran."""

from __future__ import annotations

import logging
import platform
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clbench.machine.device import autocast

# Below so many operations nothing is measured: minutes on any core.
WORTH_MEASURING = 1e13
WORTH_TELLING_MINUTES = 20
_BATCH = 16
_ACTIVATIONS = ("relu", "relu_", "leaky_relu", "leaky_relu_", "sigmoid", "sigmoid_")
_POOLINGS = ("max_pool2d", "avg_pool2d", "adaptive_max_pool2d")
_DISTRIBUTIONS = ("clbench", "torch", "torchvision", "avalanche-lib", "numpy")


def forward_flops(
    module: nn.Module, shape: tuple[int, int, int], *, report_counting: bool = False
) -> float:
    """Floating-point operations of one forward pass of one image, as fvcore counts them.

    A multiply-add is one operation. Convolutions, linear layers and normalisations count;
    activations and most poolings do not. A backward pass is taken as twice a forward pass, so
    training on an image costs three times this.

    Args:
        module: any traceable network; runs once in evaluation mode, its mode is put back.
        shape: (C, H, W) of an image.
        report_counting: add one operation per element of each activation and per input element of
            each pooling, which is what reproduces the ConvNet figures of the course report
            (4.96e7 for ConvNet-3 at 1 x 28 x 28, 8.81e8 for ConvNet-7 at 3 x 128 x 128).
    """
    # fvcore's import alone warns of what torch has deprecated.
    with _quiet():
        from fvcore.nn import FlopCountAnalysis
        from fvcore.nn.jit_handles import elementwise_flop_counter

    parameter = next(module.parameters(), None)
    image = torch.zeros(1, *shape, device=parameter.device if parameter is not None else "cpu")
    modes = [(part, part.training) for part in module.modules()]
    analysis = FlopCountAnalysis(module.eval(), (image,))
    if report_counting:
        for name in _ACTIVATIONS + _POOLINGS:
            analysis.set_op_handle(f"aten::{name}", elementwise_flop_counter(1, 0))
    try:
        with _quiet():
            return float(analysis.total())
    finally:
        for part, training in modes:
            part.training = training


def forward_rate(network: nn.Module, shape: tuple[int, int, int]) -> float:
    """Floating-point operations a second of forward passes on the CPU, from a small batch."""
    images = torch.zeros(_BATCH, *shape)
    with torch.no_grad(), autocast("auto", torch.device("cpu")):
        network(images)
        start = time.perf_counter()
        network(images)
        seconds = time.perf_counter() - start
    return _BATCH * forward_flops(network, shape) / max(seconds, 1e-9)


def long_work(what: str, flops: float, rate: Callable[[], float], shorter: str) -> str | None:
    """A line on work that will take more than 20 minutes on this CPU; None for shorter work.

    Args:
        what: the work, as "distilling".
        flops: its operations.
        rate: measures the operations a second of such work here; called where it is long.
        shorter: options that would shorten it.
    """
    if flops < WORTH_MEASURING:
        return None
    minutes = flops / rate() / 60
    if minutes < WORTH_TELLING_MINUTES:
        return None
    span = f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
    return (
        f"{what} will take about {span} on this CPU ({flops:.1e} operations), less what the cache "
        f"holds; a GPU, or smaller {shorter}, shortens it"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No word about operators that count as free, nor about tracing."""
    logger = logging.getLogger("fvcore.nn.jit_analysis")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


class Stopwatch:
    """Seconds of named phases; an inner phase's seconds are not counted in the outer one.

    ``with clock.phase("train"): ... with clock.phase("distil"): ...`` charges the inner block to
    "distil" alone. Phases of one name add up. For one thread.

    Attributes:
        seconds: phase name -> seconds so far, in the order of first use.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Start the clock.

        Args:
            device: a CUDA device is waited for at each boundary, since its work runs behind.
            timer: seconds from any fixed moment.
        """
        self.seconds: dict[str, float] = {}
        self._device = device
        self._timer = timer
        self._running: list[str] = []
        self._start = self._mark = timer()

    @property
    def total_seconds(self) -> float:
        """Wall seconds since the stopwatch was made, in phases or outside."""
        return self._now() - self._start

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far, those of the phase under way too."""
        self._charge()
        return {"phases": dict(self.seconds), "total": self.total_seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on from seconds that passed in another process."""
        for name, seconds in state["phases"].items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self._start -= state["total"]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge what happens inside to ``name``."""
        self._charge()
        self._running.append(name)
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _now(self) -> float:
        if self._device is not None and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._timer()

    def _charge(self) -> None:
        now = self._now()
        if self._running:
            self.seconds[self._running[-1]] += now - self._mark
        self._mark = now


def peak_memory_bytes(device: torch.device | None = None) -> int | None:
    """The most memory this process has held so far.

    On the host the peak resident set of the whole process; for a CUDA ``device`` the peak that
    torch's allocator handed out there. None on platforms that do not tell (Windows).
    """
    if device is not None and device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    own = _own_peak()
    if own is not None:
        return own
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # getrusage(2): macOS reports bytes, Linux and the BSDs kilobytes.
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def _own_peak() -> int | None:
    """Bytes by Linux's books of this program alone.

    getrusage(2) also counts what the process held before exec(2): a worker's parent.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def environment(device: torch.device | None = None) -> dict[str, Any]:
    """Where a run took place: the same on every call in one process.

    Returns:
        python, platform, processor, versions {distribution: version or None}, commit (of the
        clbench source tree, or None outside git), dirty (uncommitted changes to the sources; None
        without commit), num_threads of torch, device (name of the GPU, or "cpu").
    """
    commit, dirty = _git_state(Path(__file__).resolve().parent)
    cuda = device is not None and device.type == "cuda"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "versions": {name: _version(name) for name in _DISTRIBUTIONS},
        "commit": commit,
        "dirty": dirty,
        "num_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        if distribution == "clbench":
            import clbench

            return clbench.__version__
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _git_state(package: Path) -> tuple[str | None, bool | None]:
    # An installed copy may lie inside somebody else's repository, whose commit says nothing.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    commit = _git(package, "rev-parse", "HEAD")
    linked = (package / name for name in ("strategies", "benchmarks"))
    sources = [str(path.resolve()) for path in (package, *linked) if path.exists()]
    status = _git(package, "status", "--porcelain", "--", *sources)
    return (commit, None if status is None else bool(status)) if commit else (None, None)
