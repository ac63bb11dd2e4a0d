from .dataset import DatasetInfo, FileCheck, ImageData, Prepared, Reader, normalised
from .own_names import is_own, with_options
from .prefixes import short_name
from .table import (
    DATASETS,
    data_root,
    fetch,
    info,
    load,
    load_entry,
    names,
    prepare,
    status,
    verify,
)
from .tensor_images import TensorImages, tensors_of

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
    "load_entry",
    "names",
    "normalised",
    "prepare",
    "short_name",
    "status",
    "tensors_of",
    "verify",
    "with_options",
]
