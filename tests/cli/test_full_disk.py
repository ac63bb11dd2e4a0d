"""A disk that takes no more: what is finished is kept, and the rest is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.platforms import posix_limits

RUN = ("run", "--strategy", "random_replay", "--train-per-class", "20", "--num-experiences", "2")


def limited(most: int, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of which no file can grow beyond ``most`` bytes, as on a full disk."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return subprocess.run(
        [sys.executable, "-m", "clbench", *arguments, "--quiet"],
        cwd=folder,
        env={**os.environ, "CLBENCH_CACHE": str(folder / "cache"), "PYTHONPATH": str(Path.cwd())},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


def whole(folder: Path) -> set[str]:
    """Names of the files there; the JSON among them is read."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        if path.suffix == ".json":
            json.loads(path.read_text())
    return {path.relative_to(folder).as_posix() for path in files}


@posix_limits
def test_large_files_do_not_fit(tmp_path: Path) -> None:
    done = limited(60_000, tmp_path, *RUN, "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "no checkpoint was written" in done.stderr
    assert all(line.startswith("clbench: warning: ") for line in done.stderr.splitlines())
    assert {"config.json", "report.json", "status.json", "memory/exp_1.safetensors"} <= whole(
        tmp_path / "out"
    )
    assert not list(tmp_path.rglob("*checkpoint*"))


@posix_limits
def test_nothing_fits(tmp_path: Path) -> None:
    done = limited(1_000, tmp_path, *RUN, "-o", "out")
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("clbench: error: ") and "File too large" in last
    assert "report.json" not in whole(tmp_path / "out")
