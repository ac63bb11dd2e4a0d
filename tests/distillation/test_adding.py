"""A distiller with settings of its own, added to a copy of the tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

SETTINGS = '''
"""Settings of foo."""

from dataclasses import dataclass

from clbench.fields import Config, at_least, setting


@dataclass(frozen=True)
class FooSettings(Config):
    """How images are mixed."""

    steps: int = setting(2, "How often images are mixed.")
    share: float = setting(0.5, "Share of the other image.")

    def _validate(self):
        at_least(self, 1, "steps")
'''

DISTILLER = '''
"""Mixtures of real images."""

from clbench.distillation.protocol import Update
from clbench.distillation.selection.choice import chosen_images, random_index
from clbench.types import LabelledImages


class Foo:
    def __init__(self, config):
        self.settings = config.settings

    def distill(self, job):
        settings, labels = self.settings, job.real.hard_labels
        made = chosen_images(
            job.real, random_index(labels, job.counts, job.generator), job.codec
        )
        pixels = made.as_floats().images
        for step in range(settings.steps):
            other = random_index(labels, job.counts, job.generator)
            mixed = job.real.select(other).as_floats().images
            pixels = (1 - settings.share) * pixels + settings.share * mixed
            job.on_update(Update(step + 1, settings.steps, float(pixels.mean())))
        return LabelledImages(pixels, made.labels)

    def flops(self, spec, workload):
        return float(workload.num_images)
'''

ROW = """        "foo": DistillerInfo(
            Lazy("clbench.distillation.foo.distiller:Foo"), "mixtures", "ours",
            settings=FooSettings(), prefix="foo",
        ),
"""
TINY = [
    "--train-per-class",
    "12",
    "--images-per-class",
    "1",
    "--epochs",
    "1",
    "--num-networks",
    "1",
    "--distill-width",
    "4",
    "--updates-per-network",
    "1",
    "--batch-real",
    "4",
    "--device",
    "cpu",
    "--no-tensorboard",
    "--quiet",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources."""
    for folder in ("clbench", "strategies", "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=ignored)
    return tmp_path


def add_foo(tree: Path) -> None:
    """Its folder and one row of the table."""
    folder = tree / "clbench" / "distillation" / "foo"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "distiller.py").write_text(DISTILLER)
    table = tree / "clbench" / "distillation" / "table.py"
    text, end = table.read_text(), '    },\n    group="clbench.distillers"'
    assert end in text
    line = "from clbench.distillation.foo.settings import FooSettings\nfrom clbench.fields import"
    text = text.replace(end, ROW + end).replace("from clbench.fields import", line, 1)
    table.write_text(text)


# One process makes several commands: importing takes longer than they do.
IN_ONE_PROCESS = """
import json, sys
from click.testing import CliRunner
from clbench.cli.group import cli
for arguments in json.loads(sys.argv[1]):
    done = CliRunner().invoke(cli, arguments, prog_name="clbench", catch_exceptions=False)
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


def clbench(tree: Path, *commands: Sequence[str]) -> list[str]:
    """What each command of the tree's own clbench prints."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "CLBENCH_CACHE": str(tree / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, json.dumps(commands)],
        cwd=tree, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [code for code, _, _ in told] == [0] * len(commands), told
    return [stdout for _, stdout, _ in told]


def report(tree: Path, name: str) -> dict[str, Any]:
    return json.loads((tree / "runs" / name / "report.json").read_text())


def test_a_distiller_added_to_the_tree(tree: Path) -> None:
    dm = ["run", "--strategy", "dm_replay", *TINY, "-o"]
    clbench(tree, [*dm, "runs/before"])
    add_foo(tree)
    foo = ["--strategy", "foo_replay", "--foo-steps", "3", *TINY, "-o", "runs/foo"]
    shown, _, _, _, compared = clbench(
        tree,
        ["run", "--help-all"],
        ["run", *foo],
        [*dm, "runs/again"],
        [*dm, "runs/seed1", "--seed", "1"],
        ["compare", "runs", "--json"],
    )
    assert "--foo-steps N" in shown and "How often images are mixed.  [default: 2]" in shown
    assert "--foo-share X" in shown
    found = report(tree, "foo")
    assert found["config"]["distillation"]["settings"] == {"steps": 3, "share": 0.5}
    assert [len(entry["losses"]) for entry in found["distillation"]] == [3] * 5
    # Another method's work is found again, and its runs of before and after are one row.
    assert report(tree, "again")["measured"]["from_cache"] == 5
    assert report(tree, "again")["config"] == report(tree, "before")["config"]
    assert {group["label"]: group["seeds"] for group in json.loads(compared)["groups"]} == {
        "dm_replay": [0, 1],
        "foo_replay": [0],
    }
