"""What anybody may have written instead of what clbench writes."""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# CLBENCH_FUZZ=20000 pytest tests/hostile: the long form
EXAMPLES = int(os.environ.get("CLBENCH_FUZZ", "150"))
FUZZ = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.sampled_from(
        [0, -1, 5, 2**63, 1e308, -0.5, 0.5, "", "random_replay", "[red]x[/z]", "\x1b[2J"]
    )
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in nested values."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(one for key, held in inner for one in places(held, (*path, key)))]


@st.composite
def broken(draw: st.DrawFn, whole: Any) -> Any:
    """``whole`` with one to three places replaced, removed or doubled."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from([p for p in places(value) if p]))
        place = value
        for key in above:
            place = place[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "more"])):
            case "replace":
                place[last] = draw(anything)
            case "remove":
                del place[last]
            case _ if isinstance(place, list):
                place.append(draw(anything))
            case _:
                place[draw(st.text(max_size=5))] = draw(anything)
        if not value:
            break
    return value


@st.composite
def torn(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` with one to four places changed, cut out, doubled or filled."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        # Heads say how long the rest is, so they are met as often as all the rest.
        near = min(len(content), 96)
        start = draw(st.integers(0, near) | st.integers(0, len(content)))
        num = draw(st.sampled_from([1, 1, 1, 2, 4, 8, 64]))
        match draw(st.sampled_from(["flip", "flip", "put", "cut", "double", "fill", "end"])):
            case "flip" if start < len(content):
                content[start] ^= 1 << draw(st.integers(0, 7))
            case "put":
                content[start : start + num] = draw(st.binary(min_size=num, max_size=num))
            case "cut":
                del content[start : start + num]
            case "double":
                content[start:start] = content[start : start + num]
            case "fill":
                content[start : start + num] = bytes([draw(st.sampled_from([0, 255]))]) * num
            case "end":
                del content[start:]
            case _:
                pass
    return bytes(content)
