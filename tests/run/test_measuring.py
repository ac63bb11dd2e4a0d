"""Small experiences are tested together, and found as they are one by one."""

from __future__ import annotations

from typing import Any

import pytest

from clbench.run import measuring, run
from clbench.run.measuring import together
from tests import tiny_stream


def test_parts_that_are_tested_together() -> None:
    assert list(together([2, 3, 4, 1], 5)) == [range(0, 2), range(2, 4)]
    assert list(together([9, 1, 1, 9], 5)) == [range(0, 1), range(1, 3), range(3, 4)]
    assert list(together([1, 1], 0)) == [range(0, 1), range(1, 2)]
    assert list(together([], 5)) == []


def test_a_test_of_all_experiences_is_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)
    sizes: list[int] = []
    original = measuring.predict_logits

    def counted(model: Any, data: Any, *rest: Any) -> Any:
        sizes.append(len(data))
        return original(model, data, *rest)

    monkeypatch.setattr(measuring, "predict_logits", counted)
    joined = run(tiny_stream.config("random_replay"))
    # Before the first of three experiences, and after each.
    assert sizes == [120] * 4
    monkeypatch.setattr(measuring, "MOST_TOGETHER", 0)
    alone = run(tiny_stream.config("random_replay"))
    assert sizes[4:] == [40] * 12
    assert joined.to_dict() | {"measured": 0} == alone.to_dict() | {"measured": 0}
