"""The one supervised loop for a network and one set of labelled images, small or whole."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
