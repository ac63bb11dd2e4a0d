"""JSON that every reader takes, whatever diverged and whatever files are called."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from clbench.store.files import write_json
from clbench.store.plain import readable, to_json


def strict(text: str) -> object:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text.encode(), parse_constant=refuse)


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1.5, math.nan, (math.inf, -math.inf)], "b": 2, "c": ""})
    found = strict((tmp_path / "a.json").read_text())
    assert found == {"a": [1.5, None, [None, None]], "b": 2, "c": ""}


@pytest.mark.parametrize("name", [b"caf\xe9", "caf\ud800", "\udce9"])
def test_what_is_not_utf8_is_shown_replaced(name: str | bytes) -> None:
    text = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
    expected = text[:-1] + "\ufffd"
    assert readable(text) == expected and strict(to_json({text: [text]})) == {expected: [expected]}
    assert readable("café $x$") == "café $x$"
