"""``clbench sweep`` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Invoke
from tests.cli.test_errors import assert_one_line

SMALL = ("--train-per-class", "20", "--epochs", "1", "--width", "8", "--depth", "1",
         "--num-experiences", "2", "--no-tensorboard", "--workers", "1")  # fmt: skip
PLAN = """
[vary]
strategy = ["naive", "random_replay"]
memory-bytes = [1960, 3920]
seed = [0, 1]
"""


def runs(folder: str) -> set[str]:
    return {path.parent.name for path in Path(folder).glob("runs/*/report.json")}


def test_a_sweep_is_made_shown_and_extended(invoke: Invoke) -> None:
    Path("plan.toml").write_text(PLAN)
    done = invoke("sweep", "plan.toml", *SMALL)
    assert done.exit_code == 0, (done.stderr, done.exception)
    # Runs without memory that differ in its bytes are one.
    assert len(runs("sweeps/plan")) == 6
    assert "random_replay, capacity_bytes=3920" in done.stdout and "6/6" in done.stderr
    assert Path("sweeps/plan/comparison/comparison.md").exists()
    page = Path("sweeps/plan/comparison/index.html").read_text()
    assert "data:image/webp" in page, "memories of the runs are shown"
    before = {p: p.stat().st_mtime_ns for p in Path("sweeps/plan").glob("runs/*/report.json")}
    again = invoke("sweep", "run", "plan.toml", *SMALL, "--vary", "seed=0,1,2", "--json")
    assert again.exit_code == 0 and json.loads(again.stdout)["counts"] == {"done": 9}
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    shown = invoke("sweep", "status", "sweeps/plan")
    assert shown.exit_code == 0 and "9 done" in shown.stdout
    assert "random_replay memory-bytes=3920" in shown.stdout


def test_what_did_not_end_well_is_listed_and_run_again_when_asked(invoke: Invoke) -> None:
    grid = ("sweep", *SMALL, "--strategy", "naive", "--vary", "learning-rate=0.1,1e30")
    done = invoke(*grid, "-o", "s")
    assert done.exit_code == 0 and "diverged: learning-rate=1e30-" in done.stderr
    assert "lower --learning-rate (it is 1e+30)" in done.stderr
    assert "1 of 2 runs did not end well; --retry runs them again" in done.stderr
    (bad,) = [p for p in Path("s/runs").iterdir() if not (p / "report.json").exists()]
    at = (bad / "status.json").stat().st_mtime_ns
    assert invoke(*grid, "-o", "s").exit_code == 0
    assert (bad / "status.json").stat().st_mtime_ns == at
    assert invoke(*grid, "-o", "s", "--retry").exit_code == 0
    assert (bad / "status.json").stat().st_mtime_ns > at
    counts = json.loads(invoke("sweep", "status", "s", "--json").stdout)["counts"]
    assert counts == {"done": 1, "diverged": 1}


def test_a_dry_run_prices_and_writes_nothing(invoke: Invoke) -> None:
    grid = ("sweep", *SMALL, "--vary", "strategy=naive,dam_replay", "--vary", "seed=0,1,2")
    done = invoke(*grid, "--dry-run")
    assert done.exit_code == 0 and "6 runs left: about" in done.stdout
    assert "estimated" in done.stdout and not list(Path().iterdir())
    assert invoke(*grid, "--dry-run", "--json").exit_code == 0
    rows = json.loads(invoke(*grid, "--dry-run", "--json").stdout)["rows"]
    assert [row["num_left"] for row in rows] == [3, 3]
    assert rows[1]["seconds"] > rows[0]["seconds"] > 0


def test_what_users_get_wrong(invoke: Invoke) -> None:
    for arguments, message in (
        ((), "expected a PLAN or --vary, found neither"),
        (("nothing.toml",), "nothing.toml: No such file"),
        (("--vary", "seeds=1,2"), "did you mean 'seed'"),
        (("--vary", "seed"), "--vary: expected OPTION=VALUE,VALUE, found 'seed'"),
        (("--vary", "seed=a"), "plan: seed: 'a' is not a valid integer"),
        (("--vary", "strategy=dam_rply"), "dam_replay"),
        (("--vary", "codec=rw"), "raw"),
        (("--strategy", "naive", "--strategy", "si"), "--vary strategy=VALUE,VALUE makes an axis"),
    ):
        assert_one_line(invoke("sweep", "run", *arguments), message)
    assert_one_line(invoke("sweep", "status", "nowhere"), "expected the folder of a sweep")
    Path("plan.toml").write_text("[fixed]\nlearning-rte = 1\n")
    assert_one_line(invoke("sweep", "plan.toml"), "did you mean 'learning-rate'")
    assert not Path("sweeps").exists()


def test_values_that_hold_commas(invoke: Invoke) -> None:
    grid = ("sweep", *SMALL, "--vary", "codec=raw;levels:side=14,levels=2", "--dry-run", "--json")
    rows = json.loads(invoke(*grid, "--memory-bytes", "7840").stdout)["rows"]
    assert [row["row"] for row in rows] == ["codec=raw", "codec=levels:side=14,levels=2"]


def test_runs_made_before_are_taken_over_and_others_are_not(invoke: Invoke) -> None:
    memory = ("--memory-bytes", "1960", "--strategy", "random_replay")
    one = ("run", *SMALL[: SMALL.index("--workers")], "--quiet", *memory)
    assert invoke(*one, "-o", "old/a").exit_code == 0
    assert invoke(*one, "--epochs", "2", "-o", "old/b").exit_code == 0
    Path("old/a/figures/link").symlink_to("/etc")
    before = Path("old/a/report.json").read_bytes()
    grid = ("sweep", *SMALL, *memory, "--vary", "seed=0,1")
    done = invoke(*grid, "--adopt", "old", "-o", "s")
    assert done.exit_code == 0 and "1 finished runs of the grid copied" in done.stderr
    (taken,) = [p for p in Path("s/runs").iterdir() if p.name.startswith("seed=0")]
    assert (taken / "report.json").read_bytes() == before, "not made again"
    assert len(runs("s")) == 2 and not (taken / "figures/link").exists()
    refused = invoke(*grid, "--adopt", "nowhere", "-o", "t")
    assert_one_line(refused, "expected a folder with finished runs, found nowhere")


def test_an_axis_that_is_added_repeats_nothing(invoke: Invoke) -> None:
    grid = ("sweep", *SMALL, "--strategy", "naive", "--vary", "seed=0", "-o", "s")
    assert invoke(*grid).exit_code == 0 and len(runs("s")) == 1
    priced = invoke(*grid, "--vary", "epochs=1,2", "--dry-run", "--json")
    rows = {row["row"]: row["num_left"] for row in json.loads(priced.stdout)["rows"]}
    assert rows == {"epochs=1": 0, "epochs=2": 1}
