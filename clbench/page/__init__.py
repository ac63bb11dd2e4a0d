"""A comparison as one page to read: answers, curves, memories, costs, and what made each number."""

from clbench.page.build import build_page
from clbench.page.command import command_of

__all__ = ["build_page", "command_of"]
