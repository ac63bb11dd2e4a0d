"""One run as a task of Ray: made in a folder of its node, and sent back as bytes.

No file system is shared. Whenever a run's state was written, what it has reached is sent to the
`Mailbox` beside the driver, so that a lost node costs what came after; a stop is heard of there.
"""

from __future__ import annotations

import _thread
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from clbench.store.claims import NAME, is_held
from clbench.store.files import CHECKPOINTS
from clbench.sweep.executor import Settings
from clbench.sweep.parcel import REPORT, ParcelError, pack, unpack

LOOK_SECONDS = 1.0  # between two looks at the run's directory and at the mailbox
_PREFIX = "clbench-sweep-"
_ABANDONED_SECONDS = 600.0


@dataclass(frozen=True)
class Sent:
    """One run to be made on a node.

    Attributes:
        name: of the run.
        config: JSON of its configuration, read there with that node's tables.
        versions: of clbench and torch at the driver; a node with others would find other numbers.
        state: packed directory to go on from; b"" where the run begins.
    """

    name: str
    config: str
    versions: tuple[str, str]
    state: bytes


class Mailbox:
    """An actor beside the driver: what runs have reached, and whether they are to stop."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._begun: list[tuple[str, str]] = []
        self._states: dict[str, bytes] = {}
        self._stop = False

    def begin(self, name: str, node: str) -> None:
        """A run begins on a machine."""
        self._begun.append((name, node))

    def put(self, name: str, state: bytes) -> None:
        """Keep the packed directory of a run under way, until the driver takes it."""
        self._states[name] = state

    def take(self) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
        """Return what came since the last time: runs that began, and states."""
        taken = self._begun, self._states
        self._begun, self._states = [], {}
        return taken

    def stop(self) -> None:
        """Ask every run to stop at the end of its step."""
        self._stop = True

    def is_stopped(self) -> bool:
        """Whether runs are to stop."""
        return self._stop


class Mail(Protocol):
    """The mailbox as a node sees it; each method may raise OSError where it is out of reach."""

    def begin(self, name: str, node: str) -> None:
        """See `Mailbox.begin`."""
        ...

    def put(self, name: str, state: bytes) -> None:
        """See `Mailbox.put`."""
        ...

    def is_stopped(self) -> bool:
        """See `Mailbox.is_stopped`."""
        ...


class RayMail:
    """A `Mail` by Ray."""

    def __init__(self, actor: Any) -> None:
        """Send to ``actor``, a handle of a `Mailbox`."""
        self._actor = actor

    def begin(self, name: str, node: str) -> None:
        """See `Mailbox.begin`; does not wait."""
        self._actor.begin.remote(name, node)

    def put(self, name: str, state: bytes) -> None:
        """See `Mailbox.put`; waits, so that no two states are under way."""
        self._answer(self._actor.put.remote(name, state), 300.0)

    def is_stopped(self) -> bool:
        """See `Mailbox.is_stopped`."""
        return bool(self._answer(self._actor.is_stopped.remote(), 30.0))

    @staticmethod
    def _answer(asked: Any, most_seconds: float) -> Any:
        import ray

        try:
            return ray.get(asked, timeout=most_seconds)
        except ray.exceptions.RayError as error:
            raise OSError(f"the sweep's mailbox does not answer ({error})") from None


def make_by_ray(sent: Sent, settings: Settings, actor: Any) -> tuple[str, str, bytes]:
    """Be the task of Ray: `make` with the mailbox of this actor's handle."""
    return make(sent, settings, RayMail(actor))


def make(sent: Sent, settings: Settings, mailbox: Mail) -> tuple[str, str, bytes]:
    """Make a run, or go on with it; what became of it, why, and its packed directory.

    The directory is empty bytes where there is nothing to keep.
    """
    from clbench.machine.cores import share_cores

    share_cores()
    mailbox.begin(sent.name, socket.gethostname())
    wrong = _other_versions(sent.versions)
    if wrong:
        return "failed", wrong, b""
    with _folder() as folder:
        directory = folder / "run"
        if sent.state:
            unpack(sent.state, directory)
        status, why = _made(sent, directory, settings, mailbox)
        try:
            return status, why, pack(directory)
        except ParcelError as error:
            return "failed", f"its directory cannot be sent back: {error}", b""


def _made(sent: Sent, directory: Path, settings: Settings, mailbox: Mail) -> tuple[str, str]:
    import torch

    from clbench.errors import InputError
    from clbench.machine.stopping import stoppable
    from clbench.store.reading import parse_json
    from clbench.strategies import read_config
    from clbench.sweep.worker import Order, made

    torch.set_num_threads(settings.num_threads)
    try:
        config = read_config(parse_json(sent.config))
    except InputError as error:  # a plug-in that this node has not
        return "failed", f"{socket.gethostname()}: {' '.join(str(error).split())}"
    try:
        with stoppable(), _watched(sent.name, directory, mailbox):
            return made(Order(config, directory), settings)
    except KeyboardInterrupt:
        if (directory / REPORT).exists():
            return "done", ""
        return "interrupted", "the sweep was stopped"


def _other_versions(wanted: tuple[str, str]) -> str:
    """What is wrong with this node's versions; "" if nothing."""
    found = versions()
    if found == wanted:
        return ""
    return (
        f"{socket.gethostname()}: expected clbench {wanted[0]} and torch {wanted[1]} as where the "
        f"sweep was started, found {found[0]} and {found[1]}; install the same everywhere"
    )


def versions() -> tuple[str, str]:
    """Return the versions of clbench and torch here."""
    import torch

    import clbench

    return clbench.__version__, torch.__version__


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder of this node, removed at the end; those of killed workers are removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            old = time.time() - left.stat().st_mtime > _ABANDONED_SECONDS
            if old and not is_held(left / "run" / NAME):
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _watched(name: str, directory: Path, mailbox: Mail) -> Iterator[None]:
    """Send every new state while the run goes on, and hear whether it is to stop."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(name, directory, mailbox, ended), daemon=True, name="clbench-watch"
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(name: str, directory: Path, mailbox: Mail, ended: threading.Event) -> None:
    sent = _written(directory)
    while not ended.wait(LOOK_SECONDS):
        # The driver's machine may be out of reach for a while; the run goes on.
        with suppress(OSError, ParcelError):
            if mailbox.is_stopped():
                # A handler of `stoppable` hears it, in the main thread and at the end of a step.
                _thread.interrupt_main(signal.SIGTERM)
                return
            found = _written(directory)
            if found != sent and not (directory / REPORT).exists():
                mailbox.put(name, pack(directory))
                sent = found


def _written(directory: Path) -> list[int]:
    """When the states there were written."""
    found = []
    for state in CHECKPOINTS:
        with suppress(OSError):
            found.append((directory / state).stat().st_mtime_ns)
    return found
