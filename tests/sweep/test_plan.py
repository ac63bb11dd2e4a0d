"""From a plan to the combinations that are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.errors import InputError
from clbench.sweep.plan import Grid, combinations, directory_name, grids_of, read_plan

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PLAN = """
[fixed]
epochs = 1
[vary]
strategy = ["naive", "random_replay"]
memory-bytes = [1960, 7840]
seed = [0, 1]
[[override]]
where = { strategy = "random_replay", memory-bytes = 7840 }
set = { epochs = 2 }
[[override]]
where = { seed = 1 }
set = { width = 8 }
[[exclude]]
strategy = "naive"
memory-bytes = 7840
"""


def test_a_plan_by_hand(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    found = [options for options, _ in combinations(read_plan(tmp_path / "plan.toml"))]
    naive = {"strategy": "naive", "memory-bytes": 1960}
    real = {"strategy": "random_replay", "memory-bytes": 1960}
    more = {"strategy": "random_replay", "memory-bytes": 7840}
    assert found == [
        {"epochs": 1, "seed": 0, **naive},
        {"epochs": 1, "seed": 0, **real},
        {"epochs": 2, "seed": 0, **more},
        {"epochs": 1, "seed": 1, "width": 8, **naive},
        {"epochs": 1, "seed": 1, "width": 8, **real},
        {"epochs": 2, "seed": 1, "width": 8, **more},
    ]


@given(
    axes=st.dictionaries(
        st.sampled_from(["a", "b", "seed"]),
        st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True),
        max_size=3,
    ),
    excluded=st.dictionaries(
        st.sampled_from(["a", "b", "c"]), st.integers(0, 3), min_size=1, max_size=2
    ),
)
def test_every_combination_once_but_those_excluded(
    axes: dict[str, list[int]], excluded: dict[str, int]
) -> None:
    grid = Grid({"c": 1}, axes, (), (excluded,))
    found = [options for options, _ in grid.combinations()]
    plain: list[dict[str, int]] = [{"c": 1}]
    for name, values in axes.items():
        plain = [{**one, name: value} for one in plain for value in values]
    kept = [one for one in plain if any(one.get(n) != v for n, v in excluded.items())]
    assert sorted(map(sorted, (one.items() for one in found))) == sorted(
        map(sorted, (one.items() for one in kept))
    )
    if "seed" in axes:
        seeds = [one["seed"] for one in found]
        assert seeds == sorted(seeds, key=axes["seed"].index)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[vari]\nseed = [1]", "found 'vari'; did you mean 'vary'"),
        ("[vary]\nseed = 1", "seed: expected a list of values, found 1"),
        ("[vary]\nseed = []", "expected a list of values"),
        ("[vary]\nseed = [[1]]", "expected a list of values"),
        ("[fixed]\nepochs = [1]", "epochs: expected one value"),
        ("fixed = 3", r"\[fixed\]: expected a table, found 3"),
        ("[exclude]\nseed = 1", r"\[\[exclude\]\]: expected tables"),
        ("[[exclude]]", "found none, which is all runs"),
        ("[[override]]\nwhen = { seed = 1 }", "found 'when'; did you mean 'where'"),
        ("[[exclude]]\nseed = [[1]]", "seed: expected values"),
        ("[[exclude]]\nseed = []", "seed: expected values"),
        ("[grid]\nseed = 1", r"\[\[grid\]\]: expected tables"),
        ("[[grid]]\nseed = 1", r"table of \[\[grid\]\] fixed, vary.*found 'seed'"),
        ("[fixed", "expected the TOML of a plan"),
        ("[vary]\n" + "\n".join(f"a{n} = [0, 1, 2]" for n in range(12)), "at most 100,000 runs"),
    ],
)
def test_what_is_no_plan(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_plan(tmp_path / "plan.toml")
    assert "\n" not in str(error.value)


def test_there_is_no_such_plan(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="plan"):
            read_plan(path)


@given(st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=200), max_size=4))
def test_directories_stay_below(varied: dict[str, Any]) -> None:
    name = directory_name(varied, "0123456789abcdef")
    assert name.endswith("-01234567") and len(name) < 140
    assert Path(name).name == name and not name.startswith((".", "-"))


def test_values_twice_are_one() -> None:
    (grid,) = grids_of({"vary": {"seed": [0, 0, 1]}})
    assert [options["seed"] for options, _ in grid.combinations()] == [0, 1]


STUDY = """
[fixed]
epochs = 1
[vary]
seed = [0, 1]
[[exclude]]
width = [8, 16]
seed = 1
[[grid]]
fixed = { strategy = "naive" }
[[grid]]
[grid.vary]
width = [8, 16, 32]
epochs = [2]
[[grid.override]]
where = { width = [8, 32] }
set = { depth = 2 }
"""


def test_several_grids_share_what_stands_outside_and_seeds_move_slowest(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(STUDY)
    found = [options for options, _ in combinations(read_plan(tmp_path / "plan.toml"))]
    assert found == [
        {"seed": 0, "epochs": 1, "strategy": "naive"},
        {"seed": 0, "epochs": 2, "width": 8, "depth": 2},
        {"seed": 0, "epochs": 2, "width": 16},
        {"seed": 0, "epochs": 2, "width": 32, "depth": 2},
        {"seed": 1, "epochs": 1, "strategy": "naive"},
        {"seed": 1, "epochs": 2, "width": 32, "depth": 2},
    ]


def test_what_tells_grids_apart_is_part_of_the_names() -> None:
    plan = {
        "fixed": {"epochs": 1},
        "vary": {"seed": [0]},
        "grid": [{"fixed": {"width": 8}}, {"fixed": {"width": 16, "depth": 1}}],
    }
    assert [varied for _, varied in combinations(grids_of(plan))] == [
        {"width": 8, "seed": 0},
        {"width": 16, "depth": 1, "seed": 0},
    ]
    assert [varied for _, varied in combinations(grids_of({"fixed": {"width": 8}}))] == [{}]


@pytest.mark.parametrize(
    ("name", "benchmarks"),
    [
        ("study", {"split_mnist", "split_fashion_mnist", "folder:EBHI/patients.csv"}),
        ("raw_memories", {"split_mnist"}),
    ],
)
def test_the_plans_of_the_docs(name: str, benchmarks: set[str]) -> None:
    found = combinations(read_plan(RESULTS / f"{name}.toml"))
    assert len(found) > 200
    assert len({str(sorted(options.items())) for options, _ in found}) == len(found)
    assert {options["benchmark"] for options, _ in found} == benchmarks
