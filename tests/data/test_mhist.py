from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clbench import data
from clbench.data import mhist_table
from clbench.errors import InputError
from tests.data import pictures
from tests.data.pictures import HEADER, ROWS, table


def test_reads_pixels_labels_votes_and_agreement(tmp_path: Path) -> None:
    pictures.mhist(tmp_path)
    found = data.load("mhist", tmp_path, image_size=224)
    assert found.train.images.shape == (4, 3, 224, 224) and len(found.test) == 4
    assert found.train.labels.tolist() == found.test.labels.tolist() == [0, 1, 0, 1]
    for number in range(8):
        part = (found.train, found.test)[number // 4]
        expected = torch.from_numpy(pictures.pixels(number).copy()).permute(2, 0, 1)
        assert torch.equal(part.images[number % 4], expected)
    assert [values.tolist() for values in found.columns["votes"]] == [[0, 7, 3, 4]] * 2
    assert [values.tolist() for values in found.columns["agreement"]] == [[7, 7, 4, 4]] * 2
    assert found.spec.class_names == ("HP", "SSA") and found.spec.augmentation == "flip_rotate"
    pixels = found.train.images.double() / 255
    torch.testing.assert_close(torch.tensor(found.spec.mean).double(), pixels.mean((0, 2, 3)))
    spread = pixels.std((0, 2, 3), correction=0)
    torch.testing.assert_close(torch.tensor(found.spec.std).double(), spread)


def test_the_default_size_is_128_and_is_pillows_resize(tmp_path: Path) -> None:
    pictures.mhist(tmp_path)
    found = data.load("mhist", tmp_path)
    assert found.spec.shape == (3, 128, 128)
    whole = Image.open(io.BytesIO(pictures.image(1)))
    expected = np.asarray(whole.resize((128, 128), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(found.train.images[1].numpy(), expected)


@pytest.mark.parametrize(
    "content",
    [
        table(),
        b"\xef\xbb\xbf" + table(),
        table().replace(b"\n", b"\r\n"),
        table().rstrip(b"\n"),
        table() + b"\n\n,,,\n",
        table().replace(b"a.png", b'"a.png"'),
        table().replace(b"HP,0", b" HP , 0 "),
    ],
    ids=["plain", "bom", "crlf", "no final newline", "empty lines", "quotes", "blanks"],
)
def test_harmless_variants_of_the_table(content: bytes) -> None:
    assert mhist_table.parse(content) == mhist_table.parse(table())


def test_columns_in_any_order() -> None:
    names = HEADER.split(",")
    rows = [",".join(row.split(",")[::-1]) for row in ROWS]
    content = table(*rows, header=",".join(names[::-1]))
    assert mhist_table.parse(content) == mhist_table.parse(table())


def published(**changed: int) -> bytes:
    """A table with the counts of the published data set, some of them changed."""
    rows = []
    for (partition, label), num in mhist_table.PUBLISHED.items():
        votes = {"HP": 1, "SSA": 6}[label]
        for number in range(num + changed.get(f"{partition}_{label}", 0)):
            rows.append(f"MHIST_{partition}{label}{number}.png,{label},{votes},{partition}")
    return table(*rows)


def test_only_the_published_counts_are_called_mhist() -> None:
    assert sum(mhist_table.PUBLISHED.values()) == 3152
    by_part = [
        sum(n for (p, _), n in mhist_table.PUBLISHED.items() if p == q) for q in ("train", "test")
    ]
    assert by_part == [2175, 977]
    assert mhist_table.is_published(mhist_table.parse(published()))
    one_less = mhist_table.parse(published(train_HP=-1))
    assert not mhist_table.is_published(one_less)
    assert mhist_table.subset(one_less) == "subset (3,151 of 3,152 images)"
    moved = mhist_table.parse(published(train_HP=-1, test_HP=1))
    assert not mhist_table.is_published(moved), "as many, in other parts"
    assert mhist_table.subset(moved) == (
        "other images (3,152, in other parts than the published 3,152)"
    )


def test_a_subset_says_so(tmp_path: Path) -> None:
    pictures.mhist(tmp_path)
    found = data.load("mhist", tmp_path, image_size=16)
    assert found.title == "MHIST layout, subset or other images, subset (8 of 3,152 images)"
    assert any("subset (8 of 3,152 images)" in note for note in found.notes)
    assert found.shown_as == found.title and found.name == "mhist"


def test_missing_says_how_to_get_it(tmp_path: Path) -> None:
    assert data.status("mhist", tmp_path) == "missing"
    for call in (data.load, data.fetch, data.prepare):
        with pytest.raises(InputError) as caught:
            call("mhist", tmp_path)
        message = str(caught.value)
        assert "https://bmirds.github.io/MHIST" in message and "\n" not in message
        assert "clbench data prepare mhist --from DIR" in message and str(tmp_path) in message
    (check,) = data.verify("mhist", tmp_path)
    assert not check.ok and "https://bmirds.github.io/MHIST" in check.message


@pytest.mark.parametrize("size", [7, 1025, -1])
def test_sizes_that_make_no_sense(size: int) -> None:
    with pytest.raises(InputError, match=f"image_size of mhist: expected 8 to 1024, found {size}"):
        data.load("mhist", image_size=size)


def test_a_fixed_size_is_not_changed() -> None:
    with pytest.raises(InputError, match="image_size of mnist5k: expected none, or 28: .*found 32"):
        data.load("mnist5k", image_size=32)
    assert data.load("mnist5k", image_size=28) is data.load("mnist5k")


def test_its_moments_are_not_known_before_it_is_read() -> None:
    with pytest.raises(InputError, match="read it to know its moments"):
        _ = data.info("mhist").spec


@pytest.mark.real_data
def test_real_histology(standin_root: Path, tmp_path: Path) -> None:
    made = data.prepare("mhist", tmp_path, standin_root)
    found = made.data
    assert made.copied and data.status("mhist", tmp_path) == "present"
    assert found.train.labels.bincount().tolist() == [70, 50]
    assert found.test.labels.bincount().tolist() == [40, 30]
    assert "subset (190 of 3,152 images)" in found.title
    # Haematoxylin and eosin: more red and blue than green.
    red, green, blue = found.spec.mean
    assert green < min(red, blue) and 0.1 < min(found.spec.std) < max(found.spec.std) < 0.3
    assert all(check.ok for check in data.verify("mhist", tmp_path))
    again = data.load("mhist", tmp_path)
    assert again.fingerprint == found.fingerprint
