"""Several processes and one entry."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clbench.store import locks
from clbench.store.store import Store

NAME = "ab" * 32


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


WRITE_AND_READ = """
import sys, time
from pathlib import Path
from clbench.store.store import Store
store, me = Store(Path(sys.argv[1]), limit_bytes=20_000), int(sys.argv[2])
contents = [bytes([n]) * (1000 * n + 1) for n in range(1, 8)]
end, num = time.monotonic() + 2, 0
while time.monotonic() < end:
    for kind in ("trials", "images"):
        store.write(kind, "%s", contents[(num + me) %% 7])
        assert store.read(kind, "%s") in (None, *contents)
        opened = store.opened(kind, "%s")
        if opened is not None:
            with opened.file:
                assert opened.file.read(opened.num_bytes) in contents
    store.write("trials", f"{me}-{num %% 9}", contents[num %% 7])
    if num %% 5 == 0:
        store.remove("trials", "%s")
    if num %% 17 == 0:
        store.clear("images")
    store.entries()
    num += 1
print(num)
""".replace("%s", NAME).replace("%%", "%")


def test_processes_that_write_read_evict_and_clear_see_whole_entries(tmp_path: Path) -> None:
    processes = [start(WRITE_AND_READ, tmp_path, number) for number in range(4)]
    assert all(int(ended(process)) > 3 for process in processes)
    left = [p for p in tmp_path.rglob(".*") if p.is_file()]
    assert left == [], "no temporary file and no lock is left"


MAKE_ONCE = """
import sys, time
from pathlib import Path
from clbench.store.store import Store
store = Store(Path(sys.argv[1]))
with store.lock("distilled", sys.argv[2]):
    found = store.read("distilled", sys.argv[2])
    if found is None:
        time.sleep(0.3)
        store.write("distilled", sys.argv[2], b"content")
print("made" if found is None else "found", flush=True)
"""


def test_what_several_processes_want_is_made_once(tmp_path: Path) -> None:
    told = [ended(p) for p in [start(MAKE_ONCE, tmp_path, NAME) for _ in range(5)]]
    assert sorted(told) == ["found\n"] * 4 + ["made\n"]


def test_threads_of_one_process_wait_for_each_other_too(tmp_path: Path) -> None:
    made: list[int] = []

    def work() -> None:
        store = Store(tmp_path)
        with store.lock("trials", NAME):
            if store.read("trials", NAME) is None:
                made.append(1)
                time.sleep(0.2)
                store.write("trials", NAME, b"content")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


HOLD = """
import sys, time
from pathlib import Path
from clbench.store.store import Store
with Store(Path(sys.argv[1])).lock("distilled", sys.argv[2]):
    print("inside", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.2)
    holder = start(HOLD, tmp_path, NAME)
    assert holder.stdout is not None and holder.stdout.readline() == "inside\n"
    threading.Timer(1.0, holder.kill).start()
    begin = time.monotonic()
    with (
        pytest.warns(UserWarning, match="another process is making it; waiting .*Ctrl-C stops"),
        Store(tmp_path).lock("distilled", NAME),
    ):
        assert time.monotonic() - begin > 0.5
    holder.communicate()
    assert not [p for p in tmp_path.rglob(".*") if p.is_file()]


KILLED = """
import sys, time
from pathlib import Path
from clbench.store.store import Store
with Store(Path(sys.argv[1])).writing("images", sys.argv[2]) as file:
    file.write(b"half")
    print("inside", flush=True)
    time.sleep(60)
"""


def test_a_killed_writer_leaves_no_entry(tmp_path: Path) -> None:
    writer = start(KILLED, tmp_path, NAME)
    assert writer.stdout is not None and writer.stdout.readline() == "inside\n"
    store = Store(tmp_path)
    (half,) = [p for p in tmp_path.rglob(".*") if p.is_file()]
    os.utime(half, (1, 1))
    store.clear()
    assert half.exists(), "it is still writing"
    writer.kill()
    writer.communicate()
    assert store.opened("images", NAME) is None and store.entries() == []
    store.clear()
    assert not [p for p in tmp_path.rglob(".*") if p.is_file()]
