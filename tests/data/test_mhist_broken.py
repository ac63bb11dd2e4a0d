"""Whatever can be wrong with a set in MHIST's layout: one line that says so."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from clbench import data
from clbench.errors import InputError
from tests.data import pictures
from tests.data.pictures import HEADER, ROWS, table

Spoil = Callable[[Path], None]


def raw(content: bytes) -> Spoil:
    """Another table."""

    def spoil(folder: Path) -> None:
        (folder / "annotations.csv").write_bytes(content)

    return spoil


def rewrite(*rows: str, header: str = HEADER) -> Spoil:
    """A table of other rows."""
    return raw(table(*rows, header=header))


def first(row: str) -> Spoil:
    """Another first row."""
    return rewrite(row, *ROWS[1:])


def picture(content: bytes, name: str = "c.png") -> Spoil:
    """Another content of one image file."""

    def spoil(folder: Path) -> None:
        (folder / "images" / name).write_bytes(content)

    return spoil


def without(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def linked(target: str) -> Spoil:
    def link(folder: Path) -> None:
        outside = folder.parent.parent / "outside.png"
        outside.write_bytes(pictures.image(3))
        (folder / "images" / "c.png").unlink()
        (folder / "images" / "c.png").symlink_to(target or outside)

    return link


def folder_instead(folder: Path) -> None:
    (folder / "images" / "c.png").unlink()
    (folder / "images" / "c.png").mkdir()


def table_is_a_folder(folder: Path) -> None:
    (folder / "annotations.csv").unlink()
    (folder / "annotations.csv").mkdir()


def pipe_instead(folder: Path) -> None:
    (folder / "images" / "c.png").unlink()
    os.mkfifo(folder / "images" / "c.png")


def sparse(folder: Path) -> None:
    with (folder / "images" / "c.png").open("wb") as file:
        file.truncate(2**28 + 1)


def chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds next to nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def flipped(content: bytes) -> bytes:
    """One bit of the packed pixels turned over, so that their checksum is wrong."""
    place = content.index(b"IDAT") + 12
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def animated() -> bytes:
    out = io.BytesIO()
    frames = [Image.open(io.BytesIO(pictures.image(seed))) for seed in (1, 2)]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    return out.getvalue()


WHOLE = pictures.image(3)
LONG = "\n".join([HEADER, *ROWS])
CASES: dict[str, tuple[Spoil, list[str]]] = {
    # the table
    "no table": (without("annotations.csv"), ["annotations.csv", "clbench data prepare"]),
    "empty table": (raw(b""), ["annotations.csv", "empty file"]),
    "blank table": (raw(b" \n\r\n"), ["empty file"]),
    "header only": (raw(f"{HEADER}\n".encode()), ["rows below the header", "none"]),
    "no header": (raw("\n".join(ROWS).encode()), ["no column 'Image Name'", "'a.png'"]),
    "missing column": (
        raw(LONG.replace(",Partition", "").encode()), ["no column 'Partition'"],
    ),
    "renamed column": (
        rewrite(header=HEADER.replace("Partition", "Split")), ["no column 'Partition'", "'Split'"],
    ),
    "extra column": (rewrite(header=f"{HEADER},Age"), ["found also 'Age'", "remove it"]),
    "duplicate column": (rewrite(header=f"{HEADER},Partition"), ["'Partition' twice"]),
    "semicolons": (raw(LONG.replace(",", ";").encode()), ["commas", "semicolons"]),
    "tabs": (raw(LONG.replace(",", "\t").encode()), ["commas", "tabs"]),
    "latin-1": (
        raw(table("é.png,HP,0,train", *ROWS[1:]).decode().encode("latin-1")),
        ["line 2", "UTF-8", "0xe9"],
    ),
    "utf-16": (raw(LONG.encode("utf-16")), ["UTF-8", "0xff"]),
    "zero bytes": (raw(table("a\0.png,HP,0,train", *ROWS[1:])), ["zero byte"]),
    "too few values": (first("a.png,HP,0"), ["line 2", "expected 4 values", "found 3"]),
    "too many values": (first("a.png,HP,0,train,x"), ["line 2", "expected 4 values", "found 5"]),
    "open quote": (first('"a.png,HP,0,train'), ["comma-separated values", "save the table"]),
    "huge cell": (first(f"{'a' * 200_000},HP,0,train"), ["line 2", "field larger"]),
    "table is a folder": (
        table_is_a_folder,
        ["annotations.csv", "clbench data prepare"],
    ),
    # its rows
    "unknown label": (first("a.png,TA,0,train"), ["line 2", "HP or SSA", "'TA'"]),
    "label in small letters": (first("a.png,hp,0,train"), ["HP or SSA", "'hp'"]),
    "no label": (first("a.png,,0,train"), ["HP or SSA", "''"]),
    "votes above 7": (first("a.png,SSA,8,train"), ["line 2", "0 to 7", "'8'"]),
    "negative votes": (first("a.png,HP,-1,train"), ["0 to 7", "'-1'"]),
    "half a vote": (first("a.png,HP,2.5,train"), ["whole number", "'2.5'"]),
    "votes in words": (first("a.png,HP,none,train"), ["whole number", "'none'"]),
    "votes missing": (first("a.png,HP,,train"), ["whole number", "''"]),
    "votes of another script": (first("a.png,HP,٣,train"), ["whole number", "'٣'"]),
    "label against votes": (
        first("a.png,SSA,3,train"), ["line 2", "expected the label HP", "3 of 7", "found SSA"],
    ),
    "votes against label": (first("a.png,HP,4,train"), ["expected the label SSA", "4 of 7"]),
    "unknown partition": (first("a.png,HP,0,val"), ["train or test", "'val'"]),
    "empty partition": (
        rewrite(*[row.replace("test", "train") for row in ROWS]), ["of HP among the 0 of test"],
    ),
    "no class in a partition": (
        rewrite(*ROWS[:4], "e.png,HP,0,test"), ["none of SSA among the 1 of test"],
    ),
    "duplicate name": (
        rewrite(*ROWS, "a.png,HP,0,train"), ["line 10", "a.png a second time", "line 2"],
    ),
    "duplicate by another path": (
        rewrite(*ROWS, "./a.png,HP,0,train"), ["line 10", "a.png a second time"],
    ),
    "path upwards": (first("../a.png,HP,0,train"), ["line 2", "without ..", "'../a.png'"]),
    "absolute path": (first("/etc/a.png,HP,0,train"), ["below the folder", "'/etc/a.png'"]),
    "path of Windows": (first(r"C:\a.png,HP,0,train"), ["written with /", "C:"]),
    "path into a folder": (first("x/a.png,HP,0,train"), ["name of a PNG file", "'x/a.png'"]),
    "no name": (first(",HP,0,train"), ["line 2", "found ''"]),
    "name of no png": (first("a.jpg,HP,0,train"), ["name of a PNG file", "'a.jpg'"]),
    # the images
    "absent file": (without("images/c.png"), ["images/c.png", "missing", "put it there"]),
    "truncated": (picture(WHOLE[: len(WHOLE) // 2]), ["c.png", "broken pixels", "get it again"]),
    "header alone": (picture(WHOLE[:20]), ["c.png", "expected a PNG image"]),
    "wrong checksum": (picture(flipped(WHOLE)), ["c.png", "expected"]),
    "empty file": (picture(b""), ["c.png", "empty file"]),
    "not an image": (picture(b"hello"), ["c.png", "expected a PNG image", "something else"]),
    "jpeg": (picture(pictures.image(3, kind="JPEG")), ["c.png", "PNG", "found JPEG"]),
    "wrong size": (picture(pictures.image(3, 224, 200)), ["224 x 224", "200 x 224"]),
    "grey": (picture(pictures.image(3, mode="L")), ["c.png", "RGB", "found L"]),
    "with alpha": (picture(pictures.image(3, mode="RGBA")), ["RGB", "found RGBA"]),
    "palette": (picture(pictures.image(3, mode="P")), ["RGB", "found P"]),
    "16 bits": (picture(pictures.image(3, mode="I;16")), ["RGB", "found I;16"]),
    "animated": (picture(animated()), ["one image", "found 2"]),
    "huge header": (picture(png_header(60_000, 60_000)), ["at most 67,108,864 pixels"]),
    "large header": (picture(png_header(12_000, 12_000)), ["224 x 224", "12,000 x 12,000"]),
    "huge file": (sparse, ["at most 268,435,456 bytes", "found 268,435,457"]),
    "a folder instead": (folder_instead, ["c.png", "expected a file", "a folder or a device"]),
    "a pipe instead": (pipe_instead, ["c.png", "expected a file"]),
    "link out": (linked(""), ["c.png", "a link that leads to", "outside.png"]),
    "link to itself": (linked("c.png"), ["c.png", "cannot be opened"]),
    "link to nothing": (linked("nothing.png"), ["c.png", "missing"]),
}  # fmt: skip


def test_there_are_at_least_forty() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    spoil, words = CASES[case]
    spoil(pictures.mhist(tmp_path))
    with pytest.raises(InputError) as caught:
        data.load("mhist", tmp_path, image_size=16)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    assert [word for word in words if word not in message] == [], message
    bad = [check for check in data.verify("mhist", tmp_path) if not check.ok]
    assert len(bad) == 1 and "\n" not in bad[0].message
    assert "more)" not in message, "there is one fault"


@pytest.mark.parametrize("case", CASES)
def test_nothing_broken_is_installed(case: str, tmp_path: Path) -> None:
    spoil, words = CASES[case]
    source, root = tmp_path / "sent", tmp_path / "root"
    spoil(pictures.mhist(source))
    with pytest.raises(InputError) as caught:
        data.prepare("mhist", root, source, image_size=16)
    message = str(caught.value)
    assert message.startswith(str(source)) and "\n" not in message
    assert ".clbench-" not in message, "the copy's place is nobody's business"
    assert not list(root.iterdir()), "nothing is left behind"
    told = [word for word in words if word in message]
    assert told or case in ("no table", "table is a folder"), message


def test_several_faults_are_counted(tmp_path: Path) -> None:
    folder = pictures.mhist(tmp_path)
    for name in "bdh":
        (folder / "images" / f"{name}.png").write_bytes(WHOLE[: len(WHOLE) // 2])
    with pytest.raises(InputError, match=r"b\.png: expected a whole image.* \(and 2 more\)$"):
        data.load("mhist", tmp_path, image_size=16)
    (folder / "images" / "a.png").unlink()
    (folder / "images" / "c.png").unlink()
    with pytest.raises(InputError, match=r"a\.png: missing.* \(and 1 more\)$"):
        data.load("mhist", tmp_path, image_size=16)
    (folder / "annotations.csv").write_bytes(table("a.png,X,0,train", "b.png,HP,9,train"))
    with pytest.raises(InputError, match=r"line 2: .* \(and 1 more\)$"):
        data.load("mhist", tmp_path, image_size=16)


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures.mhist(tmp_path)
    read = Path.read_bytes

    def refused(self: Path) -> bytes:
        if self.name == "c.png":
            raise PermissionError(13, "Permission denied")  # root may read everything
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(InputError, match=r"c\.png: cannot be read \(Permission denied\)"):
        data.load("mhist", tmp_path, image_size=16)
