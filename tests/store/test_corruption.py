"""Two thousand ways to harm the files of a store: none of them is ever believed."""

from __future__ import annotations

import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

from clbench.store.store import Store
from tests.store.test_store import mapped, put

NUM_CORRUPTIONS = 2000
MAPPED = ("images", "trajectories")
KINDS = ("trials", "distilled", "unfinished", *MAPPED)
Truth = dict[tuple[str, str], bytes]


def flip(draw: random.Random, file: Path, other: Path) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 1, 1, 2, 9))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def flip_in_place(draw: random.Random, file: Path, other: Path) -> None:
    status = file.stat()
    with file.open("r+b") as opened:
        opened.seek(draw.randrange(status.st_size))
        byte = opened.read(1)[0]
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte ^ (1 << draw.randrange(8))]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def truncate(draw: random.Random, file: Path, other: Path) -> None:
    os.truncate(file, draw.randrange(file.stat().st_size))


def cut_off_the_seal(draw: random.Random, file: Path, other: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: content.rindex(b"\n", 0, -1) + draw.randrange(2)])


def cut_the_beginning(draw: random.Random, file: Path, other: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[1 + draw.randrange(len(content) - 1) :])


def extend(draw: random.Random, file: Path, other: Path) -> None:
    content = file.read_bytes()
    seal = content[content.rindex(b"\n", 0, -1) :]
    more = draw.choice((b"\0", b"\n", draw.randbytes(50), seal, content, other.read_bytes()))
    file.write_bytes(content + more)


def swap(draw: random.Random, file: Path, other: Path) -> None:
    aside = file.with_name("aside")
    file.rename(aside)
    other.rename(file)
    aside.rename(other)


def copy_another(draw: random.Random, file: Path, other: Path) -> None:
    shutil.copy2(other, file)


def mix(draw: random.Random, file: Path, other: Path) -> None:
    one, two = file.read_bytes(), other.read_bytes()
    cut = draw.randrange(len(one))
    file.write_bytes(one[:cut] + two[cut:])


def own_seal_on_others_content(draw: random.Random, file: Path, other: Path) -> None:
    one, two = file.read_bytes(), other.read_bytes()
    file.write_bytes(two[: two.rindex(b"\n", 0, -1)] + one[one.rindex(b"\n", 0, -1) :])


def foreign(draw: random.Random, file: Path, other: Path) -> None:
    deep = b"[" * 100_000
    file.write_bytes(draw.choice((draw.randbytes(400), b"{}", b"null", deep, b"\x93NUMPY", b"PK")))


def huge(draw: random.Random, file: Path, other: Path) -> None:
    os.truncate(file, 2**40)


def empty(draw: random.Random, file: Path, other: Path) -> None:
    file.write_bytes(b"")


def folder(draw: random.Random, file: Path, other: Path) -> None:
    file.unlink()
    file.mkdir()
    if draw.random() < 0.5:
        (file / "inside").write_bytes(b"x")


def remove(draw: random.Random, file: Path, other: Path) -> None:
    file.unlink()


def link(draw: random.Random, file: Path, other: Path) -> None:
    file.unlink()
    file.symlink_to(draw.choice((other, file, file.parent, Path("nowhere"), Path("/dev/zero"))))


def hard_link(draw: random.Random, file: Path, other: Path) -> None:
    file.unlink()
    os.link(other, file)


def pipe(draw: random.Random, file: Path, other: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def unreadable(draw: random.Random, file: Path, other: Path) -> None:
    file.chmod(0)


HARMS: tuple[Callable[[random.Random, Path, Path], None], ...] = (
    *(flip, flip_in_place, truncate, cut_off_the_seal, cut_the_beginning, extend, swap),
    *(copy_another, mix, own_seal_on_others_content, foreign, huge, empty, folder, remove),
    *(link, hard_link, pipe, unreadable),
)


def _make(store: Store, kind: str, name: str, content: bytes) -> None:
    (put if kind in MAPPED else Store.write)(store, kind, name, content)


def _truth(draw: random.Random) -> Truth:
    def name() -> str:
        return f"{draw.getrandbits(256):064x}{draw.choice(('', '-expert_3'))}"

    made = {
        (kind, name()): draw.randbytes(draw.randrange(3000)) for kind in KINDS for _ in range(3)
    }
    # The same content under two names, and one name in two kinds, must not be taken for each other.
    first = next(iter(made))
    return {**made, ("trials", name()): made[first], ("images", first[1]): b""}


def test_no_corruption_is_ever_believed(tmp_path: Path) -> None:
    draw = random.Random(0)
    store, truth = Store(tmp_path), _truth(draw)
    for place, content in truth.items():
        _make(store, *place, content)
    harmed: dict[str, int] = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for number in range(NUM_CORRUPTIONS):
            harm = HARMS[number % len(HARMS)]
            place, other = draw.sample(sorted(truth), 2)
            harm(draw, store.path_of(*place), store.path_of(*other))
            harmed[harm.__name__] = harmed.get(harm.__name__, 0) + 1
            for where in (place, other):
                read = mapped if where[0] in MAPPED else Store.read
                found = read(store, *where)
                assert found in (None, truth[where]), (harm.__name__, where)
                if found is None:
                    _make(store, *where, truth[where])
                    assert read(store, *where) == truth[where], harm.__name__
    assert sum(harmed.values()) == NUM_CORRUPTIONS and min(harmed.values()) >= 100
    lines = [str(warning.message) for warning in told]
    assert len(lines) > NUM_CORRUPTIONS / 2
    assert all("\n" not in line and "not to be believed" in line for line in lines)
    assert {(entry.kind, entry.name) for entry in store.entries()} == set(truth)


def test_a_folder_of_the_store_that_is_a_file_costs_warnings(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("trials", "a", b"content")
    shutil.rmtree(store.path_of("trials", "a").parent)
    store.path_of("trials", "a").parent.write_bytes(b"")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert store.read("trials", "a") is None
        store.write("trials", "a", b"content")
        with store.lock("trials", "a"):
            assert store.entries() == [] and store.clear() == 0
    assert len(told) == 1 and "cannot be kept" in str(told[0].message)
