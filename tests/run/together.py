"""Commands that are started in one moment, by a process that has imported everything before.

Where there is no fork, each is a process of its own, which imports for itself.

    python -m tests.run.together CACHE '[["folder", ["run", ...]], ["folder", ["run", ...]]]'

It prints a JSON list with the exit code and the print of each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.run.commands import Started

Command = tuple[str, list[str]]  # folder, arguments


def forked(commands: Sequence[Command], cache: Path) -> list[tuple[int | None, str]]:
    """Exit code and print of each; they start when importing is done."""
    started = [
        Started(arguments, Path(folder), cache, tag=str(number))
        for number, (folder, arguments) in enumerate(commands)
    ]
    return [(one.wait(), one.printed) for one in started]


def spawned(commands: Sequence[Command], cache: Path) -> list[tuple[int | None, str]]:
    """The same without fork."""
    environment = {**os.environ, "CLBENCH_CACHE": str(cache)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "clbench", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for folder, arguments in commands
    ]
    printed = [process.communicate(timeout=200)[0] for process in started]
    return [(one.returncode, text) for one, text in zip(started, printed, strict=True)]


def main() -> None:
    """Start all, wait, and tell."""
    together = forked if hasattr(os, "fork") else spawned
    print(json.dumps(together(json.loads(sys.argv[2]), Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
