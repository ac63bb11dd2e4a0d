"""Reading what people hand over: files that end, JSON that is not too deep.

Whatever is wrong is a `ValueError` (or an `OSError`) of a few words; who calls says which file.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from clbench.store.sealing import open_regular

MOST_BYTES = 256 * 2**20  # of text
MOST_DEPTH = 100
_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file: a pipe might wait for ever, a device never end.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: a folder, a pipe or a device.
    """
    with open_regular(path) as file:
        return file.read()


def read_limited(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: a folder, a pipe or a device, or a larger file.
    """
    with open_regular(path) as file:
        found = os.fstat(file.fileno()).st_size
        if found > most:
            raise ValueError(f"expected at most {most:,} bytes, found {found:,}")
        return file.read()


def parse_json(content: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: no JSON, no UTF-8, nan or infinity in it, a number of thousands of digits, or
            deeper than `MOST_DEPTH`.
    """
    text = content.decode() if isinstance(content, bytes) else content
    depth = 0
    for found in _TEXT_OR_BRACKET.finditer(text):
        mark = found[0]
        if mark in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise ValueError(f"expected at most {MOST_DEPTH} levels, found more")
        elif mark in "]}":
            depth -= 1
    return json.loads(text, parse_constant=_refuse)


def read_json(path: Path) -> Any:
    """Return the value in a file of JSON; raises as `read_limited` and `parse_json`."""
    return parse_json(read_limited(path))


def _refuse(constant: str) -> Any:
    raise ValueError(f"expected numbers, found {constant}")
