"""What a user can put right: the one exception that reaches them as a line of text."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user can put right; says what was expected, what was found, what to do."""
