from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from clbench import data
from clbench.data import decoded as module
from clbench.data import seen_files
from clbench.data.decoded import Decoded, Labelled, Listing, decoded
from clbench.data.image_files import ImageRule
from clbench.data.table import _fingerprint
from clbench.errors import InputError
from clbench.store.store import Store
from tests.data import pictures

RULE = ImageRule(("PNG",))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def listing(root: Path, num: int = 6, labels: tuple[int, ...] = (0, 1, 0, 1, 0, 1)) -> Listing:
    root.mkdir(exist_ok=True)
    files = []
    for n in range(num):
        if not (root / f"{n}.png").exists():
            (root / f"{n}.png").write_bytes(pictures.image(n, 10, 10))
            settle(root / f"{n}.png")
        files.append(Labelled(f"{n}.png", labels[n]))
    return Listing(root.resolve(), tuple(files[:4]), tuple(files[4:]), RULE)


def settle(file: Path) -> None:
    """Let the file look an hour old, all but its status change."""
    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns - 3600 * 10**9))


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are decoded, by their shape of call."""
    calls: list[str] = []
    real = module.decode
    monkeypatch.setattr(module, "decode", lambda *a, **k: (calls.append("image"), real(*a, **k))[1])
    return calls


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read to know their digest."""
    calls: list[str] = []

    class Counting(seen_files.Inside):
        def read(self, name: str) -> bytes:
            calls.append(name)
            return super().read(name)

    monkeypatch.setattr(seen_files, "Inside", Counting)
    # Status changes cannot be set back, so the clock is.
    monkeypatch.setattr(seen_files, "_SETTLED_NANOSECONDS", -1)
    return calls


def test_decodes_once_and_reads_once(
    tmp_path: Path, decoding: list[str], reading: list[str]
) -> None:
    files = listing(tmp_path / "a")
    first = decoded(files, 10)
    assert len(decoding) == len(reading) == 6
    second = decoded(files, 10)
    assert len(decoding) == len(reading) == 6, "the second start looks at dates only"
    assert torch.equal(first.train.images, second.train.images)
    assert (first.mean, first.std, first.fingerprint) == (
        second.mean,
        second.std,
        second.fingerprint,
    )


def test_the_same_images_elsewhere_are_not_decoded_again(
    tmp_path: Path, decoding: list[str]
) -> None:
    one, other = decoded(listing(tmp_path / "a"), 10), decoded(listing(tmp_path / "b"), 10)
    assert one.file == other.file and len(decoding) == 6


def test_files_that_changed_just_now_are_read_again(
    tmp_path: Path, reading: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_files, "_SETTLED_NANOSECONDS", 2 * 10**9)
    files = listing(tmp_path / "a")
    decoded(files, 10)
    decoded(files, 10)
    assert len(reading) == 12, "their status changed less than two seconds ago"
    assert [entry.kind for entry in Store().entries()] == ["images"]


def names(kept: Decoded) -> tuple[str, str]:
    return kept.file.name, kept.fingerprint


def test_whatever_changes_the_pixels_names_another_file(
    tmp_path: Path, reading: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = listing(tmp_path / "a")
    found = {names(decoded(files, 10)), names(decoded(files, 8))}
    relabelled = listing(tmp_path / "a", labels=(1, 0, 0, 1, 0, 1))
    found.add(names(decoded(relabelled, 10)))
    found.add(names(decoded(Listing(files.root, files.train[::-1], files.test, RULE), 10)))
    found.add(names(decoded(Listing(files.root, files.train[:3], files.all[3:], RULE), 10)))
    assert len(found) == 5
    monkeypatch.setattr(module, "_code", lambda: "another version")
    other = decoded(files, 10)
    assert other.file.name not in {name for name, _ in found}
    assert other.fingerprint in {mark for _, mark in found}, "the pixels are the same"


def test_a_changed_file_is_seen_though_its_date_and_size_are_the_old_ones(
    tmp_path: Path, reading: list[str]
) -> None:
    files = listing(tmp_path / "a")
    before = decoded(files, 10)
    file = tmp_path / "a" / "2.png"
    status, content = file.stat(), bytearray(file.read_bytes())
    changed = pictures.image(50, 10, 10)
    content[: len(changed)] = changed
    file.write_bytes(bytes(content[: len(changed)]).ljust(status.st_size, b"\0"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = decoded(files, 10)
    assert after.file != before.file and after.fingerprint != before.fingerprint
    expected = torch.from_numpy(pictures.pixels(50, 10, 10).copy()).permute(2, 0, 1)
    assert torch.equal(after.train.images[2], expected)


def test_without_trust_every_file_is_read(tmp_path: Path, reading: list[str]) -> None:
    files = listing(tmp_path / "a")
    decoded(files, 10)
    decoded(files, 10, trust=False)
    assert len(reading) == 12


def test_two_lists_of_one_folder_do_not_forget_each_others_files(
    tmp_path: Path, reading: list[str]
) -> None:
    files = listing(tmp_path / "a")
    few = Listing(files.root, files.train[:2], files.test[:1], RULE)
    for one in (files, few, files, few):
        decoded(one, 10)
    assert len(reading) == 6


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"{", b'{"0.png": 3}', b'{"0.png": "1 2"}'])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_broken_index_is_made_anew(
    tmp_path: Path, reading: list[str], content: bytes, sealed: bool
) -> None:
    files, store = listing(tmp_path / "a"), Store()
    before = decoded(files, 10)
    (name,) = [entry.name for entry in store.entries() if entry.kind == "seen"]
    index = store.path_of("seen", name)
    whole = index.read_bytes()
    store.write("seen", name, content) if sealed else index.write_bytes(content)
    told = contextlib.nullcontext() if sealed else pytest.warns(UserWarning, match="believed")
    with told:
        assert decoded(files, 10).fingerprint == before.fingerprint
    assert index.read_bytes() == whole


def test_a_flipped_digest_in_the_index_does_not_stop_anybody(
    tmp_path: Path, reading: list[str]
) -> None:
    files, store = listing(tmp_path / "a"), Store()
    before = decoded(files, 10)
    (name,) = [entry.name for entry in store.entries() if entry.kind == "seen"]
    index = store.path_of("seen", name)
    content = bytearray(index.read_bytes())
    content[content.index(b" ") + 1] ^= 1
    index.write_bytes(content)
    with pytest.warns(UserWarning, match="not to be believed"):
        assert decoded(files, 10).file == before.file


def test_the_fingerprint_is_that_of_tensors(tmp_path: Path) -> None:
    kept = decoded(listing(tmp_path / "a"), 10)
    assert kept.fingerprint == _fingerprint(kept.train, kept.test)
    assert kept.check().ok


def test_pixels_are_mapped_and_writing_to_them_harms_nobody(tmp_path: Path) -> None:
    files = listing(tmp_path / "a")
    kept = decoded(files, 10)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(kept.file) in maps.read_text()
    before = kept.file.read_bytes()
    kept.train.images.zero_()
    assert kept.file.read_bytes() == before
    assert decoded(files, 10).check().ok and not kept.check().ok


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[77] ^= 16
    file.write_bytes(content)


def _pickle(file: Path) -> None:
    np.save(file.with_suffix(".npy"), np.array([{}], dtype=object), allow_pickle=True)
    file.with_suffix(".npy").rename(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "harm",
    [Path.unlink, _truncate, _flip, _pickle, _folder, lambda file: file.write_bytes(b"")],
)
def test_a_broken_cache_is_decoded_anew(tmp_path: Path, harm) -> None:  # type: ignore[no-untyped-def]
    files = listing(tmp_path / "a")
    kept = decoded(files, 10)
    expected, file = kept.train.images.clone(), kept.file
    del kept
    harm(file)
    gone = not file.exists()
    with (
        contextlib.nullcontext() if gone else pytest.warns(UserWarning, match="not to be believed")
    ):
        again = decoded(files, 10)
    assert torch.equal(again.train.images, expected) and again.check().ok


FACTS = [
    *({"mean": value} for value in ([float("nan")] * 3, [0.1], [2.0] * 3, ["a"] * 3, None, 1)),
    *({"std": value} for value in ([0.0] * 3, [float("inf")] * 3, [-1.0] * 3)),
]


@pytest.mark.parametrize("wrong", FACTS, ids=str)
def test_facts_that_cannot_be_are_counted_again(tmp_path: Path, wrong: dict[str, object]) -> None:
    files, store = listing(tmp_path / "a"), Store()
    kept = decoded(files, 10)
    expected, name = (kept.mean, kept.std, kept.fingerprint), kept.file.name
    num_bytes = 6 * 3 * 10 * 10
    opened = store.opened("images", name)
    assert opened is not None
    with opened.file as file:
        pixels, facts = file.read(num_bytes), file.read(opened.num_bytes - num_bytes)
    store.write("images", name, pixels + json.dumps({**json.loads(facts), **wrong}).encode())
    again = decoded(files, 10)
    assert (again.mean, again.std, again.fingerprint) == expected


def test_two_entries_that_were_swapped_are_decoded_anew(tmp_path: Path) -> None:
    files = listing(tmp_path / "a")
    turned = Listing(files.root, files.train[::-1], files.test, RULE)
    one, other = decoded(files, 10), decoded(turned, 10)
    expected = one.train.images.clone()
    aside = one.file.with_name("aside")
    one.file.rename(aside)
    other.file.rename(one.file)
    aside.rename(other.file)
    with pytest.warns(UserWarning, match="not to be believed"):
        assert torch.equal(decoded(files, 10).train.images, expected)
    with pytest.warns(UserWarning, match="not to be believed"):
        assert torch.equal(decoded(turned, 10).train.images, expected.flip(0))


def test_verify_puts_changed_pixels_right(tmp_path: Path) -> None:
    root = tmp_path / "root"
    pictures.mhist(root)
    assert all(check.ok for check in data.verify("mhist", root))
    store = Store()
    (name,) = [entry.name for entry in store.entries() if entry.kind == "images"]
    file = store.path_of("images", name)
    whole = file.read_bytes()
    with file.open("r+b") as opened:
        opened.seek(1000)
        opened.write(b"\x07\x08")
    with pytest.warns(UserWarning, match="not to be believed .* made again"):
        *_, last = data.verify("mhist", root)
    assert last.ok and last.file == file and file.read_bytes() == whole


def test_mapped_pixels_are_not_evicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = decoded(listing(tmp_path / "a"), 10)
    small = Store(limit_bytes=10)
    small.write("trials", "a", b"x")
    assert kept.file.exists() and kept.check().ok
    file = kept.file
    del kept
    small.write("trials", "b", b"x")
    assert not file.exists()


DECODE = """
import sys
from pathlib import Path
from clbench.data import decoded as module
from tests.data.test_decoded import listing
calls, real = [], module.decode
module.decode = lambda *a, **k: (calls.append(1), real(*a, **k))[1]
kept = module.decoded(listing(Path(sys.argv[1])), 10)
print(len(calls), kept.fingerprint)
"""


def test_processes_that_start_together_decode_once(tmp_path: Path) -> None:
    listing(tmp_path / "a")
    command = [sys.executable, "-c", DECODE, str(tmp_path / "a")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sorted(int(calls) for calls, _ in told) == [0, 0, 6]
    assert len({mark for _, mark in told}) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_an_interrupted_decoding_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    files = listing(tmp_path / "a")
    real, calls = module.decode, []

    def fail(*args: object, **extra: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise error
        return real(*args, **extra)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "decode", fail)
    with pytest.raises(type(error)):
        decoded(files, 10)
    assert {entry.kind for entry in Store().entries()} <= {"seen"}
    assert not [p.name for p in cache.rglob(".*")]


def test_a_cache_that_cannot_be_written_says_how_much_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be written .* 1,800 bytes: .*CLBENCH_CACHE$"):
        decoded(listing(tmp_path / "a"), 10)


def test_a_file_that_changes_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = listing(tmp_path / "a")
    real = module.look_at

    def look_and_change(*args: object) -> object:
        seen = real(*args)  # type: ignore[arg-type]
        (tmp_path / "a" / "1.png").write_bytes(pictures.image(77, 10, 10))
        return seen

    monkeypatch.setattr(module, "look_at", look_and_change)
    with pytest.raises(InputError, match=r"1\.png: changed while it was read"):
        decoded(files, 10)


def test_grey_sets_have_one_channel_and_mixed_ones_three(tmp_path: Path) -> None:
    files = listing(tmp_path / "a")
    for n in range(6):
        (tmp_path / "a" / f"{n}.png").write_bytes(pictures.image(n, 10, 10, mode="L"))
    grey = decoded(files, 10)
    assert grey.train.images.shape == (4, 1, 10, 10) and len(grey.mean) == len(grey.std) == 1
    (tmp_path / "a" / "5.png").write_bytes(pictures.image(5, 10, 10))
    mixed = decoded(files, 10)
    assert torch.equal(mixed.train.images, grey.train.images.expand(-1, 3, -1, -1))


def test_flat_images_are_refused_and_a_flat_channel_is_not(tmp_path: Path) -> None:
    import io

    from PIL import Image

    files = listing(tmp_path / "a")

    def save(values: np.ndarray, n: int) -> None:
        out = io.BytesIO()
        Image.fromarray(values).save(out, "PNG")
        (tmp_path / "a" / f"{n}.png").write_bytes(out.getvalue())

    for n in range(6):
        green = pictures.pixels(n, 10, 10).copy()
        green[:, :, [0, 2]] = 0
        save(green, n)
    kept = decoded(files, 10)
    assert kept.mean[0] == kept.mean[2] == 0 and kept.std[0] == kept.std[2] == 1
    assert kept.std[1] > 0.1
    for n in range(6):
        save(np.full((10, 10, 3), 200, np.uint8), n)
    with pytest.raises(InputError, match="one flat colour"):
        decoded(files, 10)
