"""The tables of the documentation are made from the runs of the study."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from clbench.comparison import compare, to_runs_csv
from tests.comparison.test_comparison import make

RESULTS = Path(__file__).parents[1] / "docs" / "results"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """``docs/results/tables.py``, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("tables", RESULTS / "tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_hold_what_the_runs_give(tables: ModuleType) -> None:
    runs = tables.Runs(tables.RUNS)
    made = 0
    for page in tables.PAGES:
        assert tables.written(page, runs) == page.read_text("utf-8"), (
            f"{page.name}: run python docs/results/tables.py"
        )
        made += len(tables.TABLE.findall(page.read_text("utf-8")))
    assert made >= 4


def test_the_figure_shows_what_the_first_table_says(tables: ModuleType) -> None:
    runs = tables.Runs(tables.RUNS)
    (axes,) = tables.figure(runs).axes
    lines = {line.get_label(): line for line in axes.lines}
    assert {tables.NAMES[name] for name in tables.CURVES} <= set(lines)
    scores = runs.scores("score", strategy="dam_replay", capacity_bytes="19600", **tables.CURVES_OF)
    drawn = dict(lines["DataDAM"].get_xydata())
    (size,) = (size for size in drawn if abs(size - 19600) < 600)
    assert drawn[size] == pytest.approx(100 * sum(scores.values()) / len(scores))


def test_a_table_by_hand(tables: ModuleType, tmp_path: Path) -> None:
    reports = [
        make(f"{name}_replay", seed, accuracy + 0.01 * seed, memory__capacity_bytes=size)
        for size, gain in ((1960, 0.0), (7840, 0.1))
        for name, accuracy in (("random", 0.7), ("kip", 0.72 + gain))
        for seed in range(1 if (name, size) == ("kip", 7840) else 3)
    ]
    (tmp_path / "runs.csv").write_text(to_runs_csv(compare(reports)))
    runs = tables.Runs(tmp_path / "runs.csv")
    wanted = "bytes=1960,7840 rows=random_replay,kip_replay over=random_replay tested=kip_replay"
    assert tables.table(runs, wanted).splitlines() == [
        "| memory | 1,960 bytes | 7,840 bytes |",
        "| --- | --- | --- |",
        "| random real | 71.0 ± 1.0 (3 seeds) | **71.0 ± 1.0 (3 seeds)** |",
        "| KIP | **73.0 ± 1.0 (3 seeds)** | 82.0 (1 seed) |",
        "| KIP - random real | +2.0 (+2.0 to +2.0), 0.250 | +12.0 |",
    ]
    with pytest.raises(SystemExit, match="name more settings"):
        runs.scores("score", strategy="kip_replay")
