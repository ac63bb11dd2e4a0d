"""MNIST and its relatives as torchvision lays them out: ``ROOT/<Class>/raw/*-ubyte[.gz]``.

Download locations and checksums are those of torchvision's classes. Archives are read in place,
so a read-only root serves too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clbench.data import idx
from clbench.data.dataset import DatasetInfo, FileCheck, Status
from clbench.errors import InputError
from clbench.machine.compat import prepare
from clbench.types import LabelledImages

_CONNECTION_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class MnistFamily:
    """Reader of one of torchvision's data sets that are stored like MNIST.

    Attributes:
        torchvision_class: its name in `torchvision.datasets`; also the name of its folder.
    """

    torchvision_class: str

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """What is there, without opening a file."""
        folder = self._folder(root)
        if all((folder / name).is_file() for name in info.files):
            return "present"
        return "missing" if self._missing(info, root) else "archives only"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Download what is missing or broken; whole files replace what was there.

        Raises:
            InputError: no network, or ``root`` cannot be written.
        """
        folder = self._folder(root)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=root, prefix=".clbench-") as temporary:
                fresh = self._folder(Path(temporary))
                fresh.mkdir(parents=True)
                for archive in folder.glob("*.gz"):
                    shutil.copy2(archive, fresh)
                with _download_settings(progress):
                    self._dataset()(temporary, download=True)
                for file in fresh.iterdir():
                    file.replace(folder / file.name)
        except PermissionError as error:
            raise InputError(
                f"{info.name}: cannot write {error.filename}; choose another place with "
                f"--data-root or CLBENCH_DATA, {_ALTERNATIVE}"
            ) from None
        except (OSError, RuntimeError) as error:
            wanted = ", ".join(f"{n}.gz" for n in self._missing(info, root) or info.files)
            reason = " ".join(str(error).split())
            raise InputError(
                f"{info.name}: cannot download {wanted} ({reason}); put these files into {folder}, "
                f"{_ALTERNATIVE}"
            ) from None

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """Check every file: an archive by its MD5, an unpacked file by its size and header."""
        return [self._check(info, root, name) for name in info.files]

    def read(self, info: DatasetInfo, root: Path) -> tuple[LabelledImages, LabelledImages]:
        """The training and the test images.

        Raises:
            InputError: a file is missing or broken.
        """
        train_images, train_labels, test_images, test_labels = (
            self._tensor(info, root, name) for name in info.files
        )
        return (
            LabelledImages(train_images.unsqueeze(1), train_labels.long()),
            LabelledImages(test_images.unsqueeze(1), test_labels.long()),
        )

    def _dataset(self) -> Any:
        return getattr(prepare().datasets, self.torchvision_class)

    def _folder(self, root: Path) -> Path:
        return root / self.torchvision_class / "raw"

    def _find(self, root: Path, name: str) -> Path | None:
        # The archive comes first: only for it a checksum is known.
        for file in (self._folder(root) / f"{name}.gz", self._folder(root) / name):
            if file.is_file():
                return file
        return None

    def _missing(self, info: DatasetInfo, root: Path) -> list[str]:
        return [name for name in info.files if self._find(root, name) is None]

    def _check(self, info: DatasetInfo, root: Path, name: str) -> FileCheck:
        file = self._find(root, name) or self._folder(root) / f"{name}.gz"
        try:
            self._tensor(info, root, name)
        except InputError as error:
            return FileCheck(file, False, str(error).removeprefix(f"{file}: "))
        what = "MD5" if file.suffix == ".gz" else "size and header"
        return FileCheck(file, True, f"{what} as expected")

    def _tensor(self, info: DatasetInfo, root: Path, name: str) -> torch.Tensor:
        file = self._find(root, name)
        if file is None:
            raise InputError(
                f"{self._folder(root) / name}.gz: missing; `clbench data fetch {info.name}` gets it"
            )
        if file.suffix == ".gz":
            expected, found = dict(self._dataset().resources)[file.name], idx.md5(file)
            if found != expected:
                raise InputError(
                    f"{file}: expected MD5 {expected}, found {found} ({file.stat().st_size:,} "
                    f"bytes); `clbench data fetch {info.name}` downloads it again"
                )
        count = info.num_train if name.startswith("train") else info.num_test
        if "images" in name:
            return idx.read(file, count, *info.shape[1:])
        labels = idx.read(file, count)
        if int(labels.max()) >= info.num_classes:
            raise InputError(
                f"{file}: expected labels 0 to {info.num_classes - 1}, found {int(labels.max())}; "
                "delete it and fetch it again"
            )
        return labels


_ALTERNATIVE = "or use the benchmark split_mnist5k, which needs no files"


@contextlib.contextmanager
def _download_settings(progress: bool) -> Iterator[None]:
    # torchvision sets no time-out, so behind a silent firewall it would hang; and its progress bar
    # has no switch but the stream it writes to.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_CONNECTION_TIMEOUT_SECONDS)
    try:
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stderr(sys.stderr if progress else nowhere),
        ):
            yield
    finally:
        socket.setdefaulttimeout(before)
