"""How much is kept, and what must not go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clbench.errors import InputError
from clbench.store.store import Store

KIB = b"x" * 1024


def names(store: Store) -> list[str]:
    return [entry.name for entry in store.entries()]


def age(store: Store, name: str, seconds: float) -> None:
    path = store.path_of("trials", name)
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Room for three entries of 1 KiB and their seals; a, b, c in the order of their age."""
    store = Store(tmp_path, limit_bytes=4000)
    for number, name in enumerate("abc"):
        store.write("trials", name, KIB)
        age(store, name, 1000 - number)
    return store


def test_the_least_recently_used_goes(store: Store) -> None:
    assert store.read("trials", "a") == KIB
    store.write("trials", "d", KIB)
    assert names(store) == ["c", "a", "d"]
    store.write("distilled", "e", KIB * 2)
    assert names(store) == ["d", "e"], "of all kinds"


def test_opening_counts_as_use(store: Store) -> None:
    age(store, "a", 10_000)
    opened = store.opened("trials", "a")
    assert opened is not None
    opened.file.close()
    store.write("trials", "d", KIB)
    assert names(store) == ["c", "a", "d"]


def test_an_entry_is_not_evicted_by_its_own_write(store: Store) -> None:
    store.write("trials", "d", KIB * 10)
    assert names(store) == ["d"]
    store.write("trials", "e", KIB)
    assert names(store) == ["e"]


def test_locked_entries_stay(store: Store) -> None:
    with store.lock("trials", "a"):
        store.write("trials", "d", KIB)
        assert names(store) == ["a", "c", "d"] and store.clear() > 2000
        assert names(store) == ["a"]
    assert store.clear() > 1000 and names(store) == []


def test_mapped_entries_stay_until_the_mapping_goes(store: Store) -> None:
    opened = store.opened("trials", "a")
    assert opened is not None
    with opened.file as file:
        pixels = np.memmap(file, np.uint8, "c", 0, (1024,))
    age(store, "a", 10_000)
    store.write("trials", "d", KIB)
    assert names(store) == ["a", "c", "d"] and pixels.tobytes() == KIB
    del pixels
    store.write("trials", "e", KIB)
    assert names(store) == ["c", "d", "e"]


HOLDER = """
import sys, time
from pathlib import Path
from clbench.store.store import Store
opened = Store(Path(sys.argv[1])).opened("trials", "a")
print("ready", flush=True)
time.sleep(60)
"""


def test_what_another_process_has_open_stays_until_it_is_killed(store: Store) -> None:
    command = [sys.executable, "-c", HOLDER, str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
        age(store, "a", 10_000)
        store.write("trials", "d", KIB)
        assert names(store) == ["a", "c", "d"]
        holder.kill()
    store.write("trials", "e", KIB)
    assert names(store) == ["c", "d", "e"]


def test_what_killed_writers_left_goes_and_what_is_being_written_stays(store: Store) -> None:
    folder = store.path_of("trials", "a").parent
    old, new = folder / ".b.123.0123abcd", folder / ".c.124.0123abcd"
    lock, foreign = folder / ".a.lock", folder / "README"
    for path in (old, new, lock, foreign):
        path.write_text("x")
    then = time.time() - 7200
    os.utime(old, (then, then))
    with store.writing("trials", "d") as file:
        file.write(KIB)
        (under_way,) = folder.glob(".d.*")
        os.utime(under_way, (then, then))
        store.write("trials", "e", KIB)
        assert under_way.exists()
    assert not old.exists() and new.exists() and not lock.exists()
    os.utime(new, (then, then))
    store.clear()
    assert list(folder.iterdir()) == [foreign], "nothing of others is touched"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 20 * 2**30),
        ("0", 0),
        ("1234", 1234),
        ("500M", 500 * 2**20),
        ("20G", 20 * 2**30),
        (" 1.5 GiB ", 3 * 2**29),
        ("2kb", 2048),
        ("1T", 2**40),
    ],
)
def test_the_limit_is_read_from_the_environment(
    text: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_CACHE_BYTES", text)
    assert Store().limit_bytes == expected
    assert Store(limit_bytes=7).limit_bytes == 7


@pytest.mark.parametrize("text", ["many", "-1", "nan", "1e9", "inf", "20 X", "9" * 400, "٣G"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_CACHE_BYTES", text)
    with pytest.raises(InputError, match=r"CLBENCH_CACHE_BYTES: expected .* as 500M or 20G, found"):
        Store()


OLD = [
    f"distilled/{'a' * 64}.safetensors",
    f"trials/{'b' * 64}.json",
    f"trajectories/{'c' * 64}/expert_0.safetensors",
    f"trajectories/{'c' * 64}/difficulty.safetensors",
    f"images/{'d' * 64}.npy",
    f"images/{'d' * 64}.json",
    f"images/seen-{'e' * 32}.json",
    f"unfinished/{'f' * 64}.pt",
]
OTHERS = ["data/mnist/images.gz", "images/holiday.npy", "trials/notes.json", "report.json"]


def test_older_versions_files_are_shown_and_cleared_and_nothing_else(tmp_path: Path) -> None:
    for name in (*OLD, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1234")
    store = Store(tmp_path)
    store.write("trials", "b" * 64, b"new")
    assert store.read("trials", "b" * 64) == b"new"
    assert {e.name for e in store.entries() if e.kind == "older"} == set(OLD)
    assert store.clear("older") == 4 * len(OLD)
    assert [entry.kind for entry in store.entries()] == ["trials"]
    (tmp_path / OLD[0]).parent.mkdir(exist_ok=True)
    (tmp_path / OLD[0]).write_text("12345")
    store.clear("trials")
    assert [entry.kind for entry in store.entries()] == ["older"]
    assert store.clear() == 5
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == sorted(
        OTHERS
    )
