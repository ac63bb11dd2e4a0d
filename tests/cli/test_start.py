"""Help comes at once: nothing heavy is imported for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from clbench import __version__
from clbench.cli import group
from clbench.cli.group import COMMANDS, cli
from clbench.machine.cores import SPINS

HEAVY = ("torch", "avalanche", "matplotlib", "rich", "numpy", "scipy", "tensorboard")

PROBE = """
import json, runpy, sys
sys.argv = ["clbench", *{arguments!r}]
try:
    runpy.run_module("clbench", run_name="__main__")
except SystemExit as leave:
    code = leave.code
print("\\n" + json.dumps([code, [name for name in {heavy!r} if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        *([name, "-h"] for name in COMMANDS),
        ["run", "--help-all"],
        ["evaluate", "offline", "-h"],
        ["data", "list", "-h"],
        ["cache", "list", "-h"],
        ["cache", "path"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]):
    probe = PROBE.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    code, imported = json.loads(done.stdout.splitlines()[-1])
    assert code == 0 and imported == []


def test_help_takes_less_than_four_tenths_of_a_second():
    def once() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "clbench", "--help"], check=True, capture_output=True)
        return time.perf_counter() - start

    assert min(once() for _ in range(3)) < 0.4


def test_summaries_in_the_table_are_the_commands_own():
    context = cli.make_context("clbench", ["list"])
    for name, summary in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None and command.help is not None
        assert command.help.splitlines()[0] == summary


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, None)],
)
def test_waiting_threads_sleep_soon_unless_the_user_decided(given, expected, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    code = "import os, clbench.machine.cores as c; c.share_cores(); "
    code += "print(os.environ.get('GOMP_SPINCOUNT'))"
    started = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **given}, capture_output=True, text=True
    )
    assert started.stdout.strip() == str(expected)


def test_the_command_sets_it_before_torch_is_imported(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(group.cli, "main", lambda **_: sys.exit(0))
    with pytest.raises(SystemExit):
        group.main()
    assert os.environ.pop("GOMP_SPINCOUNT") == SPINS


def test_version_and_no_command():
    result = CliRunner().invoke(cli, ["--version"])
    assert result.output == f"clbench {__version__}\n" and result.exit_code == 0
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 2 and "Commands:" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell: str):
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0 and "_CLBENCH_COMPLETE" in result.output


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("run --strategy dam_r", ["dam_replay"]),
        ("run --strategy dam_m", ["dam_mir"]),
        ("run --benchmark split_mnist5", ["split_mnist5k"]),
        ("run --network convn", ["convnet"]),
        ("distill --distiller datad", ["datadam"]),
        ("distill --data-set mnist5", ["mnist5k"]),
        ("evaluate architecture-search --space conv", ["convnet720"]),
    ],
)
def test_completion_offers_names_without_importing_torch(words: str, offered: list[str]):
    probe = (
        "import os, sys\n"
        f"os.environ.update(_CLBENCH_COMPLETE='bash_complete', COMP_CWORD='{len(words.split())}',"
        f" COMP_WORDS='clbench {words}')\n"
        "from clbench.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*(f"plain,{name}" for name in offered), "False"]
