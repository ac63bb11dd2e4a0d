"""Rows of the field's colour sets and of EMNIST; light to import.

Addresses and MD5 sums are those of torchvision's classes (SVHN, EMNIST), of Avalanche's (Tiny
ImageNet) and of the page of CIFAR's authors. Means and deviations are the ones that the field uses.
"""

from __future__ import annotations

import string
from dataclasses import replace

from clbench.data.archives import Archive
from clbench.data.dataset import DatasetInfo
from clbench.table import Lazy

# Zhao & Bilen, DSA (ICML 2021): house numbers and letters bear no flip, objects do.
_NO_FLIP = "color_crop_cutout_scale_rotate"
_FLIP = "color_crop_cutout_flip_scale_rotate"
_KRIZHEVSKY = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
_UNSTATED = "none stated by its authors"

_CIFAR10 = Archive(
    "cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",
    170_052_171,
)
_CIFAR100 = Archive(
    "cifar-100-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    "03b5dce01913d631647c71ecec9e9cb8",
    168_513_733,
)
_SVHN = (
    Archive(
        "train_32x32.mat",
        "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
        "e26dedcc434d2e4c54c9b2d4a06d8373",
        182_040_794,
    ),
    Archive(
        "test_32x32.mat",
        "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
        "eb5a983be6a315427106f1b164d9cef3",
        64_275_384,
    ),
)
_EMNIST = Archive(
    "gzip.zip",
    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    "58c8d27c78d21e728a6bc7b3cc06412e",
    561_753_746,
)
_TINY = Archive(
    "tiny-imagenet-200.zip",
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "90528d7ca1a48142e341f4ef8d21d0de",
    248_100_043,
)

_FINE = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus "
    "butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch "
    "crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo "
    "keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse "
    "mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy "
    "porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television "
    "tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
_COARSE = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices"
    " household_furniture insects large_carnivores large_man-made_outdoor_things"
    " large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals"
    " non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2"
)
_CIFAR100_READER = (
    (_CIFAR100,),
    ("", "CIFAR100"),
    "cifar-100-binary",
    ("train.bin",),
    ("test.bin",),
    ("cifar-100-python.tar.gz", "cifar-100-python"),
    True,
)


def _names(words: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in words.split())


_FINE_LABELS = DatasetInfo(
    name="cifar100",
    title="CIFAR-100 objects and animals",
    shape=(3, 32, 32),
    num_classes=100,
    num_train=50_000,
    num_test=10_000,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    augmentation=_FLIP,
    class_names=_names(_FINE),
    source=_KRIZHEVSKY,
    licence=_UNSTATED,
    files=(_CIFAR100.name,),
    reader=Lazy("clbench.data.cifar:Cifar", *_CIFAR100_READER),
    download_bytes=_CIFAR100.num_bytes,
)

_ROWS = (
    DatasetInfo(
        name="cifar10",
        title="CIFAR-10 objects and animals",
        shape=(3, 32, 32),
        num_classes=10,
        num_train=50_000,
        num_test=10_000,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        augmentation=_FLIP,
        class_names=_names("airplane automobile bird cat deer dog frog horse ship truck"),
        source=_KRIZHEVSKY,
        licence=_UNSTATED,
        files=(_CIFAR10.name,),
        reader=Lazy(
            "clbench.data.cifar:Cifar",
            (_CIFAR10,),
            ("", "CIFAR10"),
            "cifar-10-batches-bin",
            tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
            ("test_batch.bin",),
            ("cifar-10-python.tar.gz", "cifar-10-batches-py"),
        ),
        download_bytes=_CIFAR10.num_bytes,
    ),
    _FINE_LABELS,
    replace(
        _FINE_LABELS,
        name="cifar100_coarse",
        title="CIFAR-100 by its 20 superclasses",
        num_classes=20,
        class_names=_names(_COARSE),
        reader=Lazy("clbench.data.cifar:Superclasses", *_CIFAR100_READER),
    ),
    DatasetInfo(
        name="svhn",
        title="SVHN house numbers, cropped digits",
        shape=(3, 32, 32),
        num_classes=10,
        num_train=73_257,
        num_test=26_032,
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        augmentation=_NO_FLIP,
        class_names=tuple(string.digits),
        source="Netzer et al., Reading Digits in Natural Images, NIPS workshop 2011",
        licence="non-commercial use only",
        files=tuple(archive.name for archive in _SVHN),
        reader=Lazy("clbench.data.svhn:Svhn", _SVHN, ("SVHN", "")),
        download_bytes=sum(archive.num_bytes for archive in _SVHN),
    ),
    DatasetInfo(
        name="emnist",
        title="EMNIST digits and letters, balanced split",
        shape=(1, 28, 28),
        num_classes=47,
        num_train=112_800,
        num_test=18_800,
        mean=(0.1751,),
        std=(0.3332,),
        augmentation=_NO_FLIP,
        # Small letters that look like their capitals are one class with them.
        class_names=(*string.digits, *string.ascii_uppercase, *"abdefghnqrt"),
        source="Cohen et al., EMNIST, arXiv 1702.05373, 2017",
        licence="public domain (NIST Special Database 19)",
        files=tuple(
            f"emnist-balanced-{split}-{what}-ubyte"
            for split in ("train", "test")
            for what in ("images-idx3", "labels-idx1")
        ),
        reader=Lazy("clbench.data.emnist:Emnist", (_EMNIST,), ("EMNIST/raw", "EMNIST")),
        download_bytes=_EMNIST.num_bytes,
    ),
    DatasetInfo(
        name="tiny_imagenet",
        title="Tiny ImageNet, 200 classes",
        shape=(3, 64, 64),
        num_classes=200,
        num_train=100_000,
        num_test=10_000,
        mean=(),
        std=(),
        augmentation=_FLIP,
        class_names=(),
        source="Le & Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
        licence="ImageNet's terms: non-commercial research",
        files=(_TINY.name,),
        reader=Lazy("clbench.data.tiny_imagenet:TinyImageNet", _TINY),
        download_bytes=_TINY.num_bytes,
        scalable=True,
    ),
)

ROWS: dict[str, DatasetInfo] = {row.name: row for row in _ROWS}
