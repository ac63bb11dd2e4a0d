"""Codecs: how the images of one class become one stream of bytes, and come back.

A memory is charged the bytes of its streams. A codec is named by a line like
``levels:side=14,levels=2``; `parse` reads it.

>>> from clbench.codecs import parse
>>> codec = parse("levels:side=14,levels=2")
>>> codec.grid((1, 28, 28))
(1, 14, 14)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
