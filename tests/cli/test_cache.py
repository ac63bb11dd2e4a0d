"""``clbench cache``, as users type it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from clbench.store.store import Store
from tests.cli.conftest import Invoke

OLD = f"distilled/{'a' * 64}.safetensors"


@pytest.fixture
def kept(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A cache of its own with two trials, a decoded set, an older version's file and data."""
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "[red]cache"))
    monkeypatch.setenv("CLBENCH_CACHE_BYTES", "1M")
    store = Store()
    store.write("trials", "b" * 64, b"b" * 1000)
    store.write("trials", "c" * 64, b"c" * 2000)
    store.write("images", "d" * 64, b"d" * 3000)
    for name in (OLD, "data/mnist.gz"):
        (store.root / name).parent.mkdir(parents=True)
        (store.root / name).write_bytes(b"1234567")
    day = datetime(2024, 5, 6, 7, 8).timestamp()
    os.utime(store.path_of("trials", "b" * 64), (day, day))
    return store


def kinds(store: Store) -> set[str]:
    return {entry.kind for entry in store.entries()}


def test_list_shows_kinds_sizes_times_and_the_limit(invoke: Invoke, kept: Store):
    done = invoke("cache", "list")
    assert done.exit_code == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == f"Cache in {kept.root}"
    trials = sum(entry.num_bytes for entry in kept.entries() if entry.kind == "trials")
    today = f"{datetime.now():%Y-%m-%d}"
    (row,) = [line for line in lines if line.startswith("trials")]
    assert row.startswith(f"trials 2 {trials:,} 2024-05-06 07:08 {today}")
    assert [line for line in lines if line.startswith("older versions 1 7 ")]
    assert lines[-1].endswith("bytes; the limit is 1,048,576 bytes")


def test_list_as_json(invoke: Invoke, kept: Store):
    found = json.loads(invoke("cache", "list", "--json").stdout)
    assert found["path"] == str(kept.root) and found["limit_bytes"] == 2**20
    assert list(found["kinds"]) == ["images", "trials", "older"]
    assert found["num_bytes"] == sum(entry.num_bytes for entry in kept.entries())
    assert found["kinds"]["trials"]["entries"] == 2
    oldest = datetime.fromisoformat(found["kinds"]["trials"]["oldest_use"])
    assert oldest.timestamp() == datetime(2024, 5, 6, 7, 8).timestamp()


def test_an_empty_cache(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "none"))
    done = invoke("cache", "list")
    assert done.exit_code == 0 and "0 bytes; the limit is 21,474,836,480 bytes" in done.stdout
    assert json.loads(invoke("cache", "list", "--json").stdout)["kinds"] == {}
    done = invoke("cache", "clear")
    assert done.exit_code == 0 and done.stdout.startswith("0 bytes freed")
    assert invoke("cache", "path").stdout == f"{tmp_path / 'none'}\n"
    assert not (tmp_path / "none").exists()


def test_clear_without_a_terminal_needs_yes(invoke: Invoke, kept: Store):
    done = invoke("cache", "clear")
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert "expected --yes" in done.stderr and "4 entries of " in done.stderr
    assert kinds(kept) == {"trials", "images", "older"}


def test_clear_removes_a_kind_or_everything_but_data(invoke: Invoke, kept: Store):
    done = invoke("cache", "clear", "--kind", "older", "--yes")
    assert done.exit_code == 0 and done.stdout.startswith("7 bytes freed in ")
    assert invoke("cache", "clear", "--kind", "trials", "-y").exit_code == 0
    assert kinds(kept) == {"images"}
    assert invoke("cache", "clear", "--yes").exit_code == 0
    assert kept.entries() == []
    left = [path.name for path in kept.root.rglob("*") if path.is_file()]
    assert left == ["mnist.gz"]


def test_clear_refuses_a_kind_that_is_not_there(invoke: Invoke, kept: Store):
    done = invoke("cache", "clear", "--kind", "../data", "--yes")
    assert done.exit_code == 2
    assert "--kind: expected one of images, older, trials, found '../data'" in done.stderr
    assert kinds(kept) == {"trials", "images", "older"}


def test_clear_says_what_stayed(invoke: Invoke, kept: Store):
    opened = kept.opened("images", "d" * 64)
    assert opened is not None
    with opened.file:
        done = invoke("cache", "clear", "--yes")
    assert done.exit_code == 0 and "1 entry stayed: running processes use" in done.stdout
    assert kinds(kept) == {"images"}


def test_a_limit_that_cannot_be_understood_is_one_line(
    invoke: Invoke, kept: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CLBENCH_CACHE_BYTES", "plenty")
    done = invoke("cache", "list")
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert "CLBENCH_CACHE_BYTES: expected a number of bytes, as 500M or 20G" in done.stderr


def test_broken_and_foreign_files_disturb_nobody(invoke: Invoke, kept: Store):
    folder = kept.path_of("trials", "b" * 64).parent
    (folder / ("e" * 64)).mkdir()
    (folder / ("f" * 64)).symlink_to("nowhere")
    (folder / "README").write_text("mine")
    (kept.root / "images").write_text("a file where a folder of older versions was")
    os.utime(kept.path_of("trials", "c" * 64), (2**40, 2**40))
    assert invoke("cache", "list").exit_code == 0
    assert invoke("cache", "list", "--json").exit_code == 0
    assert invoke("cache", "clear", "--yes").exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["README"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("answer", "left"), [("n", 4), ("y", 0)])
def test_clear_asks_on_a_terminal(kept: Store, answer: str, left: int):
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "clbench", "cache", "clear"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as asking:
        time.sleep(0.1)
        os.write(ours, f"{answer}\n".encode())
        told = asking.communicate(timeout=60)[0]
    os.close(ours)
    os.close(theirs)
    assert asking.returncode == 0 and "Remove 4 entries of " in told
    assert ("nothing was removed" in told) == (answer == "n")
    assert len(kept.entries()) == left
