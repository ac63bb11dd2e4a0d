"""Commands in processes that are forked when everything is imported: they start at once.

What the long forms of the tests of killing and racing share; needs a system with ``fork``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from clbench import api, comparison, evaluation, figures, run, tracking
from clbench.cli import group
from clbench.cli.compare import command as _compare
from clbench.cli.distill import command as _distill
from clbench.cli.evaluate import command as _evaluate
from clbench.cli.run import command as _run
from clbench.distillation import unfinished
from clbench.distillation.expert import Expert
from clbench.store import under_way
from clbench.strategies.learner import TensorLearner
from clbench.training import Training

IMPORTED = (api, comparison, evaluation, figures, run, tracking)
COMMANDS = (_compare, _distill, _evaluate, _run)


class Started:
    """A command under way.

    Attributes:
        pid: of its process.
        folder: where it works, with what it printed.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, cache: Path, tag: str = "") -> None:
        """Fork and run ``clbench`` with the arguments in ``folder``."""
        self.folder, self._printed = folder, folder / f".printed{tag}"
        # One thread before a fork, so that no pool of threads is lost in it.
        torch.set_num_threads(1)
        self.pid = os.fork()
        if not self.pid:
            os._exit(_work(arguments, folder, cache, self._printed))

    def wait(self, seconds: float | None = None) -> int | None:
        """Exit code, minus the signal's number where one ended it; None if it still runs."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, 0 if end is None else os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if end is not None and time.monotonic() > end:
                return None
            time.sleep(0.005)

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    @property
    def printed(self) -> str:
        """What it printed on both streams."""
        return self._printed.read_text(errors="replace")


def _work(arguments: Sequence[str], folder: Path, cache: Path, printed: Path) -> int:
    os.chdir(folder)
    os.environ["CLBENCH_CACHE"] = str(cache)
    with printed.open("a") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            group.cli.main(list(arguments), prog_name="clbench")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
            return 99
        finally:
            out.flush()
    return 98


def count_steps(file: Path) -> None:
    """From now on every step of any training or distillation, here or forked, adds a byte."""
    counter = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            os.write(counter, b".")
            return work(*arguments, **named)

        return step

    for owner, name in (
        (TensorLearner, "_unpack_minibatch"),
        (Training, "_step"),
        (Expert, "step"),
        (unfinished.Unfinished, "reached"),
    ):
        setattr(owner, name, counted(getattr(owner, name)))


def write_states_every(seconds: float) -> None:
    """Do in seconds what is done in half minutes."""
    under_way.EVERY_SECONDS = unfinished.EVERY_SECONDS = seconds
    under_way.WORTH_KEEPING_SECONDS = unfinished.WORTH_KEEPING_SECONDS = seconds / 5


def left_running(cache: Path) -> list[int]:
    """Processes that work with this cache, by what Linux tells of them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mine = f"CLBENCH_CACHE={cache}".encode() in (folder / "environ").read_bytes()
            if mine and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def require_fork() -> None:
    """End with a line where there is no ``fork``."""
    if not hasattr(os, "fork"):
        sys.exit("this needs a system with fork")
