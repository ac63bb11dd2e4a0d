"""Work in a second process while this one goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from clbench.machine.parent import end_with_the_parent

Result = TypeVar("Result")


def beside(work: Callable[[], Result]) -> Callable[[], Result]:
    """Begin ``work`` in a copy of this process; the function returned waits for its result.

    Where no copy can be had, or it ends early, that function does the work itself. ``work`` must
    have no effect on this process but its result, and must bear to be done twice.
    """
    if not _can_copy():
        return work
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, theirs), daemon=True)
    try:
        with warnings.catch_warnings():
            # Threads of a library for matrices are running; it knows of copies.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
    except OSError:
        return work
    theirs.close()

    def result() -> Result:
        try:
            found: Result = ours.recv()
        except EOFError:
            found = work()
        finally:
            ours.close()
        process.join()
        return found

    return result


def _can_copy() -> bool:
    """Say whether there is a core for it, and nothing here that a copy breaks.

    Copies are safe on Linux alone, and not where torch has begun threads or opened a GPU.
    """
    linux = sys.platform == "linux" and "torch" not in sys.modules
    return linux and len(os.sched_getaffinity(0)) > 1


def _child(work: Callable[[], Result], connection: Connection) -> None:
    # Ctrl-C reaches both; the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_the_parent()
    try:
        connection.send(work())
    except Exception:
        # The parent meets the same fault, and says so.
        return
