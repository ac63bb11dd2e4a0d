"""What some platforms have not."""

from __future__ import annotations

import sys

import pytest

# Windows has no SIGHUP, ends a process at once by SIGTERM, and numbers its exit codes otherwise.
posix_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
