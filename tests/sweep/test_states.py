"""What another terminal sees of a sweep under way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clbench.cli import display
from clbench.cli.group import cli
from clbench.store.claims import claim_directory
from clbench.sweep.states import (
    Planned,
    State,
    place_of,
    remember,
    seconds_left,
    state_of,
    states,
)
from tests.sweep.test_local import config

ROW = "strategy=random_replay codec=levels:side=14,levels=2"
PARTIAL = {"accuracy_matrix": [[0.9, 0.0]], "class_groups": [[0, 1], [2, 3]]}


def done(seconds: float) -> State:
    return State("done", seconds=seconds, accuracy=0.5)


def test_the_time_to_go_by_hand() -> None:
    rows = {"a0": "a", "a1": "a", "a2": "a", "b0": "b", "b1": "b", "c0": "c", "d0": "d"}
    found = {
        "a0": done(10.0),
        "a1": done(30.0),
        "a2": State("running", num_learnt=1, num_experiences=4),  # 20 s x 3/4
        "b0": done(50.0),
        "b1": State("waiting"),  # 50 s
        "c0": State("running"),  # the mean of all, 30 s
        "d0": State("diverged"),
    }
    assert seconds_left(found, rows) == pytest.approx((15.0 + 50.0 + 30.0) / 2)
    assert seconds_left({"b1": State("waiting")}, rows) is None
    assert seconds_left({"a0": done(1.0)}, rows) == 0.0


def test_a_run_under_way_says_where_it_is(tmp_path: Path) -> None:
    claim = claim_directory(tmp_path / "run")
    assert claim is not None and state_of(tmp_path / "run").reached == "experience 1"
    (tmp_path / "run" / "partial.json").write_text(json.dumps(PARTIAL))
    (tmp_path / "run" / "status.json").write_text('{"status": "running", "error": null}')
    assert state_of(tmp_path / "run") == State("running", num_learnt=1, num_experiences=2)
    assert state_of(tmp_path / "run").reached == "experience 2 of 2"
    claim.release()
    assert state_of(tmp_path / "run").status == "unfinished"
    for broken in ("{", "[]", '{"accuracy_matrix": 1, "class_groups": 2}'):
        (tmp_path / "run" / "partial.json").write_text(broken)
        assert state_of(tmp_path / "run") == State("unfinished")


def test_status_in_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = [Planned(f"seed={n}-0123456{n}", ROW, config(seed=n)) for n in range(3)]
    remember(tmp_path, planned)
    first, second = (place_of(tmp_path, one.name) for one in planned[:2])
    first.mkdir(parents=True)
    report = {"metrics": {"average_accuracy": 0.845}, "measured": {"seconds": {"wall": 120.0}}}
    (first / "report.json").write_text(json.dumps(report))
    claim = claim_directory(second)
    assert claim is not None
    (second / "partial.json").write_text(json.dumps(PARTIAL))
    monkeypatch.setattr(display, "console", lambda: display.PlainConsole(width=60))
    shown = CliRunner().invoke(cli, ["sweep", "status", str(tmp_path)], prog_name="clbench")
    claim.release()
    assert "1 done, 1 running, 1 waiting; about 3 minutes to go" in shown.stdout
    assert f"running: {planned[1].name}: experience 2 of 2" in shown.stdout
    table = [line for line in shown.stdout.splitlines() if not line.startswith("running")]
    assert max(map(len, table)) <= 60 and "1 of 3" in shown.stdout and "84.5" in shown.stdout
    assert all(word in shown.stdout for word in ROW.split())
    assert len(states(tmp_path, [one.name for one in planned])) == 3
