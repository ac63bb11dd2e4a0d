"""What some platforms have not, and signals as a shell in the foreground leaves them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
# Windows has no SIGHUP, ends a process at once by SIGTERM, and numbers its exit codes otherwise.
posix_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
# Only there does the system count the memory of a program apart from that of the process which it
# replaced by exec. Elsewhere clbench reports what the system has, as other tests see.
linux_books = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc/self/status")

# A limit of the size of files stands for a full disk, because mounting a small one needs rights
# that few have. Windows has no such limits; tests/store/test_files.py shows what a full disk costs
# on every platform.
posix_limits = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits of files")


@contextmanager
def heeding(*names: str) -> Iterator[None]:
    """None of these signals is ignored; afterwards all are as before."""
    before = {number: signal.getsignal(number) for number in (getattr(signal, n) for n in names)}
    for number in before:
        standard = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, standard)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
