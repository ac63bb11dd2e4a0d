"""The store: what it gives back is what was put in, or nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clbench.errors import InputError
from clbench.store.store import Store

NAME = "0f" * 32
NAMES = st.text("0123456789abcdefz_.-", min_size=1, max_size=80).filter(lambda s: s[0] not in "_.-")
KINDS = st.sampled_from(["trials", "images", "seen", "a_b"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def put(store: Store, kind: str, name: str, content: bytes) -> None:
    """Write in pieces, as decoded images are."""
    with store.writing(kind, name) as file:
        for start in range(0, len(content), 1000):
            file.write(content[start : start + 1000])


def mapped(store: Store, kind: str, name: str) -> bytes | None:
    """What a mapping of the entry shows."""
    found = store.opened(kind, name)
    if found is None:
        return None
    with found.file as file:
        if found.num_bytes == 0:
            return b""
        return np.memmap(file, np.uint8, "c", 0, (found.num_bytes,)).tobytes()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@settings(max_examples=60)
@given(st.dictionaries(st.tuples(KINDS, NAMES), st.binary(max_size=3000), max_size=6))
def test_what_was_written_is_read_and_listed(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[tuple[str, str], bytes]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    for number, ((kind, name), content) in enumerate(contents.items()):
        (store.write if number % 2 else lambda *a: put(store, *a))(kind, name, content)
    for (kind, name), content in contents.items():
        assert store.read(kind, name) == content == mapped(store, kind, name)
    entries = store.entries()
    assert {(entry.kind, entry.name) for entry in entries} == set(contents)
    assert len(files(store.root)) == len(contents), "nothing else is left"
    assert store.clear() == sum(entry.num_bytes for entry in entries)
    assert not files(store.root) and store.entries() == []


@given(st.binary(max_size=500), st.data())
def test_every_change_of_a_file_is_seen(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    store = Store(tmp_path_factory.getbasetemp() / "changed")
    store.write("trials", NAME, content)
    file = store.path_of("trials", NAME)
    whole = file.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(
        st.one_of(
            st.integers(1, 255).map(
                lambda x: whole[:position] + bytes([whole[position] ^ x]) + whole[position + 1 :]
            ),
            st.just(whole[:position]),
            st.just(whole[position + 1 :]),
            st.binary(min_size=1).map(lambda more: whole + more),
            st.binary(min_size=1).map(lambda more: more + whole),
            st.binary(),
        )
    )
    for read in (store.read, lambda *place: mapped(store, *place)):
        file.write_bytes(changed)
        with pytest.warns(UserWarning, match="not to be believed .* removed and made again"):
            assert read("trials", NAME) is None
        assert not file.exists()


def test_an_absent_entry_is_none_and_makes_no_folder(store: Store) -> None:
    assert store.read("trials", NAME) is None and store.opened("trials", NAME) is None
    store.remove("trials", NAME)
    assert store.entries() == [] and store.clear() == 0 and not store.root.exists()


def test_content_stands_at_byte_0_and_one_line_behind_it_says_what_it_is(store: Store) -> None:
    store.write("trials", NAME, b"content")
    content, seal, rest = store.path_of("trials", NAME).read_bytes().split(b"\n")
    assert content == b"content" and rest == b""
    form, place, length, sha256 = seal.decode().split()
    assert form == "clbench-store-1" and place == f"trials/{NAME}" and int(length) == 7
    assert len(sha256) == 64


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("trials", "../x"),
        ("trials", "a/b"),
        ("trials", "a\\b"),
        ("trials", ""),
        ("trials", ".hidden"),
        ("trials", "A"),
        ("trials", "a" * 300),
        ("trials", "a\n"),
        ("..", NAME),
        ("", NAME),
        ("a/b", NAME),
        ("older", NAME),
    ],
)
def test_nothing_leads_out_of_the_store(store: Store, kind: str, name: str) -> None:
    calls = (store.read, store.opened, store.remove, store.lock, store.path_of)
    for call in calls:
        with pytest.raises(ValueError, match="expected a kind of a-z_ and a name"):
            call(kind, name)
    with pytest.raises(ValueError, match="expected a kind"):
        store.write(kind, name, b"")


def test_a_failed_writing_keeps_what_was_there(store: Store) -> None:
    store.write("images", NAME, b"before")
    with pytest.raises(KeyboardInterrupt), store.writing("images", NAME) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert store.read("images", NAME) == b"before" and len(files(store.root)) == 1


def test_a_store_that_cannot_be_written_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with pytest.warns(UserWarning, match="cannot be kept .* the work goes on") as told:
        store.write("trials", NAME, b"content")
    assert told[0].filename == __file__
    with store.lock("trials", NAME):
        assert store.read("trials", NAME) is None and store.opened("trials", NAME) is None
    with pytest.raises(OSError), store.writing("trials", NAME):
        pass
    assert store.entries() == [] and store.clear() == 0


def test_a_place_that_can_only_be_read_is_read(store: Store) -> None:
    store.write("trials", NAME, b"content")
    folder = store.path_of("trials", NAME).parent
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    try:
        with store.lock("trials", NAME):
            assert store.read("trials", NAME) == b"content"
            assert mapped(store, "trials", NAME) == b"content"
        with pytest.warns(UserWarning, match="Permission denied"):
            store.write("trials", NAME, b"other")
    finally:
        folder.chmod(0o700)
    assert store.read("trials", NAME) == b"content"


def test_what_never_ends_is_not_read(store: Store) -> None:
    path = store.path_of("trials", NAME)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.warns(UserWarning, match="expected a file, found a folder or a device"):
        assert store.read("trials", NAME) is None
    path.symlink_to("/dev/zero")
    with pytest.warns(UserWarning, match="a device"):
        assert store.opened("trials", NAME) is None
    store.write("trials", NAME, b"content")
    assert stat.S_ISREG(path.lstat().st_mode) and store.read("trials", NAME) == b"content"


def test_a_mapping_outlives_its_entry(store: Store) -> None:
    put(store, "images", NAME, b"pixels")
    found = store.opened("images", NAME)
    assert found is not None
    with found.file as file:
        pixels = np.memmap(file, np.uint8, "c", 0, (found.num_bytes,))
    store.remove("images", NAME)
    assert pixels.tobytes() == b"pixels" and store.opened("images", NAME) is None


def test_one_process_does_not_hash_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from clbench.store import sealing

    calls: list[int] = []
    real = sealing._sha256
    monkeypatch.setattr(sealing, "_sha256", lambda f, n: (calls.append(n), real(f, n))[1])
    monkeypatch.setattr(sealing, "_SETTLED_NANOSECONDS", -1)
    put(store, "images", NAME, b"x" * 5000)
    assert mapped(store, "images", NAME) == mapped(store, "images", NAME) == b"x" * 5000
    assert calls == [5000]
    put(store, "images", NAME, b"y" * 5000)
    assert mapped(store, "images", NAME) == b"y" * 5000 and len(calls) == 2


def test_a_file_that_changed_just_now_is_hashed_again(store: Store) -> None:
    put(store, "images", NAME, b"x" * 5000)
    file = store.path_of("images", NAME)
    for _ in range(20):
        assert mapped(store, "images", NAME) == b"x" * 5000
        with file.open("r+b") as opened:
            opened.write(b"z")
        with pytest.warns(UserWarning, match=r"expected content of SHA-256"):
            assert mapped(store, "images", NAME) is None
        put(store, "images", NAME, b"x" * 5000)


def test_importing_the_store_is_light() -> None:
    code = "import sys, clbench.store.store; print(*{'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_place_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path))
    assert Store().root == tmp_path
    monkeypatch.setenv("CLBENCH_CACHE", "~nobodyx/cache")
    with pytest.raises(InputError, match="CLBENCH_CACHE: expected a folder .* '~nobodyx/cache'"):
        Store()
