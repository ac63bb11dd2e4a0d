"""What a search may choose: an option's range, or a list of its values, as text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from clbench.errors import InputError

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")
_MOST_WHOLE = 2**53  # A float holds every whole number up to here.
_DIGITS = 3  # of a value tried: more make no difference and are hard to read


@dataclass(frozen=True)
class Axis:
    """One option of a space.

    Attributes:
        option: without its dashes.
        values: those to choose from; empty for a range.
        low, high: ends of the range, both included.
        log: as likely between 0.01 and 0.1 as between 0.1 and 1.
        whole: whole numbers only.
    """

    option: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> tuple[str, ...]:
        """Values that must all be good: the list, or both ends of the range."""
        return self.values or (self.text(self.low), self.text(self.high))

    def text(self, value: float) -> str:
        """Return a number of the range as it is given to the option, within the range."""
        if self.whole:
            return str(round(value))
        shown = float(f"{value:.{_DIGITS}g}")
        return f"{min(max(shown, self.low), self.high):g}"


def parse_axis(text: str, where: str) -> Axis:
    """Return the axis that OPTION=LOW..HIGH, OPTION=LOW..HIGH:log or OPTION=V,V,... says.

    Values that hold commas are parted by semicolons.

    Raises:
        InputError: something else, or a range without a number in it.
    """
    option, equals, rest = text.removeprefix("--").partition("=")
    option, rest = option.strip(), rest.strip()
    parts = rest.split(";" if ";" in rest else ",")
    values = tuple(dict.fromkeys(value.strip() for value in parts if value.strip()))
    if not equals or not option or not values:
        raise InputError(
            f"{where}: expected OPTION=LOW..HIGH, OPTION=LOW..HIGH:log or OPTION=VALUE,VALUE, "
            f"found {text!r}"
        )
    found = _RANGE.fullmatch(rest)
    if found is None:
        return Axis(option, values)
    return _range(option, found.group(1), found.group(2), bool(found.group(3)), where)


def _range(option: str, first: str, last: str, log: bool, where: str) -> Axis:
    low, high = float(first), float(last)
    whole = all(re.fullmatch(r"[+-]?\d+", end) for end in (first, last))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{where} {option}: expected a range LOW..HIGH, found {first}..{last}")
    if log and low <= 0:
        raise InputError(
            f"{where} {option}: expected a range above 0 for :log, found {first}..{last}"
        )
    if whole and max(abs(low), abs(high)) > _MOST_WHOLE:
        raise InputError(f"{where} {option}: expected numbers up to 2**53, found {first}..{last}")
    return Axis(option, (), low, high, log, whole)


def around(option: str, default: float) -> Axis:
    """Return the range from a tenth of a step size to ten times of it."""
    return Axis(option, (), default / 10, default * 10, log=True)
