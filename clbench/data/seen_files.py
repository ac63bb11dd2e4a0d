"""What is known of the image files of a folder, so that they need not be read again.

The digest of a file is what names it in the cache of decoded images. Reading hundreds of megabytes
at every start would cost as much as the cache saves, so digests are remembered under the file's
size, inode, time of modification and time of status change. A program can set the first time back;
the second one only the kernel sets, at every write, rename or change of the first, so a changed
file is read again. A file that changed less than two seconds before it was read is not remembered,
since it might change once more within the same tick of the clock.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from clbench.data.checks import Inside, refuse
from clbench.data.image_files import ImageRule, header
from clbench.errors import InputError
from clbench.store.store import Store

KIND = "seen"  # of entries in the store

_VERSION = 4
_REST = 64 + 2  # characters of a line behind the signature: SHA-256, grey, several
_SETTLED_NANOSECONDS = 2_000_000_000


class SeenFile(NamedTuple):
    """An image file that passed the checks of its header.

    Attributes:
        sha256: of its bytes.
        grey: it has one channel.
        several: it holds several pictures, of which the first one is taken.
    """

    sha256: str
    grey: bool
    several: bool = False


def look_at(
    root: Path, names: Sequence[str], rule: ImageRule, store: Store, trust: bool = True
) -> list[SeenFile]:
    """Look at every file of ``names`` below ``root``, in order; only those that changed are read.

    Args:
        root: resolved folder.
        names: paths below it.
        rule: what the images must be; part of what is remembered.
        store: what remembers; where it cannot be written, files are read at every start.
        trust: believe what is remembered; without it every file is read.

    Raises:
        InputError: files that are missing, lead out of ``root`` or are no such images: the first of
            them, and how many more.
    """
    place = hashlib.sha256(os.fsencode(f"{_VERSION} {root} {rule!r}")).hexdigest()
    known = _known(store.read(KIND, place) or b"{}")
    # Other lists of the same folder keep what is known of their files.
    asked = set(names)
    remembered = {name: file for name, file in known.items() if name not in asked}
    seen, faults, files = list[SeenFile](), list[str](), Inside(root)
    for name in names:
        try:
            status = files.status(name)
            signature, line = _signature(status), known.get(name, "") if trust else ""
            if not line.startswith(signature) or len(line) != len(signature) + _REST:
                start = time.time_ns()
                content = files.read(name)
                found = SeenFile(hashlib.sha256(content).hexdigest(), *header(content, rule))
                changed = max(status.st_mtime_ns, status.st_ctime_ns)
                settled = start - changed > _SETTLED_NANOSECONDS
                # Changed while it was read: the next start reads it again.
                settled = settled and _signature(files.status(name)) == signature
            else:
                found, settled = _read_line(line, len(signature)), True
        except InputError as error:
            faults.append(f"{root / name}: {error}")
            continue
        seen.append(found)
        if settled:
            remembered[name] = f"{signature}{found.sha256}{found.grey:d}{found.several:d}"
    refuse(faults)
    if remembered != known:
        store.write(KIND, place, json.dumps(remembered).encode())
    return seen


# A line of text for each file: tens of thousands of lists would keep Python's garbage collector
# busy for longer than everything else here.
def _signature(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns} "


def _read_line(line: str, start: int) -> SeenFile:
    return SeenFile(line[start:-2], line[-2] == "1", line[-1] == "1")


def _known(content: bytes) -> dict[str, str]:
    try:
        known = json.loads(content).items()
    except (ValueError, AttributeError, RecursionError):
        return {}
    return {name: line for name, line in known if isinstance(line, str)}
