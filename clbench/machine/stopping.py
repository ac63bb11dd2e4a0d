"""What stops a command from outside: Ctrl-C, a scheduler's SIGTERM, a terminal that closes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from clbench.machine.steps import postponed

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopping:
    """Which signal has come, if any.

    Attributes:
        signal: its number; None so far.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self.signal: int | None = None

    def exit_code(self, code: int) -> int:
        """Return 128 + the signal's number (130, 143, 129) in place of the code for Ctrl-C."""
        return code if self.signal is None else 128 + self.signal


@contextmanager
def stoppable() -> Iterator[Stopping]:
    """The first of these signals is a `KeyboardInterrupt`, which leaves a state to go on from.

    It waits for the end of a step where one is under way, see `clbench.machine.steps`.
    The second one ends the process at once. A signal that is ignored from outside (nohup) stays so.
    """
    stopping = Stopping()
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    # Python lets the main thread alone set handlers.
    here = threading.current_thread() is threading.main_thread()
    before = {n: signal.getsignal(n) for n in numbers if here}
    heeded = [n for n, handler in before.items() if handler != signal.SIG_IGN]

    def interrupt(signum: int, frame: object) -> None:
        stopping.signal = signum
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)
        if not postponed():
            raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
