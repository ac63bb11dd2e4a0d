"""Work in steps: a stop from outside waits for the end of the one under way.

A network and its optimiser are whole between two steps only. Who asks to stop (a signal's handler)
calls `postponed`; who works calls `may_stop` after each step, when its state is written down.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Steps:
    """Of the main thread, to which signals come."""

    depth = 0
    asked = False


_steps = _Steps()


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def in_steps() -> Iterator[None]:
    """Inside, a stop waits for `may_stop`, or for the end of the block.

    Only for work that calls `may_stop` often: nothing else stops it meanwhile.
    """
    if not _is_main():
        yield
        return
    _steps.depth += 1
    try:
        yield
    finally:
        _steps.depth -= 1
    if not _steps.depth:
        may_stop()


def postponed() -> bool:
    """Ask for a stop; whether somebody in the main thread will heed it at the end of a step."""
    if not _steps.depth:
        return False
    _steps.asked = True
    return True


def stop_is_asked() -> bool:
    """Whether the next `may_stop` stops."""
    return _steps.asked and _is_main()


def may_stop() -> None:
    """Stop here if it was asked for.

    Raises:
        KeyboardInterrupt: it was.
    """
    if stop_is_asked():
        _steps.asked = False
        raise KeyboardInterrupt
