"""Commands that are started in one moment, by a process that has imported everything before.

    python -m tests.run.together CACHE '[["folder", ["run", ...]], ["folder", ["run", ...]]]'

It prints a JSON list with the exit code and the print of each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.run.commands import Started, require_fork


def main() -> None:
    """Start all, wait, and tell."""
    require_fork()
    cache, commands = Path(sys.argv[1]), json.loads(sys.argv[2])
    started = [
        Started(arguments, Path(folder), cache, tag=str(number))
        for number, (folder, arguments) in enumerate(commands)
    ]
    print(json.dumps([(one.wait(), one.printed) for one in started]))


if __name__ == "__main__":
    main()
