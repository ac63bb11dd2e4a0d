"""Rows of MedMNIST's 2D sets of several classes, one table of names; light to import.

Numbers, addresses and MD5 sums are those of the package medmnist 3.0.2. Left out are the sets that
have several labels an image (ChestMNIST), two classes (PneumoniaMNIST, BreastMNIST) or grades
(RetinaMNIST).
"""

from __future__ import annotations

from typing import NamedTuple

from clbench.data.archives import Archive
from clbench.data.dataset import DatasetInfo
from clbench.table import Lazy

_URL = "https://zenodo.org/records/10519652/files/{}?download=1"
# Tissue, lesions and cells have no up and no side, and their colour may tell; a retina has an up;
# organs have a left and a right that their classes tell apart.
_TISSUE, _UPRIGHT, _SIDES = "flip_rotate", "flip", "crop_scale_rotate"


class _Row(NamedTuple):
    """What tells one set from another."""

    title: str
    channels: int
    counts: tuple[int, int, int]  # train, validation, test
    augmentation: str
    class_names: tuple[str, ...]
    md5: str
    num_bytes: int  # roughly
    licence: str = "CC BY 4.0"


_ORGANS = (
    "bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver",
    "lung-left", "lung-right", "pancreas", "spleen",
)  # fmt: skip

_SETS = {
    "pathmnist": _Row(
        "PathMNIST colorectal tissue",
        3,
        (89_996, 10_004, 7_180),
        _TISSUE,
        (
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
        "a8b06965200029087d5bd730944a56c1",
        205_615_438,
    ),
    "dermamnist": _Row(
        "DermaMNIST skin lesions",
        3,
        (7_007, 1_003, 2_005),
        _TISSUE,
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        "0744692d530f8e62ec473284d019b0c7",
        19_725_078,
        "CC BY-NC 4.0",
    ),
    "octmnist": _Row(
        "OCTMNIST retinal layers",
        1,
        (97_477, 10_832, 1_000),
        _UPRIGHT,
        (
            "choroidal neovascularization",
            "diabetic macular edema",
            "drusen",
            "normal",
        ),
        "c68d92d5b585d8d81f7112f81e2d0842",
        54_938_180,
    ),
    "bloodmnist": _Row(
        "BloodMNIST blood cells",
        3,
        (11_959, 1_712, 3_421),
        _TISSUE,
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
        "7053d0359d879ad8a5505303e11de1dc",
        35_461_855,
    ),
    "tissuemnist": _Row(
        "TissueMNIST kidney cortex cells",
        1,
        (165_466, 23_640, 47_280),
        _TISSUE,
        (
            "collecting duct or connecting tubule",
            "distal convoluted tubule",
            "glomerular endothelial cells",
            "interstitial endothelial cells",
            "leukocytes",
            "podocytes",
            "proximal tubule segments",
            "thick ascending limb",
        ),
        "ebe78ee8b05294063de985d821c1c34b",
        124_962_739,
    ),
    "organamnist": _Row(
        "OrganAMNIST abdominal CT, axial",
        1,
        (34_561, 6_491, 17_778),
        _SIDES,
        _ORGANS,
        "68e3f8846a6bd62f0c9bf841c0d9eacc",
        38_247_903,
    ),
    "organcmnist": _Row(
        "OrganCMNIST abdominal CT, coronal",
        1,
        (12_975, 2_392, 8_216),
        _SIDES,
        _ORGANS,
        "b9ceb9546e10131b32923c5bbeaea2b1",
        15_527_535,
    ),
    "organsmnist": _Row(
        "OrganSMNIST abdominal CT, sagittal",
        1,
        (13_932, 2_452, 8_827),
        _SIDES,
        _ORGANS,
        "9ab87b696fb54e2a387ebe992d6ed5f1",
        16_528_536,
    ),
}


def _entry(name: str, row: _Row) -> DatasetInfo:
    num_train, num_validation, num_test = row.counts
    file = f"{name}.npz"
    archive = Archive(file, _URL.format(file), row.md5, row.num_bytes)
    return DatasetInfo(
        name=name,
        title=row.title,
        shape=(row.channels, 28, 28),
        num_classes=len(row.class_names),
        num_train=num_train,
        num_test=num_test,
        # Known once they are read: no publication states them.
        mean=(),
        std=(),
        augmentation=row.augmentation,
        class_names=row.class_names,
        source="Yang et al., MedMNIST v2, Scientific Data 10:41, 2023",
        licence=row.licence,
        files=(file,),
        reader=Lazy("clbench.data.medmnist:MedMnist", (archive,), ("MedMNIST", "")),
        download_bytes=row.num_bytes,
        num_validation=num_validation,
    )


ROWS: dict[str, DatasetInfo] = {name: _entry(name, row) for name, row in _SETS.items()}
