"""Folders as people have them: what is a split, what is a class, and what is neither."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clbench import data
from clbench.benchmarks import make_benchmark
from clbench.config import BenchmarkConfig
from clbench.data.folders import scan
from clbench.data.own_names import OwnOptions, options_of, place
from clbench.data.split_names import split_of
from clbench.errors import InputError
from tests.data import pictures
from tests.data.pictures import tree


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Val", "Test"),
        ("TRAINING", "validation", "testing"),
        ("train_set", "valid", "test-set"),
        ("trainset", "dev", "Test Images"),
    ],
)
def test_usual_names_of_splits(train: str, val: str, test: str, tmp_path: Path) -> None:
    names = {f"{part}/{label}": 2 for part in (train, val, test) for label in ("cat", "dog")}
    found = scan(tree(tmp_path / "pets", names))
    assert found.class_names == ("cat", "dog") and found.notes == ()
    listing = found.listing
    for files, part in ((listing.train, train), (listing.test, test), (listing.validation, val)):
        assert len(files) == 4 and all(f.name.startswith(f"{part}/") for f in files)


@pytest.mark.parametrize("name", ["cat", "steam train", "testis", "invalid", "10", "", "devil"])
def test_names_that_are_classes(name: str) -> None:
    assert split_of(name) is None


def test_valid_and_invalid_are_classes(tmp_path: Path) -> None:
    assert scan(tree(tmp_path / "t", {"valid": 2, "invalid": 2})).class_names == (
        "invalid",
        "valid",
    )


LAYOUTS = {
    "train and val": (
        {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1},
        "expected test/ beside train/ and val/, found none; rename val/ to test/",
    ),
    "two train": (
        {"train/a": 2, "Training/a": 2, "test/a": 2},
        "one folder of train images, found Training/ and train/",
    ),
    "classes beside": (
        {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1, "cat": 2},
        "expected classes inside train/ and test/, found the folder cat/ with images beside",
    ),
    "hints": (
        {"my_train/a": 2, "my_test/a": 2},
        "found my_test/ and my_train/; call them train, val and test",
    ),
    "empty class": ({"a": 2, "b": 2, "c": 0}, "in every class's folder, found none in 'c'; put"),
    "empty class in test": (
        {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 0},
        "found none in 'b' in test",
    ),
    "masks": (
        {"a/image": 2, "a/label": 2, "b/image": 2, "b/label": 2},
        r"class 'a', found image/ and label/ inside it.*--images-in image\).*and 1 more",
    ),
    "masks deeper": (
        {"a/p1": 2, "a/p1/ground truth": 1, "b/p2": 2},
        "found ground truth/ inside it.*--images-in NAME",
    ),
    "splits inside": (
        {"a/train": 2, "a/test": 2, "b/train": 2, "b/test": 2},
        "class 'a', found the parts test/ and train/ of a split inside it",
    ),
    "no classes": ({"images": 2, "masks": 2}, "found images/ and masks/ alone, which look like"),
    "one of a class": ({"a": 2, "rare": 1}, "2 or more images of every class.* found 1 of 'rare'"),
    "one folder": ({"a": 2}, "found 'a' alone; give the folder that the classes' folders lie in"),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts_that_are_asked_about(case: str, tmp_path: Path) -> None:
    names, expected = LAYOUTS[case]
    with pytest.raises(InputError, match=expected) as caught:
        scan(tree(tmp_path / "pets", names))
    assert "\n" not in str(caught.value)


def test_masks_beside_their_images(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {"a": 2, "b": 2})
    (root / "a" / "0_mask.png").write_bytes(pictures.image(9, 12, 12))
    with pytest.raises(InputError, match=r"found a/0_mask\.png beside the image 0, which looks"):
        scan(root)


def test_the_sub_folder_that_holds_the_images(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {"a/image": 3, "a/label": 3, "b/image": 2, "b/label": 2})
    found = scan(root, OwnOptions(images_in="image"))
    assert all("/image/" in file.name for file in found.listing.all)
    assert len(found.listing.all) == 5
    assert any("5 images elsewhere were left out" in note for note in found.notes)
    with pytest.raises(InputError, match=r"sub-folder images/ .* found none in 'a' \(6 images"):
        scan(root, OwnOptions(images_in="images"))
    loaded = data.load(f"folder:{root}?images-in=image", image_size=8)
    assert len(loaded.train) + len(loaded.test) == 5


def test_what_systems_leave_is_no_class(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {"a": 2, "b": 2, "__MACOSX": 0, ".git": 0})
    (root / "a" / "Thumbs.db").write_bytes(b"x")
    found = scan(root)
    assert found.class_names == ("a", "b") and len(found.notes) == 1


def test_options_are_part_of_the_name() -> None:
    name = data.with_options("folder:a?b/c", group_pattern=r"/\D*(\d+)&?", allow_repeats=True)
    assert place(name) == Path("a?b/c")
    assert options_of(name) == OwnOptions(None, r"/\D*(\d+)&?", True)
    again = data.with_options(name, images_in=os.fsdecode(b"im\xe9"))
    assert options_of(again) == OwnOptions("im\udce9", r"/\D*(\d+)&?", True)
    assert data.with_options("mnist") == "mnist" and data.short_name(name) == "folder-c"
    with pytest.raises(InputError, match="images_in: expected images of your own .* found mnist"):
        data.with_options("mnist", images_in="x")


def test_val_is_the_validation_stream(tmp_path: Path) -> None:
    parts = {"train": 3, "val": 2, "test": 1}
    root = tree(tmp_path / "p", {f"{p}/{c}": n for p, n in parts.items() for c in "ab"})
    plain = tree(tmp_path / "q", {f"{p}/{c}": 1 for p in ("train", "test") for c in "ab"})
    stream = make_benchmark(BenchmarkConfig(f"folder:{root}", image_size=8))
    assert stream.has_validation
    assert [len(stream.tensors("validation", k)) for k in range(2)] == [2, 2]
    assert [len(stream.tensors("train", k)) for k in range(2)] == [3, 3]
    assert stream.streams.validation is not None
    assert all(check.ok for check in data.verify(f"folder:{root}"))
    with pytest.raises(InputError, match="has a validation stream of its own, 4 images; leave"):
        make_benchmark(BenchmarkConfig(f"folder:{root}", validation_fraction=0.2))
    assert not make_benchmark(BenchmarkConfig(f"folder:{plain}")).has_validation


def test_the_same_file_in_two_parts(tmp_path: Path) -> None:
    root = tree(tmp_path / "p", {f"{p}/{c}": 2 for p in ("train", "test") for c in "ab"})
    (root / "test" / "a" / "copy.png").write_bytes((root / "train" / "b" / "1.png").read_bytes())
    wanted = r"found 1 file, train/b/1\.png in train and test/a/copy\.png in test; take the copies"
    with pytest.raises(InputError, match=wanted):
        data.load(f"folder:{root}", image_size=8)
    allowed = data.load(f"folder:{root}?allow-repeats=yes", image_size=8)
    assert len(allowed.test) == 5 and "the same file is in two parts" in allowed.notes[0]


def test_a_long_tail_runs_and_names_its_classes(tmp_path: Path) -> None:
    names = {"train/big": 9, "train/mid": 4, "train/rare": 1}
    root = tree(tmp_path / "p", {**names, "test/big": 2, "test/mid": 1, "test/rare": 1})
    config = BenchmarkConfig(f"folder:{root}", image_size=8, num_experiences=1)
    stream = make_benchmark(config.replace(train_per_class=5, validation_fraction=0.3))
    train, held = stream.tensors("train", 0), stream.tensors("validation", 0)
    assert train.labels.bincount().tolist() == [5, 3, 1]
    assert held.labels.bincount(minlength=3).tolist() == [3, 1, 0]
    assert "fewer than 5 training images, all that there are, were used of 'mid', 'rare'" in (
        stream.notes
    )
    assert any("no validation images were held out of 'rare'" in note for note in stream.notes)
    alone = make_benchmark(config.replace(num_experiences=3, validation_fraction=0.3))
    with pytest.raises(InputError, match="in every experience, found none of 'rare'"):
        alone.tensors("train", 0)
