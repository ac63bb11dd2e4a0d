from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import pytest
import torch

from clbench import data
from clbench.data import embedded, table
from clbench.errors import InputError
from clbench.types import LabelledImages

FINGERPRINT = "0839ae3cc87dc30d652444e414d7514eba23c7dd983dd54fc6f17978dda90b49"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path))
    table._load.cache_clear()
    return tmp_path / "data"


def test_split_is_stratified_and_fixed(cache: Path) -> None:
    digits = data.load("mnist5k")
    assert digits.train.labels.bincount().tolist() == [400] * 10
    assert digits.test.labels.bincount().tolist() == [100] * 10
    assert digits.train.images.shape == (4000, 1, 28, 28)
    assert digits.fingerprint == FINGERPRINT
    # Real digits: the moments of MNIST, and ones that use less ink than zeros.
    pixels = digits.train.images.float() / 255
    assert pixels.mean().item() == pytest.approx(0.1307, abs=0.002)
    ink = [pixels[digits.train.labels == c].mean().item() for c in range(10)]
    assert min(ink) == ink[1] and max(ink) == ink[0]


def test_train_and_test_share_no_image(cache: Path) -> None:
    digits = data.load("mnist5k")
    both = torch.cat([digits.train.images, digits.test.images]).flatten(1)
    assert len(both.unique(dim=0)) == 5000


def test_reads_the_tables_own_numbers(cache: Path) -> None:
    entry = data.info("mnist5k")
    digits = embedded._parse(entry)
    lines = gzip.decompress(embedded._source(entry).read_bytes()).splitlines()
    assert len(digits) == len(lines) == 5000
    for number in (0, 2499, 4999):
        values = [int(value) for value in lines[number].split(b",")]
        assert digits.images[number].flatten().tolist() == values[:-1]
        assert digits.labels[number].item() == values[-1]


def test_second_load_reads_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.load("mnist5k")
    assert data.load("mnist5k") is first, "one copy per process"
    table._load.cache_clear()
    monkeypatch.setattr(embedded, "_parse", lambda info: pytest.fail("parsed again"))
    assert data.load("mnist5k").fingerprint == FINGERPRINT


@pytest.mark.parametrize("damage", ["truncated", "changed", "folder"])
def test_broken_cache_is_rebuilt(cache: Path, damage: str) -> None:
    data.load("mnist5k")
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[:1000])
    elif damage == "changed":
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
    else:
        file.unlink()
        file.mkdir()
    table._load.cache_clear()
    assert data.load("mnist5k").fingerprint == FINGERPRINT
    if damage != "folder":
        assert len(LabelledImages.from_bytes(file.read_bytes())[0]) == 5000, (
            "and the cache is whole again"
        )


def test_unwritable_cache_is_no_obstacle(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where the folder should be")
    assert data.load("mnist5k").fingerprint == FINGERPRINT


def test_other_release_of_the_table_is_refused(cache: Path) -> None:
    reader = embedded.Mnist5k("0" * 64)
    entry = dataclasses.replace(data.info("mnist5k"), reader=reader)
    (check,) = reader.verify(entry, cache)
    assert not check.ok and "expected SHA-256 000" in check.message
    with pytest.raises(InputError, match=r"mnist_5k\.csv\.gz: expected SHA-256 000"):
        reader.read(entry, cache)


def test_needs_nothing() -> None:
    assert data.status("mnist5k") == "embedded"
    data.fetch("mnist5k")
    assert all(check.ok for check in data.verify("mnist5k"))
