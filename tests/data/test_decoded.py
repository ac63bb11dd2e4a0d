from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from clbench import data
from clbench.data import decoded as module
from clbench.data import seen_files
from clbench.data.catalogue import _fingerprint
from clbench.data.decoded import Decoded, Labelled, Listing, decoded
from clbench.data.image_files import ImageRule
from clbench.errors import InputError
from tests.data import pictures

RULE = ImageRule(("PNG",))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


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
    real = seen_files.read_bytes
    monkeypatch.setattr(
        seen_files, "read_bytes", lambda root, name: (calls.append(name), real(root, name))[1]
    )
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
    assert not list((tmp_path / "cache" / "images").glob("seen-*.json"))


def names(kept: Decoded) -> tuple[str, str]:
    return kept.file.stem, kept.fingerprint


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
    assert other.file.stem not in {stem for stem, _ in found}
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


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"identity": 1}', '{"files": {"0.png": 3}}'])
def test_a_broken_index_is_made_anew(tmp_path: Path, reading: list[str], content: str) -> None:
    files = listing(tmp_path / "a")
    before = decoded(files, 10)
    (index,) = (tmp_path / "cache" / "images").glob("seen-*.json")
    whole = index.read_text()
    index.write_text(content)
    assert decoded(files, 10).fingerprint == before.fingerprint
    assert index.read_text() == whole


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


def _pickle(file: Path) -> None:
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        _truncate,
        _pickle,
        lambda file: np.save(file, np.zeros((6, 3, 9, 9), np.uint8)),
        lambda file: file.write_bytes(b""),
        lambda file: file.with_suffix(".json").unlink(),
        lambda file: file.with_suffix(".json").write_text("{"),
        lambda file: file.with_suffix(".json").write_text("{}"),
    ],
)
def test_a_broken_cache_is_decoded_anew(tmp_path: Path, harm) -> None:  # type: ignore[no-untyped-def]
    files = listing(tmp_path / "a")
    kept = decoded(files, 10)
    expected, file = kept.train.images.clone(), kept.file
    del kept
    harm(file)
    again = decoded(files, 10)
    assert torch.equal(again.train.images, expected) and again.check().ok


def test_changed_pixels_in_the_cache_are_found_by_verify(tmp_path: Path) -> None:
    root = tmp_path / "root"
    pictures.mhist(root)
    assert all(check.ok for check in data.verify("mhist", root))
    (file,) = (tmp_path / "cache" / "images").glob("*.npy")
    with file.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        opened.write(b"\x07")
    *_, last = data.verify("mhist", root)
    assert not last.ok and last.file == file and "delete this file" in last.message


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
    assert not [p.name for p in cache.iterdir() if not p.name.startswith("seen-")]


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
