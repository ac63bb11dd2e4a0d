"""Sweeps in processes of their own, and what they leave: what the long forms of tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def sweep(
    folder: Path, arguments: Sequence[str], *, cache: Path, printed: Path
) -> subprocess.Popen[bytes]:
    """Start ``clbench sweep`` in ``folder``, in a session of its own.

    Args:
        folder: of the sweep.
        arguments: what to run.
        cache: CLBENCH_CACHE.
        printed: file that both streams are added to.
    """
    command = [sys.executable, "-m", "clbench", "sweep", *arguments, "-o", str(folder)]
    environment = {**os.environ, "CLBENCH_CACHE": str(cache), "PYTHONUNBUFFERED": "1"}
    with printed.open("ab") as out:
        return subprocess.Popen(
            command, stdout=out, stderr=out, env=environment, start_new_session=True
        )


def reports(folder: Path) -> dict[str, str]:
    """Name of each finished run -> its report but for times, as text."""
    return {path.parent.name: content(path) for path in folder.glob("runs/*/report.json")}


def content(report: Path) -> str:
    """Return all of a report but what was measured of the machine."""
    values = json.loads(report.read_text())
    del values["measured"]
    return json.dumps(values)


def same(found: Mapping[str, str], expected: Mapping[str, str]) -> int:
    """How many of the reports expected were found, byte for byte; prints where others differ."""
    number = 0
    for name, report in expected.items():
        there = found.get(name, "{}")
        number += there == report
        one, other = json.loads(there), json.loads(report)
        parts = [part for part in other if one.get(part) != other[part]]
        if parts:
            print(f"{name}: other {', '.join(parts)}", flush=True)
    return number
