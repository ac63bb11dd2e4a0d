"""Whatever folders are called and whatever cannot be drawn: results are there, and valid."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_EVALUATION, Invoke
from tests.data.pictures import tree

QUICK = ["--image-size", "8", "--images-per-class", "1"]
SMALL = ["--networks", "mlp", *SMALL_EVALUATION[:4], "--workers", "1"]
RUN = ["run", "--strategy", "random_replay", "--epochs", "1", "--num-experiences", "1", *QUICK]
DISTILL = ["distill", "--distiller", "random", *QUICK, *SMALL_EVALUATION[:4]]
OFFLINE = ["evaluate", "offline", "--network", "mlp", "--epochs", "1", "--image-size", "8"]
PICTURES = {"$x^{$": 6, "caf\udce9": 6, "_$$": 6}


def strict(path: Path) -> dict:
    return json.loads(path.read_bytes().decode("utf-8"))


@pytest.fixture
def commands() -> dict[str, list[str]]:
    """Commands and the file that each must leave, in an order in which they can be run."""
    folder = "$d\udce9$"
    tree(Path(folder), PICTURES)
    of_it = f"folder:{folder}"
    return {
        "run/report.json": [*RUN, "--benchmark", of_it, "-o", "run"],
        "s\udce9.json": [*DISTILL, "--data-set", of_it, "-o", "s\udce9.safetensors"],
        "offline/report.json": [*OFFLINE, "--data-set", of_it, "-o", "offline"],
        "cross/report.json": [
            "evaluate", "cross-architecture", "s\udce9.safetensors", *SMALL, "-o", "cross",
        ],
        "compared/comparison.json": ["compare", "run", "-o", "compared"],
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_names_of_any_kind(invoke: Invoke, commands: dict[str, list[str]]) -> None:
    for result, command in commands.items():
        done = invoke(*command)
        assert done.exit_code == 0, (command, done.stderr, done.exception)
        assert "could not be drawn" not in done.stderr
        assert strict(Path(result))
    assert strict(Path("run/report.json"))["data"]["name"] == "folder:$d\ufffd$"
    assert len(list(Path().rglob("*.png"))) == 18 + 4 + 1 + 1 + 1 + 3


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_a_figure_that_fails_costs_a_note(
    invoke: Invoke, commands: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no figure")

    monkeypatch.setattr("clbench.figures.style.save_figure", fails)
    monkeypatch.setattr("clbench.tracking.tensorboard.figures.figure_to_array", fails)
    with pytest.warns(UserWarning, match="no figure"):
        for result, command in commands.items():
            done = invoke(*command)
            assert done.exit_code == 0, (command, done.stderr, done.exception)
            assert strict(Path(result))
            assert "could not be drawn" in done.stderr + done.stdout
    status = strict(Path("run/status.json"))
    assert status["status"] == "done" and len(status["notes"]) == 4
