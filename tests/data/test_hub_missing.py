from __future__ import annotations

import sys

import pytest

from clbench import data
from clbench.errors import InputError


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"^hf:x: needs .* pip install 'clbench\[hf\]'$"):
        data.info("hf:x")
