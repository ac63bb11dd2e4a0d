"""A tiny data set in the files of the MNIST family."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clbench.data import DATASETS, DatasetInfo
from clbench.machine.compat import prepare

NUM_TRAIN, NUM_TEST = 30, 20


def idx_bytes(data: Tensor) -> bytes:
    header = struct.pack(f">HBB{data.ndim}I", 0, 8, data.ndim, *data.shape)
    return header + data.to(torch.uint8).numpy().tobytes()


def contents(name: str = "mnist") -> dict[str, bytes]:
    """Unpacked file name -> bytes; train and test images differ, labels run through the classes."""
    draw = torch.Generator().manual_seed(1)
    files = {}
    for file, count in zip(DATASETS[name].files, [NUM_TRAIN] * 2 + [NUM_TEST] * 2, strict=True):
        if "images" in file:
            files[file] = idx_bytes(torch.randint(0, 256, (count, 28, 28), generator=draw))
        else:
            files[file] = idx_bytes(torch.arange(count) % 10)
    return files


def write(root: Path, *, packed: bool, folder: str = "MNIST") -> Path:
    """Put the files where torchvision looks for them; the folder they are in."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for file, content in contents().items():
        if packed:
            (raw / f"{file}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (raw / file).write_bytes(content)
    return raw


def tiny(monkeypatch: pytest.MonkeyPatch, name: str = "mnist") -> DatasetInfo:
    """The table's entry, its counts and torchvision's checksums changed to the tiny files'."""
    entry = dataclasses.replace(DATASETS[name], num_train=NUM_TRAIN, num_test=NUM_TEST)
    monkeypatch.setitem(DATASETS, name, entry)
    sums = [
        (f"{file}.gz", hashlib.md5(gzip.compress(content, mtime=0)).hexdigest())
        for file, content in contents().items()
    ]
    folder = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}[name]
    monkeypatch.setattr(getattr(prepare().datasets, folder), "resources", sums)
    return entry
