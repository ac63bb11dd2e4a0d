"""What readers of the field's archives share: find, fetch, check, read into kept pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clbench.data import archives, kept_pixels
from clbench.data.archives import ALTERNATIVE, Archive
from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, Status
from clbench.data.downloading import fetch
from clbench.data.kept_pixels import Block, Kept, Work
from clbench.errors import InputError


@dataclass(frozen=True)
class Archived(ABC):
    """Reader of archives that are read in place, or of what they unpack to.

    A subclass says which files it is read from (`unpacked`) and parses them (`blocks`).

    Attributes:
        archives: what the publishers hand out.
        folders: below the data root, where files are looked for; downloads go to the first.
    """

    archives: tuple[Archive, ...]
    folders: tuple[str, ...]

    @property
    def code(self) -> str:
        """Name of the module that parses."""
        return type(self).__module__

    def unpacked(self, info: DatasetInfo, root: Path) -> list[Path]:
        """The files that the archives unpack to, where all of them are there; else none."""
        return []

    @abstractmethod
    def blocks(self, info: DatasetInfo, files: list[Path]) -> Iterator[Block]:
        """Parse the files: those of `unpacked`, or the archives, whose MD5 is checked already.

        Raises:
            InputError: sizes, types or labels that are not the data set's.
        """

    def hint(self, root: Path) -> str:
        """What lies there instead, in words; empty where that is nothing of use."""
        return ""

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """What is there, without opening a file."""
        if self.unpacked(info, root):
            return "present"
        return "archives only" if self._packed(root) else "missing"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Download what is missing or broken; whole files replace what was there.

        Raises:
            InputError: no network, or ``root`` cannot be written.
        """
        if self.unpacked(info, root):
            return
        hint = self.hint(root)
        if hint:
            raise InputError(f"{info.name}: {hint}")
        fetch(info.name, self.archives, self._folder(root), progress)

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """Check every file: an archive by its MD5, an unpacked file by its sizes and labels."""
        packed, unpacked = self._packed(root), self.unpacked(info, root)
        if not packed and not unpacked:
            where = self._folder(root)
            return [
                FileCheck(where / a.name, False, self._missing(info, root)) for a in self.archives
            ]
        checks = []
        for path, archive in zip(packed or [], self.archives, strict=False):
            try:
                archives.check_md5(path, archive, info.name, trust=False)
                checks.append(FileCheck(path, True, "MD5 as expected"))
            except InputError as error:
                return [FileCheck(path, False, str(error).removeprefix(f"{path}: "))]
        try:
            found = self._kept(info, root, trust=False)
        except InputError as error:
            file, _, message = str(error).partition(": ")
            return [*checks, FileCheck(Path(file), False, message)]
        what = "sizes and labels as expected (no checksum is known of unpacked files)"
        checks += [FileCheck(path, True, what) for path in unpacked]
        return [*checks, found.check()]

    def read(self, info: DatasetInfo, root: Path) -> ImageData:
        """The images, mapped from the store where they were read before.

        Raises:
            InputError: a file is missing or broken.
        """
        return self._kept(info, root).data(info)

    def _kept(self, info: DatasetInfo, root: Path, trust: bool = True) -> Kept:
        unpacked, packed = self.unpacked(info, root), self._packed(root)
        files = unpacked or packed
        if not files:
            raise InputError(f"{self._folder(root)}: {self._missing(info, root)}")

        def blocks() -> Iterator[Block]:
            if not unpacked:
                for path, archive in zip(files, self.archives, strict=True):
                    archives.check_md5(path, archive, info.name)
            return self.blocks(info, files)

        counts = f"{info.num_train} {info.num_validation} {info.num_test}"
        what = f"{self.archives[0].name} {info.num_classes} {info.shape} {counts}"
        return kept_pixels.kept(Work(what, files, blocks, self.code), trust)

    def _packed(self, root: Path) -> list[Path]:
        found = [archives.find(root, self.folders, a.name) for a in self.archives]
        return [path for path in found if path is not None] if all(found) else []

    def _folder(self, root: Path) -> Path:
        return root / self.folders[0]

    def _missing(self, info: DatasetInfo, root: Path) -> str:
        names = ", ".join(archive.name for archive in self.archives)
        return self.hint(root) or (
            f"{names} missing; `clbench data fetch {info.name}` gets it, or put it there, "
            f"{ALTERNATIVE}"
        )
