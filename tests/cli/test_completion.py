"""What Tab offers: the names of every table, those of installed distributions too."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from clbench.cli.group import cli
from clbench.cli.options import TABLES
from clbench.distillation import DISTILLERS, DistillerInfo
from clbench.networks import NETWORKS
from clbench.table import Table

OFFERED = {
    "codecs": ["run --codec", "distill --codec"],
    "strategies": ["run --strategy", "run --baseline"],
    "benchmarks": ["run --benchmark"],
    "networks": [
        "run --network", "run --distill-network", "distill --evaluation-network",
        "evaluate offline --network", "evaluate set --evaluation-network",
    ],
    "distillers": ["distill --distiller"],
    "data": ["distill --data-set", "evaluate offline --data-set"],
    "spaces": ["evaluate architecture-search --space", "run --search-space"],
    "trackers": ["run --tracker"],
}  # fmt: skip


def offered(words: str, start: str = "") -> list[str]:
    complete = ShellComplete(cli, {}, "clbench", "_CLBENCH_COMPLETE")
    return [item.value for item in complete.get_completions(words.split(), start)]


def test_every_table_is_offered_somewhere() -> None:
    assert set(OFFERED) == set(TABLES)


@pytest.mark.parametrize("table", OFFERED)
def test_an_option_offers_the_names_of_its_table(table: str) -> None:
    rows = TABLES[table].load()
    names = rows.names() if isinstance(rows, Table) else list(rows)
    start = names[-1][:-1]
    assert len(names) > 1
    for words in OFFERED[table]:
        assert offered(words) == names
        assert offered(words, start) == [name for name in names if name.startswith(start)]


def test_names_of_installed_distributions_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    info = DistillerInfo(lambda config: None, "theirs", "here", prefix="foo")  # type: ignore

    class Point:
        name, value = "foo", "foo:INFO"

        def load(self) -> Any:
            return info

    def points(*, group: str) -> list[Any]:
        return [Point()] if group in (DISTILLERS.group, NETWORKS.group) else []

    monkeypatch.setattr(metadata, "entry_points", points)
    assert offered("distill --distiller", "fo") == ["foo"]
    assert offered("run --network", "fo") == ["foo"]
    found = offered("run --strategy", "fo")
    assert found[:2] == ["foo_replay", "foo_gdumb"] and "foo_mir" in found
