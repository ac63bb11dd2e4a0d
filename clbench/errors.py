"""What a user can put right: the one exception that reaches them as a line of text."""

from __future__ import annotations

import math
from collections.abc import Iterable

NO_PIXELS = (
    "expected pixels from 0 to 1 and finite labels, found others: a distillation that diverged? "
    "distil it anew with a smaller step size"
)


class InputError(ValueError):
    """Something the user can put right; says what was expected, what was found, what to do."""


class Diverged(InputError):
    """A training whose numbers are none any more (nan, infinity); says where, and what to lower.

    Whatever it would still measure looks like a result and is none.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a line on an unknown name, which tells the nearest known one; or ""."""
    import difflib  # only where something is wrong

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def require_finite(loss: float, where: str, remedy: str) -> None:
    """Stop a training whose loss is no number.

    Args:
        loss: of an update, or a mean over some.
        where: what was trained and how far it had come.
        remedy: what to do about it.

    Raises:
        Diverged: the loss is nan or infinite.
    """
    if not math.isfinite(loss):
        raise Diverged(f"{where}: expected a finite loss, found {loss}; {remedy}")
