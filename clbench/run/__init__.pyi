from .directory import RunDirectory
from .loop import run
from .progress import NullProgress, RunProgress

__all__ = ["NullProgress", "RunDirectory", "RunProgress", "run"]
