"""Data sets: found, fetched, checked, and read into uint8 tensors.

Each is an entry of `DATASETS`, or images of the user's own (``folder:PATH``); another distribution
adds entries by an entry point in the group
``clbench.datasets`` whose object is a `DatasetInfo`.
"""

from clbench.data.catalogue import (
    DATASETS,
    data_root,
    fetch,
    info,
    load,
    names,
    prepare,
    status,
    verify,
)
from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, Prepared, Reader, normalised
from clbench.data.own_images import is_own, short_name
from clbench.data.tensor_images import TensorImages, tensors_of

__all__ = [
    "DATASETS",
    "DatasetInfo",
    "FileCheck",
    "ImageData",
    "Prepared",
    "Reader",
    "TensorImages",
    "data_root",
    "fetch",
    "info",
    "is_own",
    "load",
    "names",
    "normalised",
    "prepare",
    "short_name",
    "status",
    "tensors_of",
    "verify",
]
