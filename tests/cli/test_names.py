"""Names that anybody chose: shown, never obeyed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clbench.cli.group import cli
from clbench.store.plain import readable
from tests.cli.conftest import Invoke
from tests.comparison.test_comparison import make

CLEAR = "\x1b[2J\x1b[31m"
DISTILL = ("distill", "--distiller", "herding", "--images-per-class", "1", "--no-evaluate")


def in_colour(*arguments: str) -> Result:
    """What a terminal would be sent."""
    return CliRunner().invoke(cli, arguments, prog_name="clbench", color=True)


def shown(done: Result) -> str:
    """All that was printed, with nothing that moves the cursor."""
    text = done.stdout + done.stderr
    assert CLEAR not in text and "\x9b" not in text, text
    return text


def test_readable() -> None:
    assert readable("a\tb\n\u00e9") == "a\tb\n\u00e9"
    assert readable(f"{CLEAR}x\x00\x7f\x9b\u202e\udcff") == "\ufffd[2J\ufffd[31mx" + "\ufffd" * 5


@pytest.mark.parametrize("name", ["w[/z]/y", f"[red]x[b]{CLEAR}"])
def test_a_set_of_any_name(name: str, invoke: Invoke) -> None:
    file = Path(f"{name}.safetensors")
    file.parent.mkdir(parents=True, exist_ok=True)
    done = in_colour(*DISTILL, "-o", str(file))
    assert done.exit_code == 0 and readable(str(file)) in shown(done)
    arguments = ("evaluate", "set", str(file), "--num-networks-evaluated", "1")
    done = in_colour(*arguments, "--evaluation-epochs", "1", "--no-cache", "--workers", "1")
    assert done.exit_code == 0 and readable(file.stem) in shown(done)


def test_errors_of_any_name(invoke: Invoke) -> None:
    done = in_colour("evaluate", "set", f"{CLEAR}.safetensors")
    assert done.exit_code == 2 and "no such file: \ufffd[2J" in shown(done)


def test_reports_of_any_text(invoke: Invoke) -> None:
    for number, strategy in enumerate(("dam_replay", "random_replay")):
        values = make(strategy).to_dict()
        values["notes"] = [f"[/red]{CLEAR}<script>alert(1)</script>[x](javascript:alert(1))"]
        values["config"]["network"] = {"name": f"[b]{CLEAR}{number}"}
        Path(f"runs/{number}").mkdir(parents=True)
        Path(f"runs/{number}/report.json").write_text(json.dumps(values))
    done = in_colour("compare", "runs")
    assert done.exit_code == 0, done.stderr
    assert "[/red]\ufffd" in shown(done)
    (file,) = Path("comparisons").rglob("comparison.md")
    text = file.read_text()
    assert "&lt;script&gt;" in text and "[x]\\(javascript" in text
    assert "<script" not in text and CLEAR not in text
