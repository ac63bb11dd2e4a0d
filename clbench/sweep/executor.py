"""Who makes the runs of a sweep: processes of this machine, or Ray on one machine or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clbench.errors import InputError
from clbench.sweep.states import Planned
from clbench.table import Lazy

MOST_ATTEMPTS = 3  # of a run whose workers die
STOP_SECONDS = 60.0  # that workers have to end their step

OnStart = Callable[[Planned], None]


@dataclass(frozen=True)
class Settings:
    """What all runs of a sweep share.

    Attributes:
        num_threads: of torch in each worker.
        data_root: see `clbench.run.run`.
        use_cache: see `clbench.run.run`.
        tensorboard: write events.
    """

    num_threads: int
    data_root: Path | None = None
    use_cache: bool = True
    tensorboard: bool = True


@dataclass(frozen=True)
class Share:
    """What one run gets of a machine, and how many go on at once.

    Attributes:
        workers: runs at once; None is as many as fit.
        cores: of each run, the threads of torch; None shares the cores among ``workers``.
        gpus: of each run, also a part of one; only Ray gives them out.
        memory_bytes: of each run; only Ray gives it out.
        address: HOST:PORT of the cluster; None is this machine.
    """

    workers: int | None = None
    cores: int | None = None
    gpus: float = 0.0
    memory_bytes: int | None = None
    address: str | None = None


@dataclass(frozen=True)
class Ended:
    """A run that a worker is done with.

    Attributes:
        planned: which.
        status: "done", "taken" by another sweep, "failed", "diverged" or "interrupted".
        why: in one line, where it did not end well.
    """

    planned: Planned
    status: str
    why: str = ""


class Executor(Protocol):
    """Makes runs, each in its place below the sweep's folder.

    Attributes:
        settings: what all runs share, their number of threads settled.
    """

    settings: Settings

    def where(self) -> str:
        """Return in a few words who makes the runs, as "2 at once"."""
        ...

    def at_once(self) -> int:
        """Return how many runs go on at once, at least 1."""
        ...

    def run(self, planned: Sequence[Planned], on_start: OnStart | None = None) -> Iterator[Ended]:
        """Make the runs; each that ends is given at once.

        Leaving early stops the workers at the end of their step; what they reached is kept in the
        sweep's folder, and the same runs go on from there.

        Args:
            planned: what is to be run, in this order.
            on_start: hears of each run that is handed out.
        """
        ...

    def close(self) -> None:
        """Leave what was started or joined."""
        ...


EXECUTORS = {
    "local": Lazy("clbench.sweep.local:local_pool"),
    "ray": Lazy("clbench.sweep.ray_pool:ray_pool"),
}
"""Name -> what makes an `Executor` of folder, settings but for the threads, and share."""


def make_executor(name: str, folder: Path, settings: Settings, share: Share) -> Executor:
    """Return the executor called ``name``; nothing is started yet.

    Args:
        name: one of `EXECUTORS`.
        folder: of the sweep.
        settings: its number of threads is settled by ``share``.
        share: of each run.

    Raises:
        InputError: no such executor, its library is missing, or a share that it cannot give.
    """
    if name not in EXECUTORS:
        raise InputError(f"executor: expected one of {', '.join(EXECUTORS)}, found {name!r}")
    made: Executor = EXECUTORS[name](folder, settings, share)
    return made
