"""What other programs can read: strict JSON, and text that is UTF-8."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    """The text with what is not UTF-8 (bytes of a file's name, mostly) shown as U+FFFD."""
    return _SURROGATES.sub("\ufffd", text)


def to_json(content: Any) -> str:
    """JSON with two spaces of indent and keys in the order given.

    A number that is not finite (nan, infinity) becomes null, since JSON has none: whoever reads a
    number that may have diverged must expect None. Text becomes `readable`.
    """
    return json.dumps(_plain(content), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, str):
        return readable(content)
    if isinstance(content, dict):
        return {_plain(name): _plain(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    return content
