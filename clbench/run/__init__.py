"""A run: from a `RunConfig` to a `RunReport`, and the directory that it leaves."""

from clbench.run.directory import RunDirectory
from clbench.run.progress import NullProgress, RunProgress
from clbench.run.session import run

__all__ = ["NullProgress", "RunDirectory", "RunProgress", "run"]
