"""Small files in the official formats of the field's data sets, from generated images."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from clbench.data import DATASETS, DatasetInfo
from clbench.table import Lazy
from tests.data.fakes import idx_bytes

Array = np.ndarray[Any, Any]


def pixels(num: int, *shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (num, *shape), dtype=np.uint8)


def labels(num: int, num_classes: int) -> Array:
    return np.arange(num) % num_classes


def cifar(root: Path, name: str = "cifar10", per_file: int = 20, packed: bool = True) -> Path:
    """The archive, or the folder; every file with ``per_file`` records."""
    fine = name != "cifar10"
    folder = "cifar-100-binary" if fine else "cifar-10-batches-bin"
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]
    names = ["train.bin", "test.bin"] if fine else names
    files = {}
    for seed, file in enumerate(names):
        own = labels(per_file, 100 if fine else 10).astype(np.uint8)
        numbers = np.stack([own // 5, own], 1) if fine else own[:, None]
        records = np.concatenate([numbers, pixels(per_file, 3072, seed=seed)], 1)
        files[file] = records.astype(np.uint8).tobytes()
    if not packed:
        (root / folder).mkdir(parents=True)
        for file, content in files.items():
            (root / folder / file).write_bytes(content)
        return root / folder
    root.mkdir(exist_ok=True)
    path = root / ("cifar-100-binary.tar.gz" if fine else "cifar-10-binary.tar.gz")
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def svhn(root: Path, num_train: int = 30, num_test: int = 20) -> list[Path]:
    (root / "SVHN").mkdir(parents=True)
    paths = []
    for name, num in (("train", num_train), ("test", num_test)):
        images = pixels(num, 32, 32, 3).transpose(1, 2, 3, 0)
        digits = labels(num, 10).astype(np.uint8)
        digits[digits == 0] = 10
        paths.append(root / "SVHN" / f"{name}_32x32.mat")
        savemat(paths[-1], {"X": images, "y": digits[:, None]}, do_compression=True)
    return paths


def emnist(root: Path, num_train: int = 94, num_test: int = 47) -> Path:
    (root / "EMNIST" / "raw").mkdir(parents=True)
    path = root / "EMNIST" / "raw" / "gzip.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for split, num in (("train", num_train), ("test", num_test)):
            import torch

            for what, content in (
                ("images-idx3", torch.from_numpy(pixels(num, 28, 28).swapaxes(1, 2).copy())),
                ("labels-idx1", torch.from_numpy(labels(num, 47))),
            ):
                name = f"gzip/emnist-balanced-{split}-{what}-ubyte.gz"
                archive.writestr(name, gzip.compress(idx_bytes(content), mtime=0))
    return path


def medmnist(root: Path, name: str = "pathmnist", **changed: Any) -> Path:
    """30 training, 18 validation and 20 test images."""
    entry = DATASETS[name]
    (root / "MedMNIST").mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    shape = (28, 28, 3) if entry.shape[0] == 3 else (28, 28)
    for seed, (split, num) in enumerate((("train", 30), ("val", 18), ("test", 20))):
        arrays[f"{split}_images"] = pixels(num, *shape, seed=seed)
        arrays[f"{split}_labels"] = labels(num, entry.num_classes).astype(np.uint8)[:, None]
    path = root / "MedMNIST" / f"{name}.npz"
    np.savez_compressed(path, **{**arrays, **changed})
    return path


WNIDS = ("n01443537", "n01629819", "n01641577")


def tiny_imagenet(root: Path, per_class: int = 4, num_test: int = 6) -> Path:
    """The unpacked folder, with 3 classes."""
    folder = root / "tiny-imagenet-200"
    seed = 0

    def image(path: Path, mode: str = "RGB") -> None:
        nonlocal seed
        seed += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(1, 64, 64, 3, seed=seed)[0]).convert(mode).save(path, "JPEG")

    for wnid in WNIDS:
        for k in range(per_class):
            image(folder / "train" / wnid / "images" / f"{wnid}_{k}.JPEG", "L" if k == 1 else "RGB")
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("box\n")
    rows = []
    for k in range(num_test):
        image(folder / "val" / "images" / f"val_{k}.JPEG")
        rows.append(f"val_{k}.JPEG\t{WNIDS[k % 3]}\t0\t0\t62\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(rows))
    (folder / "test" / "images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("".join(f"{w}\n" for w in reversed(WNIDS)))
    (folder / "words.txt").write_text(
        "n01443537\tgoldfish, Carassius auratus\nn01629819\tEuropean fire salamander\n"
    )
    return folder


def zipped(folder: Path) -> Path:
    """The folder's official archive beside it; the folder goes."""
    import shutil

    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent).as_posix())
    shutil.rmtree(folder)
    return path


def tiny(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    counts: tuple[int, int],
    *paths: Path,
    **changed: Any,
) -> DatasetInfo:
    """The table's entry, with other counts, and the MD5 and size of these archives."""
    entry = DATASETS[name]
    lazy = entry.reader
    assert isinstance(lazy, Lazy)
    given = list(lazy.given)
    single = not isinstance(given[0][0], tuple)
    made = []
    for archive, path in zip([given[0]] if single else given[0], paths, strict=False):
        content = path.read_bytes()
        md5 = hashlib.md5(content).hexdigest()
        made.append(archive._replace(md5=md5, num_bytes=len(content)))
    if made:
        given[0] = made[0] if single else tuple(made)
    entry = dataclasses.replace(
        entry,
        num_train=counts[0],
        num_test=counts[1],
        reader=Lazy(lazy.place, *given),
        **changed,
    )
    monkeypatch.setitem(DATASETS, name, entry)
    return entry
