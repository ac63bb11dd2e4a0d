"""The command line. Each command lives in a file of its own, imported only when it runs."""

from clbench.cli.group import main

__all__ = ["main"]
