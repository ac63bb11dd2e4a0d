"""Sets as they are sent: folders and archives, and archives that are up to no good."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from clbench import data
from clbench.data import bundle, decoded
from clbench.errors import InputError
from tests.data import pictures
from tests.data.pictures import ROWS, table

Members = dict[str, bytes]


def members(prefix: str = "") -> Members:
    found = {f"{prefix}annotations.csv": table()}
    for seed, row in enumerate(ROWS):
        found[f"{prefix}images/{row.partition(',')[0]}"] = pictures.image(seed)
    return found


def packed(content: Members) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in content.items():
            archive.writestr(name, member)
    return out.getvalue()


def write(path: Path, content: Members) -> Path:
    path.write_bytes(packed(content))
    return path


def prepared(root: Path, source: Path) -> str:
    made = data.prepare("mhist", root, source, image_size=16)
    assert sorted(p.name for p in root.iterdir()) == ["MHIST"]
    assert len(list((root / "MHIST" / "images").iterdir())) == len(ROWS)
    assert made.copied and made.folder == root / "MHIST"
    return made.data.fingerprint


@pytest.mark.parametrize("prefix", ["", "MHIST/", "a/b/MHIST/"])
def test_archives_of_any_depth(tmp_path: Path, prefix: str) -> None:
    extra = {"__MACOSX/annotations.csv": b"x", f"{prefix}LICENCE.pdf": b"%PDF", "empty/": b""}
    source = write(tmp_path / "sent.zip", {**members(prefix), **extra})
    (tmp_path / "plain").mkdir()
    pictures.mhist(tmp_path / "plain")
    expected = data.load("mhist", tmp_path / "plain", image_size=16).fingerprint
    assert prepared(tmp_path / "root", source) == expected
    kept = {p.name for p in (tmp_path / "root" / "MHIST").iterdir()}
    assert kept == {"annotations.csv", "images"}


def test_folders_as_they_are_sent(tmp_path: Path) -> None:
    """annotations.csv beside images.zip, as the authors hand them out; or unpacked."""
    folder = pictures.mhist(tmp_path / "unpacked")
    sent = tmp_path / "sent"
    sent.mkdir()
    (sent / "annotations.csv").write_bytes(table())
    pngs = {k.rpartition("/")[2]: v for k, v in members().items() if k.endswith(".png")}
    write(sent / "images.zip", {f"images/{k}": v for k, v in pngs.items()})
    flat = tmp_path / "flat"
    shutil.copytree(sent, flat)
    write(flat / "images.zip", pngs)
    sources = (folder, folder.parent, sent, flat)
    made = {prepared(tmp_path / f"root{n}", source) for n, source in enumerate(sources)}
    assert len(made) == 1


def test_in_place_copies_nothing(tmp_path: Path) -> None:
    folder = pictures.mhist(tmp_path)
    for source in (None, folder, tmp_path):
        made = data.prepare("mhist", tmp_path, source, image_size=16)
        assert not made.copied and made.folder == folder
    assert [p.name for p in tmp_path.iterdir()] == ["MHIST"]


def test_what_is_there_is_never_replaced(tmp_path: Path) -> None:
    pictures.mhist(tmp_path / "root")
    pictures.mhist(tmp_path / "other")
    with pytest.raises(InputError, match="MHIST: expected nothing there yet, .*--data-root"):
        data.prepare("mhist", tmp_path / "root", tmp_path / "other")


def test_progress_is_told_image_by_image(tmp_path: Path) -> None:
    pictures.mhist(tmp_path)
    told: list[tuple[int, int]] = []
    # Another size than any other test's, so that there is decoding to do.
    data.prepare("mhist", tmp_path, None, 19, lambda done, total: told.append((done, total)))
    assert told == [(n, 8) for n in range(1, 9)]


def slip(name: str) -> Callable[[Path], Path]:
    return lambda place: write(place, {**members(), name: b"x"})


def link(place: Path) -> Path:
    found = zipfile.ZipInfo("images/z.png")
    found.external_attr = 0o120777 << 16
    with zipfile.ZipFile(write(place, members()), "a") as archive:
        archive.writestr(found, "/etc/passwd")
    return place


def encrypted(place: Path) -> Path:
    content = bytearray(packed(members()))
    start = content.index(b"PK\x01\x02")
    content[start + 8] |= 1
    place.write_bytes(bytes(content))
    return place


def liar(place: Path) -> Path:
    """A member that unpacks to more than its header says."""
    content = bytearray(packed({**members(), "images/a.png": bytes(2**20)}))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = 0
        while (start := content.find(signature, start)) >= 0:
            at = start + offset
            if int.from_bytes(content[at : at + 4], "little") == 2**20:
                content[at : at + 4] = (100).to_bytes(4, "little")
            start += 4
    place.write_bytes(bytes(content))
    return place


def lzma(place: Path) -> Path:
    with zipfile.ZipFile(write(place, members()), "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("images/z.png", b"x")
    return place


def twice(place: Path) -> Path:
    with zipfile.ZipFile(write(place, members()), "a") as archive:
        archive.writestr("images/./a.png", pictures.image(9))
    return place


def damaged(place: Path) -> Path:
    content = bytearray(packed(members()))
    at = content.index(b"images/c.png") + 40
    content[at] ^= 0xFF
    place.write_bytes(bytes(content))
    return place


def cut(place: Path) -> Path:
    place.write_bytes(packed(members())[:-100])
    return place


def absent(name: str) -> Callable[[Path], Path]:
    return lambda place: write(place, {k: v for k, v in members().items() if k != name})


CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip slip": (slip("../../evil.txt"), r"without \.\., found '\.\./\.\./evil\.txt'"),
    "absolute": (slip("/tmp/evil.txt"), r"below the folder.*found '/tmp/evil\.txt'"),
    "drive": (slip("C:/evil.txt"), "below the folder.*found 'C:/evil.txt'"),
    "link": (link, "expected files, found the link images/z.png"),
    "encrypted": (encrypted, "expected no encryption, found annotations.csv encrypted"),
    "bomb": (lambda place: write(
        place, {**members(), "images/a.png": bytes(2**24 + 1)}),
        "members of at most 16,777,216 bytes, found images/a.png of 16,777,217"),
    "bomb that lies": (liar, r"images/a\.png: cannot be unpacked"),
    "packed by lzma": (lzma, "stored or deflated, found images/z.png packed otherwise"),
    "twice": (twice, "expected every member once, found images/a.png twice"),
    "damaged member": (damaged, r"images/c\.png: cannot be unpacked"),
    "cut off": (cut, "expected a folder or a zip archive, found neither"),
    "no zip": (lambda p: p.write_bytes(b"hello") and p, "found neither"),
    "empty file": (lambda p: p.write_bytes(b"") or p, "found neither"),
    "empty zip": (lambda p: write(p, {}), "expected one annotations.csv, found none"),
    "no table": (absent("annotations.csv"), "expected one annotations.csv, found none"),
    "two tables": (
        lambda p: write(p, {**members("a/"), **members("b/")}),
        "expected one annotations.csv, found 2: a/annotations.csv, b/annotations.csv",
    ),
    "no image": (absent("images/c.png"), r"images/c\.png: missing in the archive"),
    "no images": (
        lambda p: write(p, {"annotations.csv": table()}), "expected images/ or images.zip beside",
    ),
    "zip in zip": (
        lambda p: write(p, {"annotations.csv": table(), "images.zip": packed({"a.png": b"x"})}),
        "images.zip within the archive; unpack the outer one",
    ),
    "nothing there": (lambda p: p, "found nothing; check the path"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_archives(case: str, tmp_path: Path) -> None:
    make, expected = CASES[case]
    source = make(tmp_path / "sent.zip")
    root = tmp_path / "root"
    with pytest.raises(InputError, match=expected) as caught:
        data.prepare("mhist", root, source, image_size=16)
    message = str(caught.value)
    assert message.startswith(f"{source}: ") and "\n" not in message
    assert not root.exists() or not list(root.iterdir()), "nothing is left behind"
    assert {p.name for p in tmp_path.iterdir()} <= {"sent.zip", "root"}, "nor elsewhere"


def test_a_place_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "sent.zip", members())
    monkeypatch.setattr(bundle.os, "access", lambda path, mode: False)  # root may read everything
    with pytest.raises(InputError, match="found something that cannot be read; check its perm"):
        data.prepare("mhist", tmp_path / "root", source)


def test_too_many_or_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "sent.zip", members())
    monkeypatch.setattr(bundle, "MAX_ARCHIVE_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1,000 bytes in all, found"):
        data.prepare("mhist", tmp_path / "root", source)
    monkeypatch.setattr(bundle, "MAX_MEMBERS", 8)
    with pytest.raises(InputError, match="at most 8 members, found 9"):
        data.prepare("mhist", tmp_path / "root", source)


@pytest.mark.parametrize("num", [0, 2])
def test_images_zip_of_no_or_several_folders(tmp_path: Path, num: int) -> None:
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "annotations.csv").write_bytes(table())
    write(tmp_path / "sent" / "images.zip", {f"{n}/a.png": b"x" for n in range(num)})
    with pytest.raises(InputError, match=f"expected one folder of PNG files, found {num}"):
        data.prepare("mhist", tmp_path / "root", tmp_path / "sent")


def test_an_interrupted_copy_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "sent.zip", members())

    def interrupt(*args: object, **extra: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decoded, "look_at", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.prepare("mhist", tmp_path / "root", source)
    assert not list((tmp_path / "root").iterdir())


def test_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    source = write(tmp_path / "sent.zip", members())
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file: cannot be written .*--data-root"):
        data.prepare("mhist", tmp_path / "file", source)
