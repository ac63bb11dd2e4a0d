"""Threads that wait without burning the cores that others could use."""

from __future__ import annotations

import os

SPINS = "10000"


def share_cores() -> None:
    """Let OpenMP's threads wait for each other in a short loop, then asleep.

    By default libgomp's threads spin some milliseconds at every barrier, also where the core that
    they wait for is another process's. Measured with the README's first command on two cores: 36 s
    either way alone (47 to 53 s if threads never spin), 127 s instead of more than 283 beside two
    other processes. Results do not change. Heeded only before torch is imported; what the user has
    set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
