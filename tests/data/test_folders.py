"""Images of the user's own: trees and tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clbench import data
from clbench.data import short_name
from clbench.data.folders import Found, _split, scan
from clbench.errors import InputError
from tests.data import pictures
from tests.data.pictures import tree

SPLIT = {"train/cat": 3, "train/dog": 2, "test/cat": 1, "test/dog": 2}


def table(path: Path, *rows: str, header: str = "path,label,split") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_tree_with_its_own_split(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", SPLIT)
    found = data.load(f"folder:{root}", image_size=12)
    assert found.spec.class_names == ("cat", "dog") and found.spec.shape == (3, 12, 12)
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert found.test.labels.tolist() == [0, 1, 1]
    first = torch.from_numpy(pictures.pixels(0, 12, 12).copy()).permute(2, 0, 1)
    assert torch.equal(found.train.images[0], first) and found.notes == ()
    info = data.info(f"folder:{root}")
    assert (info.num_train, info.num_test, info.num_classes) == (5, 3, 2)
    assert all(check.ok for check in data.verify(f"folder:{root}"))
    assert data.load(f"folder:{root}").spec.shape == (3, 64, 64), "the default size"


def test_a_tree_without_a_split_gets_a_fifth_by_name(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {"cat": 10, "dog": 4})
    found = scan(root)
    test = [image.name for image in found.listing.test]
    assert len([n for n in test if n.startswith("cat")]) == 2
    assert len([n for n in test if n.startswith("dog")]) == 1
    assert any("no split was given" in note for note in found.notes)
    moved = tree(tmp_path / "elsewhere", {"cat": 10, "dog": 4})
    assert [image.name for image in scan(moved).listing.test] == test, "the same on any machine"


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.sampled_from("abc"), min_size=1))
def test_the_split_is_a_partition_with_a_test_image_of_every_class(names: dict[str, str]) -> None:
    found = [Found(name, label, "") for name, label in names.items()]
    alone = [c for c in set(names.values()) if list(names.values()).count(c) == 1]
    if alone:
        with pytest.raises(InputError, match="expected 2 or more images of every class"):
            _split(found, [])
        return
    made = _split(found, [])
    assert [(i.name, i.label) for i in made] == [(i.name, i.label) for i in found]
    for label in set(names.values()):
        splits = [image.split for image in made if image.label == label]
        assert splits.count("test") == max(1, round(len(splits) / 5))
    shuffled = _split(found[::-1], [])
    assert sorted(shuffled) == sorted(made), "whatever the order"


def test_numbers_are_classes_in_their_own_order(tmp_path: Path) -> None:
    root = tree(tmp_path / "n", {str(n): 2 for n in (10, 9, 1)})
    assert scan(root).class_names == ("1", "9", "10")
    (root / "10b").mkdir()
    (root / "10b" / "0.png").write_bytes(pictures.image(1, 12, 12))
    (root / "10b" / "1.png").write_bytes(pictures.image(2, 12, 12))
    assert scan(root).class_names == ("1", "10", "10b", "9")


def test_deeper_folders_hidden_files_and_other_files(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {**SPLIT, "train/cat/old": 2, "more/val/cat": 1})
    (root / "train" / "cat" / ".DS_Store").write_text("x")
    (root / "train" / "cat" / "readme.txt").write_text("x")
    (root / "train" / "loose.png").write_bytes(pictures.image(1))
    found = scan(root)
    assert len(found.listing.train) == 7
    assert "more/ beside train/ and test/ was left out" in found.notes
    told = "2 files that are no images in a class's folder were left out (1 .png, 1 .txt)"
    assert told in found.notes


def test_names_that_are_no_text_and_times_of_day(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", SPLIT)
    for seed, name in enumerate((b"caf\xe9.png", b"12:30:59.png")):
        (root / "train" / "cat" / os.fsdecode(name)).write_bytes(pictures.image(40 + seed, 12, 12))
    assert len(data.load(f"folder:{root}", image_size=8).train) == 7


def test_mixed_sizes_formats_and_colours(tmp_path: Path) -> None:
    root = tree(tmp_path / "mixed", {"a": 2, "b": 2}, height=30, width=17, mode="L", kind="JPEG")
    assert data.load(f"folder:{root}", image_size=8).spec.channels == 1
    (root / "a" / "x.PNG").write_bytes(pictures.image(4, 9, 40))
    found = data.load(f"folder:{root}", image_size=8)
    assert found.spec.shape == (3, 8, 8) and len(found.train) + len(found.test) == 5


def test_a_table_with_and_without_a_split(tmp_path: Path) -> None:
    tree(tmp_path, SPLIT)
    rows = [
        "train/cat/0.png,cat",
        "train/dog/0.png,dog",
        "test/cat/0.png,cat",
        "test/dog/1.png,dog",
    ]
    with_split = [f"{row},{row.partition('/')[0]}" for row in rows]
    found = scan(table(tmp_path / "pets.csv", *with_split))
    assert [image.name for image in found.listing.train] == ["train/cat/0.png", "train/dog/0.png"]
    assert found.notes == () and found.class_names == ("cat", "dog")
    drawn = scan(table(tmp_path / "pets.csv", *rows, header="path,label"))
    assert len(drawn.listing.test) == 2 and "no split was given" in drawn.notes[0]
    whole = data.load(f"folder:{tmp_path / 'pets.csv'}", image_size=8)
    assert len(whole.train) == len(whole.test) == 2


def test_short_names(tmp_path: Path) -> None:
    assert short_name("mnist") == "mnist"
    assert short_name("folder:a/b/cells.csv") == short_name("folder:x/cells/") == "folder-cells"


def test_preparing_leaves_the_images_where_they_are(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", SPLIT)
    made = data.prepare(f"folder:{root}", image_size=8)
    assert not made.copied and made.folder == root and made.cache.is_file()
    with pytest.raises(InputError, match="expected no --from"):
        data.prepare(f"folder:{root}", source=tmp_path)
    with pytest.raises(InputError, match="mnist needs no preparing: `clbench data fetch mnist`"):
        data.prepare("mnist", source=tmp_path)


def put(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes(content) and None


def gone(*names: str) -> Callable[[Path], None]:
    def remove(root: Path) -> None:
        for name in names:
            for file in (root / name).iterdir():
                file.unlink()
            (root / name).rmdir()

    return remove


def link_file(root: Path) -> None:
    (root.parent / "secret.png").write_bytes(pictures.image(1, 12, 12))
    (root / "train" / "cat" / "z.png").symlink_to(root.parent / "secret.png")


def link_class(root: Path) -> None:
    tree(root.parent / "other", {"bird": 1})
    (root / "train" / "bird").symlink_to(root.parent / "other" / "bird")


WHOLE = pictures.image(1, 12, 12)
TREES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no test": (gone("test/cat", "test/dog", "test"), "expected test/ beside train/, found none"),
    "no train": (gone("train/cat", "train/dog", "train"), "expected train/ beside test/"),
    "empty class in test": (gone("test/dog"), "every class .* none of 'dog' in test"),
    "class of test alone": (gone("train/dog"), "none of 'dog' in train"),
    "one class": (gone("train/dog", "test/dog"), "2 or more classes, found 'cat' alone"),
    "no images": (gone("train/cat", "train/dog", "test/cat", "test/dog"), "found none that end in"),
    "truncated": (put("train/cat/1.png", WHOLE[:90]), r"1\.png: expected a"),
    "not an image": (put("train/cat/1.png", b"hello"), r"1\.png: expected a PNG or JPEG"),
    "a gif in disguise": (
        put("train/cat/1.png", pictures.image(1, 12, 12, kind="GIF")), "PNG or JPEG .*found GIF",
    ),
    "empty file": (put("train/cat/1.png", b""), r"1\.png: .* empty file"),
    "16 bits": (put("train/cat/1.png", pictures.image(1, 12, 12, mode="I;16")), "8 bits"),
    "transparent": (
        put("train/cat/1.png", pictures.image(1, 12, 12, mode="RGBA")), "expected opaque pixels",
    ),
    "link to a file outside": (link_file, "z.png: expected a file inside .* a link that leads to"),
    "link to a folder": (link_class, "expected a folder, found the link bird"),
}  # fmt: skip


@pytest.mark.parametrize("case", TREES)
def test_bad_trees(case: str, tmp_path: Path) -> None:
    spoil, expected = TREES[case]
    root = tree(tmp_path / "pets", SPLIT)
    spoil(root)
    with pytest.raises(InputError, match=expected) as caught:
        data.load(f"folder:{root}", image_size=8)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(root))


ROWS = ("train/cat/0.png,cat,train", "train/dog/0.png,dog,train")
ROWS += ("test/cat/0.png,cat,test", "test/dog/0.png,dog,test")
TABLES: dict[str, tuple[str, str]] = {
    "path upwards": ("../x.png,cat,train", r"line 6: .* without \.\., found '\.\./x\.png'"),
    "absolute path": ("/etc/passwd,cat,train", "line 6: .* found '/etc/passwd'"),
    "absent": ("nothing.png,cat,train", r"nothing\.png: missing"),
    "a folder": ("train,cat,train", "train: expected a file"),
    "no label": ("test/dog/1.png,,test", r"line 6: expected a label for test/dog/1\.png"),
    "unknown split": ("test/dog/1.png,dog,later", "line 6: expected the split train, val or test"),
    "no split": ("test/dog/1.png,dog,", "expected the split train, val or test, found ''"),
    "twice": ("train/cat/0.png,cat,train", r"line 6: .*train/cat/0\.png again after line 2"),
    "twice by another path": ("train//cat/./0.png,cat,test", "again after line 2"),
    "too many values": (
        "a.png,cat,train,x",
        "line 6: expected 3 values, as in the header, found 4",
    ),
    "class in train alone": ("test/dog/1.png,bird,train", "none of 'bird' in test"),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_tables(case: str, tmp_path: Path) -> None:
    row, expected = TABLES[case]
    tree(tmp_path, SPLIT)
    file = table(tmp_path / "pets.csv", *ROWS, row)
    with pytest.raises(InputError, match=expected) as caught:
        data.load(f"folder:{file}", image_size=8)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("path,label,splt", "found also 'splt'; remove it"),
        ("file,label,split", "no column 'path' among 'file'"),
        ("path;label;split", "expected commas between the columns, found semicolons"),
    ],
)
def test_bad_headers(header: str, expected: str, tmp_path: Path) -> None:
    file = table(tmp_path / "pets.csv", *ROWS, header=header)
    with pytest.raises(InputError, match=expected):
        data.info(f"folder:{file}")


def test_places_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "pets.txt").write_text("x")
    for name, expected in {
        "folder:": "expected folder:PATH, a folder or a CSV of images, found 'folder:'",
        f"folder:{tmp_path}/no": "no: expected a folder or a CSV of images, found nothing",
        f"folder:{tmp_path}/pets.txt": "a file that ends in .csv, found another file",
        f"folder:{tmp_path}": "found none that end in .png",
    }.items():
        with pytest.raises(InputError, match=expected):
            data.info(name)
