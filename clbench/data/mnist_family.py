"""MNIST and its relatives as torchvision lays them out: ``ROOT/<Class>/raw/*-ubyte[.gz]``.

Download locations and checksums are those of torchvision's classes. Archives are read in place,
so a read-only root serves too.
"""

from __future__ import annotations

import contextlib
import gzip
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
# SHA-256 of the unpacked files, taken from archives with the MD5 that their publishers give: people
# also have archives of the very same content that somebody else compressed. Of KMNIST nobody
# publishes them.
CONTENTS = {
    "MNIST": {
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
}


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
                    self._unpack_own(info, fresh / archive.name)
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

    def _unpack_own(self, info: DatasetInfo, archive: Path) -> None:
        """Unpack an archive of the right content that torchvision would download anew."""
        try:
            whole = archive.stem in info.files and idx.md5(archive) != self._md5(archive)
            if whole:
                self._tensor_of(info, archive)
        except InputError:
            return
        if whole:
            with gzip.open(archive) as packed, (archive.parent / archive.stem).open("wb") as out:
                shutil.copyfileobj(packed, out)

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
        what = "size and header"
        if file.suffix == ".gz":
            what = "MD5" if idx.md5(file) == self._md5(file) else "SHA-256 of the content"
        return FileCheck(file, True, f"{what} as expected")

    def _tensor(self, info: DatasetInfo, root: Path, name: str) -> torch.Tensor:
        file = self._find(root, name)
        if file is None:
            raise InputError(
                f"{self._folder(root) / name}.gz: missing; `clbench data fetch {info.name}` gets it"
            )
        return self._tensor_of(info, file)

    def _tensor_of(self, info: DatasetInfo, file: Path) -> torch.Tensor:
        name = file.name
        count = info.num_train if name.startswith("train") else info.num_test
        shape = (count, *info.shape[1:]) if "images" in name else (count,)
        if file.suffix == ".gz":
            self._check_archive(info, file, idx.num_bytes(*shape))
        if "images" in name:
            return idx.read(file, *shape)
        labels = idx.read(file, count)
        if int(labels.max()) >= info.num_classes:
            raise InputError(
                f"{file}: expected labels 0 to {info.num_classes - 1}, found {int(labels.max())}; "
                "delete it and fetch it again"
            )
        return labels

    def _md5(self, file: Path) -> str:
        return str(dict(self._dataset().resources)[file.name])

    def _check_archive(self, info: DatasetInfo, file: Path, num_bytes: int) -> None:
        """Accept the publishers' archive, or another one of the same content."""
        expected, found = self._md5(file), idx.md5(file)
        if found == expected:
            return
        again = f"`clbench data fetch {info.name}` downloads it again"
        content = CONTENTS.get(self.torchvision_class, {}).get(file.stem)
        size = f"({file.stat().st_size:,} bytes)"
        if content is None:
            raise InputError(f"{file}: expected MD5 {expected}, found {found} {size}; {again}")
        try:
            unpacked = idx.content_sha256(file, num_bytes)
        except InputError:
            unpacked = "nothing that unpacks"
        if unpacked != content:
            raise InputError(
                f"{file}: expected MD5 {expected}, found {found} {size}, and content of SHA-256 "
                f"{content}, found {unpacked}; {again}"
            )


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
