from __future__ import annotations

import gzip
import hashlib
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch

from clbench import data
from clbench.data import idx, mnist_family
from clbench.errors import InputError
from clbench.machine.compat import prepare
from clbench.table import Lazy
from tests.data import fakes

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.tiny(monkeypatch)


def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise urllib.error.URLError("Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", fail)


def _serve(monkeypatch: pytest.MonkeyPatch, calls: list[str], damaged: bool = False) -> None:
    """Stand in for torchvision's download; its checksums are still its own."""
    packed = {f"{n}.gz": gzip.compress(c, mtime=0) for n, c in fakes.contents().items()}

    def retrieve(url: str, filename: str, *args: Any) -> None:
        name = url.rpartition("/")[2]
        calls.append(name)
        Path(filename).write_bytes(packed[name][:-9] if damaged else packed[name])

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", retrieve)


@pytest.mark.parametrize("packed", [True, False])
def test_reads_what_torchvision_reads(tmp_path: Path, packed: bool) -> None:
    fakes.write(tmp_path, packed=packed)
    assert data.status("mnist", tmp_path) == ("archives only" if packed else "present")
    loaded = data.load("mnist", tmp_path)
    contents = fakes.contents()
    offset = {"images": 16, "labels": 8}
    for part, prefix in ((loaded.train, "train"), (loaded.test, "t10k")):
        images = contents[f"{prefix}-images-idx3-ubyte"][offset["images"] :]
        assert part.images.numpy().tobytes() == images
        assert part.labels.tolist() == list(contents[f"{prefix}-labels-idx1-ubyte"][8:])
    assert loaded.train.images.shape == (fakes.NUM_TRAIN, 1, 28, 28)
    assert loaded.train.images.dtype == torch.uint8
    if not packed:
        reference = prepare().datasets.MNIST(tmp_path, train=True)
        assert torch.equal(reference.data, loaded.train.images.squeeze(1))
        assert torch.equal(reference.targets, loaded.train.labels)


def test_reading_archives_writes_nothing(tmp_path: Path) -> None:
    raw = fakes.write(tmp_path, packed=True)
    before = sorted(raw.iterdir())
    data.load("mnist", tmp_path)
    assert sorted(raw.iterdir()) == before


def test_environment_variable_names_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data.status("mnist") == "missing"
    fakes.write(tmp_path, packed=True)
    monkeypatch.setenv("CLBENCH_DATA", str(tmp_path))
    assert data.data_root() == tmp_path.resolve()
    assert data.status("mnist") == "archives only"
    assert data.data_root(tmp_path / "other") == (tmp_path / "other").resolve()


def test_missing_without_network_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_network(monkeypatch)
    raw = fakes.write(tmp_path, packed=True)
    (raw / f"{LABELS}.gz").unlink()
    with pytest.raises(InputError) as caught:
        data.load("mnist", tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert f"cannot download {LABELS}.gz (" in message, "names only what is missing"
    assert "Network is unreachable" in message
    assert f"put these files into {raw}" in message
    assert "split_mnist5k" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["MNIST"], "leaves no temporary folder"


def test_fetch_takes_only_what_is_missing_or_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = fakes.write(tmp_path, packed=True)
    (raw / f"{LABELS}.gz").unlink()
    (raw / f"{IMAGES}.gz").write_bytes(b"half a file")
    calls: list[str] = []
    _serve(monkeypatch, calls)
    data.fetch("mnist", tmp_path, progress=False)
    assert sorted(calls) == [f"{IMAGES}.gz", f"{LABELS}.gz"]
    assert all(check.ok for check in data.verify("mnist", tmp_path))
    assert data.status("mnist", tmp_path) == "present"
    assert len(data.load("mnist", tmp_path).train) == fakes.NUM_TRAIN


def test_damaged_download_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve(monkeypatch, [], damaged=True)
    with pytest.raises(InputError, match="corrupted"):
        data.load("mnist", tmp_path)
    assert not list((tmp_path / "MNIST" / "raw").iterdir())


def test_unwritable_root_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"^mnist: cannot .*split_mnist5k[^\n]*$"):
        data.load("mnist", tmp_path / "file")


def test_changed_archive_names_file_and_checksums(tmp_path: Path) -> None:
    raw = fakes.write(tmp_path, packed=True)
    file = raw / f"{IMAGES}.gz"
    expected = idx.md5(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError) as caught:
        data.load("mnist", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{file}: expected MD5 {expected}, found {idx.md5(file)}")
    assert "clbench data fetch mnist" in message and "\n" not in message
    checks = {check.file.name: check.ok for check in data.verify("mnist", tmp_path)}
    assert checks == {
        f"{IMAGES}.gz": False,
        f"{LABELS}.gz": True,
        "t10k-images-idx3-ubyte.gz": True,
        "t10k-labels-idx1-ubyte.gz": True,
    }


def test_truncated_unpacked_file_names_sizes(tmp_path: Path) -> None:
    raw = fakes.write(tmp_path, packed=False)
    file = raw / IMAGES
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError) as caught:
        data.load("mnist", tmp_path)
    size = 16 + fakes.NUM_TRAIN * 784
    assert str(caught.value).startswith(
        f"{file}: expected {size:,} bytes, found {size - 1:,}; delete it"
    )


@pytest.mark.parametrize(
    ("file", "position", "value", "message"),
    [
        (IMAGES, 2, 9, "expected an idx file of shape 30 x 28 x 28"),
        (IMAGES, 7, 31, "expected an idx file of shape 30 x 28 x 28"),
        (LABELS, 8, 77, "expected labels 0 to 9, found 77"),
    ],
)
def test_damaged_unpacked_file(
    tmp_path: Path, file: str, position: int, value: int, message: str
) -> None:
    path = fakes.write(tmp_path, packed=False) / file
    content = bytearray(path.read_bytes())
    content[position] = value
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        data.load("mnist", tmp_path)


def test_verify_reports_what_is_missing(tmp_path: Path) -> None:
    checks = data.verify("mnist", tmp_path)
    assert len(checks) == 4 and not any(check.ok for check in checks)
    assert "data fetch mnist" in checks[0].message


def test_idx_rejects_bytes_that_are_no_gzip(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    for content in (b"no archive", gzip.compress(b"abc")[:-3]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="expected a whole gzip archive"):
            idx.read(path, 3)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_each_relative_has_its_folder_and_torchvisions_checksums(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = fakes.tiny(monkeypatch, name).reader
    assert isinstance(reader, Lazy)
    folder = reader().torchvision_class
    raw = fakes.write(tmp_path, packed=True, folder=folder)
    assert len(data.load(name, tmp_path).test) == fakes.NUM_TEST
    (raw / f"{IMAGES}.gz").write_bytes(b"x")
    assert [check.ok for check in data.verify(name, tmp_path)] == [False, True, True, True]


def test_archives_compressed_anew_count_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_network(monkeypatch)
    contents = fakes.contents()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setitem(mnist_family.CONTENTS, "MNIST", digests)
    raw = fakes.write(tmp_path, packed=True)
    for name, content in contents.items():
        (raw / f"{name}.gz").write_bytes(gzip.compress(content, compresslevel=1, mtime=7))
    assert len(data.load("mnist", tmp_path).train) == fakes.NUM_TRAIN
    checks = data.verify("mnist", tmp_path)
    assert {check.message for check in checks} == {"SHA-256 of the content as expected"}
    data.fetch("mnist", tmp_path, progress=False)
    assert data.status("mnist", tmp_path) == "present", "unpacked, not downloaded"
    other = bytearray(contents[IMAGES])
    other[-1] ^= 1
    (raw / f"{IMAGES}.gz").write_bytes(gzip.compress(bytes(other), compresslevel=1, mtime=7))
    (bad,) = [check for check in data.verify("mnist", tmp_path) if not check.ok]
    assert f"content of SHA-256 {digests[IMAGES]}, found" in bad.message
