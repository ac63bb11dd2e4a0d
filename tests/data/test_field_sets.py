"""The field's data sets, from small files in their official formats."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from clbench import data
from clbench.data import DATASETS
from clbench.errors import InputError
from tests.data import field_files as files


@pytest.mark.parametrize("packed", [True, False])
def test_cifar10_is_read_from_archive_and_folder(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.cifar(tmp_path, packed=packed)
    files.tiny(monkeypatch, "cifar10", (100, 20), *([path] if packed else []))
    assert data.status("cifar10", tmp_path) == ("archives only" if packed else "present")
    found = data.load("cifar10", tmp_path)
    expected = np.concatenate([files.pixels(20, 3, 32, 32, seed=seed) for seed in range(6)])
    assert torch.equal(found.train.images, torch.from_numpy(expected[:100]))
    assert torch.equal(found.test.images, torch.from_numpy(expected[100:]))
    assert found.train.labels.tolist() == [k % 10 for k in range(20)] * 5
    assert found.spec.mean == DATASETS["cifar10"].mean
    assert found.spec.class_names[3] == "cat"
    assert all(check.ok for check in data.verify("cifar10", tmp_path))


def test_fingerprint_is_that_of_any_other_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clbench.data.table import _fingerprint

    files.tiny(monkeypatch, "cifar10", (100, 20), files.cifar(tmp_path))
    found = data.load("cifar10", tmp_path)
    assert found.fingerprint == _fingerprint(found.train, found.test)


def test_a_second_start_parses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clbench.data import cifar
    from clbench.data.table import _load

    files.tiny(monkeypatch, "cifar10", (100, 20), files.cifar(tmp_path))
    first = data.load("cifar10", tmp_path)
    _load.cache_clear()
    monkeypatch.setattr(cifar.Cifar, "blocks", None)
    again = data.load("cifar10", tmp_path)
    assert again is not first and again.train.equals(first.train)
    assert again.fingerprint == first.fingerprint
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"other")
    _load.cache_clear()
    with pytest.raises(InputError, match="expected MD5"):
        data.load("cifar10", tmp_path)


def test_cifar100_and_its_superclasses_share_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.cifar(tmp_path, "cifar100", per_file=200)
    for name in ("cifar100", "cifar100_coarse"):
        files.tiny(monkeypatch, name, (200, 200), path)
    fine, coarse = (data.load(name, tmp_path) for name in ("cifar100", "cifar100_coarse"))
    assert fine.train.labels.tolist() == [k % 100 for k in range(200)]
    assert coarse.train.labels.tolist() == [k % 100 // 5 for k in range(200)]
    assert coarse.columns["member"][1].tolist() == [k % 5 for k in range(200)]
    assert coarse.fingerprint != fine.fingerprint and coarse.train.images.equal(fine.train.images)
    assert [check.ok for check in data.verify("cifar100_coarse", tmp_path)] == [True, True]


def test_the_pickled_version_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(pickle.dumps("anything"))
    for act in (data.load, data.fetch):
        with pytest.raises(InputError) as caught:
            act("cifar10", tmp_path)  # type: ignore[operator]
        message = str(caught.value)
        assert "expected the binary version, cifar-10-binary.tar.gz, found" in message
        assert "never opened" in message and "\n" not in message
    assert not data.verify("cifar10", tmp_path)[0].ok


@pytest.mark.parametrize(
    ("position", "message"),
    [(None, "expected 61,460 bytes in data_batch_2.bin, found 61,459"), (0, "found 255; get it")],
)
def test_a_broken_unpacked_file_is_one_line(
    position: int | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = files.cifar(tmp_path, packed=False)
    files.tiny(monkeypatch, "cifar10", (100, 20))
    file = folder / "data_batch_2.bin"
    content = bytearray(file.read_bytes())
    if position is None:
        content.pop()
    else:
        content[position] = 255
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        data.load("cifar10", tmp_path)
    assert message in str(caught.value) and str(caught.value).startswith(str(file))
    checks = data.verify("cifar10", tmp_path)
    assert [check.ok for check in checks] == [False] and checks[0].file == file


def test_svhn_digits_and_their_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.tiny(monkeypatch, "svhn", (30, 20), *files.svhn(tmp_path))
    found = data.load("svhn", tmp_path)
    expected = torch.from_numpy(files.pixels(30, 32, 32, 3)).permute(0, 3, 1, 2)
    assert torch.equal(found.train.images, expected)
    assert found.train.labels.tolist() == [k % 10 for k in range(30)]
    assert data.status("svhn", tmp_path) == "present"
    assert [check.ok for check in data.verify("svhn", tmp_path)] == [True] * 3


def test_emnist_is_read_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.emnist(tmp_path)
    files.tiny(monkeypatch, "emnist", (94, 47), path)
    found = data.load("emnist", tmp_path)
    assert torch.equal(found.train.images[:, 0], torch.from_numpy(files.pixels(94, 28, 28)))
    assert found.test.labels.tolist() == list(range(47))
    assert found.spec.class_names[36:] == tuple("abdefghnqrt")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            file = path.parent / Path(name).name
            file.write_bytes(archive.read(name))
    path.unlink()
    assert data.status("emnist", tmp_path) == "present"
    from clbench.data.table import _load

    _load.cache_clear()
    assert data.load("emnist", tmp_path).fingerprint == found.fingerprint
    assert all(check.ok for check in data.verify("emnist", tmp_path))
    file.write_bytes(gzip.compress(b"nothing"))
    checks = data.verify("emnist", tmp_path)
    assert [check.ok for check in checks] == [False] and "when unpacked" in checks[0].message


@pytest.mark.parametrize("name", ["pathmnist", "octmnist"])
def test_medmnist_has_a_validation_split(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.tiny(monkeypatch, name, (30, 20), files.medmnist(tmp_path, name), num_validation=18)
    found = data.load(name, tmp_path)
    assert found.validation is not None
    channels = DATASETS[name].shape[0]
    expected = files.pixels(18, 28, 28, channels, seed=1).transpose(0, 3, 1, 2)
    assert torch.equal(found.validation.images, torch.from_numpy(expected))
    train = files.pixels(30, 28, 28, channels) / 255
    np.testing.assert_allclose(found.spec.mean, train.mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(found.spec.std, train.std((0, 1, 2)), rtol=1e-9)
    assert all(check.ok for check in data.verify(name, tmp_path))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"val_images": files.pixels(18, 28, 28)}, "expected uint8 validation images of 18 x 28"),
        ({"test_labels": np.full((20, 1), 9, np.uint8)}, "expected labels 0 to 8, found 9 to 9"),
        ({"val_labels": np.array([[None]] * 18, object)}, "allow_pickle=False"),
    ],
)
def test_medmnist_of_another_shape_label_or_pickle(
    changed: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.medmnist(tmp_path, **changed)
    files.tiny(monkeypatch, "pathmnist", (30, 20), path, num_validation=18)
    with pytest.raises(InputError) as caught:
        data.load("pathmnist", tmp_path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "svhn", "emnist", "pathmnist"])
def test_archives_with_the_right_checksum_and_nonsense_inside(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {
        "cifar10": lambda: [files.cifar(tmp_path)],
        "svhn": lambda: files.svhn(tmp_path),
        "emnist": lambda: [files.emnist(tmp_path)],
        "pathmnist": lambda: [files.medmnist(tmp_path)],
    }[name]()
    made[0].write_bytes(b"no archive at all")
    files.tiny(monkeypatch, name, (30, 20), *made)
    with pytest.raises(InputError) as caught:
        data.load(name, tmp_path)
    assert str(caught.value).startswith(f"{made[0]}: ") and "\n" not in str(caught.value)


def test_another_checksum_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.cifar(tmp_path)
    entry = files.tiny(monkeypatch, "cifar10", (100, 20), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError) as caught:
        data.load("cifar10", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected MD5 {entry.reader.given[0][0].md5}, found ")  # type: ignore[union-attr]
    assert "clbench data fetch cifar10" in message
    assert [check.ok for check in data.verify("cifar10", tmp_path)] == [False]


@pytest.mark.parametrize("packed", [False, True])
def test_tiny_imagenet(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files.tiny_imagenet(tmp_path)
    paths = [files.zipped(folder)] if packed else []
    files.tiny(monkeypatch, "tiny_imagenet", (12, 6), *paths, num_classes=3)
    assert data.status("tiny_imagenet", tmp_path) == ("archives only" if packed else "present")
    found = data.load("tiny_imagenet", tmp_path)
    assert found.train.images.shape == (12, 3, 64, 64)
    assert found.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.test.labels.tolist() == [0, 1, 2] * 2
    assert found.spec.class_names == ("goldfish", "European fire salamander", files.WNIDS[2])
    assert folder.is_dir() and not list(tmp_path.glob(".clbench-*"))
    assert all(check.ok for check in data.verify("tiny_imagenet", tmp_path))
    small = data.load("tiny_imagenet", tmp_path, image_size=32)
    assert small.spec.shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("row", "val_annotations.txt: line 2: expected a file and one of the 3 identifiers"),
        ("class", "expected 3 folders, found 2"),
        ("image", "train: expected 12 images, found 11"),
        ("pixels", "expected a JPEG image, found something else"),
    ],
)
def test_broken_tiny_imagenet(
    harm: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = files.tiny_imagenet(tmp_path)
    files.tiny(monkeypatch, "tiny_imagenet", (12, 6), num_classes=3)
    image = folder / "train" / files.WNIDS[0] / "images" / f"{files.WNIDS[0]}_0.JPEG"
    if harm == "row":
        table = folder / "val" / "val_annotations.txt"
        table.write_text(table.read_text().replace("val_1.JPEG\tn01629819", "val_1.JPEG\tn9"))
    elif harm == "class":
        (folder / "train" / files.WNIDS[2]).rename(folder / "gone")
    elif harm == "image":
        image.unlink()
    else:
        image.write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        data.load("tiny_imagenet", tmp_path)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert any(not check.ok for check in data.verify("tiny_imagenet", tmp_path))


def test_archive_members_that_lead_out_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny-imagenet-200.zip"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("tiny-imagenet-200/train/../../../evil", "x")
    path.write_bytes(content.getvalue())
    files.tiny(monkeypatch, "tiny_imagenet", (12, 6), path, num_classes=3)
    with pytest.raises(InputError, match=r"written with / and without \.\."):
        data.load("tiny_imagenet", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_is_written_to_a_tensor_stays_in_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.tiny(monkeypatch, "cifar10", (100, 20), files.cifar(tmp_path))
    found = data.load("cifar10", tmp_path)
    found.train.images[0, 0, 0, 0] ^= 1
    from clbench.data.table import _load

    _load.cache_clear()
    assert not data.load("cifar10", tmp_path).train.images.equal(found.train.images)


def test_verify_reads_files_that_look_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clbench.data import digests

    path = files.cifar(tmp_path)
    files.tiny(monkeypatch, "cifar10", (100, 20), path)
    # As if the kernel's clock stood still: every file looks like the one that was read before.
    monkeypatch.setattr(digests, "_signature", lambda path: [0, 0, 0, 0])
    assert all(check.ok for check in data.verify("cifar10", tmp_path))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert digests.digest_of(path, "md5") != digests.digest_of(path, "md5", trust=False)
    assert [check.ok for check in data.verify("cifar10", tmp_path)] == [False]
