from .api import compare, distil, evaluate, load_set
from .run.loop import run

__all__ = ["__version__", "compare", "distil", "evaluate", "load_set", "run"]

__version__: str
