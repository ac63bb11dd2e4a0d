"""Data sets: found, fetched, checked, and read into uint8 tensors.

Each is an entry of `DATASETS`; another distribution adds its own by an entry point in the group
``clbench.datasets`` whose object is a `DatasetInfo`.
"""

from clbench.data.catalogue import (
    DATASETS,
    data_root,
    fetch,
    info,
    load,
    names,
    status,
    verify,
)
from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, Reader
from clbench.data.tensor_images import TensorImages, tensors_of

__all__ = [
    "DATASETS",
    "DatasetInfo",
    "FileCheck",
    "ImageData",
    "Reader",
    "TensorImages",
    "data_root",
    "fetch",
    "info",
    "load",
    "names",
    "status",
    "tensors_of",
    "verify",
]
