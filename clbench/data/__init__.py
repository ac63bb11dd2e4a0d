"""Data sets: found, fetched, checked, and read into uint8 tensors.

Each is an entry of `DATASETS`, or images of the user's own (``folder:PATH``); another distribution
adds entries by an entry point in the group
``clbench.datasets`` whose object is a `DatasetInfo`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
