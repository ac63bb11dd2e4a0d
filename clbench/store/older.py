"""Files that earlier versions kept in the cache: never read any more, shown and cleared."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from clbench.store.eviction import Entry, discard

OLDER = "older"

_DIGEST = "[0-9a-f]{64}"
_FORMS = re.compile(
    rf"distilled/{_DIGEST}\.safetensors"
    rf"|trials/{_DIGEST}\.json"
    rf"|trajectories/{_DIGEST}/(?:expert_\d+|difficulty)\.safetensors"
    rf"|images/(?:{_DIGEST}\.(?:npy|json)|seen-[0-9a-f]{{32}}\.json)"
    rf"|unfinished/{_DIGEST}\.pt"
)
_FOLDERS = ("distilled", "images", "trajectories", "trials", "unfinished")


def older_entries(root: Path) -> list[Entry]:
    """Return the files below ``root`` that an earlier version named, of the kind `OLDER`."""
    found = []
    for folder in _FOLDERS:
        for file in sorted(root.glob(f"{folder}/**/*")):
            name = file.relative_to(root).as_posix()
            with suppress(OSError):
                if _FORMS.fullmatch(name) and file.is_file():
                    status = file.stat()
                    found.append(Entry(OLDER, name, status.st_size, status.st_mtime))
    return found


def clear_older(root: Path) -> int:
    """Remove these files, and their folders where nothing else is in them; return bytes freed."""
    freed = 0
    for entry in older_entries(root):
        file = root / entry.name
        discard(file)
        freed += 0 if file.exists() else entry.num_bytes
    for folder in _FOLDERS:
        for place in (*(root / folder).glob("*/"), root / folder):
            with suppress(OSError):
                place.rmdir()
    return freed
