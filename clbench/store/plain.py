"""What other programs can read: strict JSON, and text that is UTF-8 and moves no cursor."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")
# Control characters but for tab and newline, and those that turn the direction of what follows.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def readable(text: str) -> str:
    """The text with what is not to be shown as it is as U+FFFD.

    That is what is not UTF-8 (bytes of a file's name, mostly), and what a terminal obeys instead of
    showing it. Names of files, classes and runs may come from anybody.
    """
    return _CONTROL.sub("\ufffd", _SURROGATES.sub("\ufffd", text))


def to_json(content: Any) -> str:
    """JSON with two spaces of indent and keys in the order given.

    A number that is not finite (nan, infinity) becomes null, since JSON has none: whoever reads a
    number that may have diverged must expect None. Text that is not UTF-8 has U+FFFD in its place.
    """
    return json.dumps(_plain(content), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, str):
        return _SURROGATES.sub("\ufffd", content)
    if isinstance(content, dict):
        return {_plain(name): _plain(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    return content
