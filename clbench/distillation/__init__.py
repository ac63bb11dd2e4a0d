"""Distillers: from the images of an experience to a few.

`clbench.distillation.protocol` says what a distiller is, `clbench.distillation.table` which there
are; each method has a folder with its settings, its distiller and its parts.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
