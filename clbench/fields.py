"""What all frozen configurations share: checks on construction, JSON in and out."""

from __future__ import annotations

import dataclasses
import types as python_types
import typing
from typing import Any, Literal, Self

from clbench.errors import InputError


def check(ok: bool, name: str, expected: str, found: object) -> None:
    """Raise `InputError` unless ``ok``."""
    if not ok:
        raise InputError(f"{name}: expected {expected}, found {found!r}")


def at_least(config: object, low: float, *names: str) -> None:
    """Every field of ``names`` that is not None is ``low`` or more."""
    for name in names:
        value = getattr(config, name)
        if value is not None:
            check(value >= low, name, f"at least {low:g}", value)


def above_zero(config: object, *names: str) -> None:
    """Every field of ``names`` is above 0."""
    for name in names:
        value = getattr(config, name)
        check(value is None or value > 0, name, "a number above 0", value)


class Config:
    """JSON in and out for every frozen configuration below."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in dataclasses.fields(typing.cast(Any, self)):
            value, hint = getattr(self, f.name), hints[f.name]
            if typing.get_origin(hint) is Literal:
                options = typing.get_args(hint)
                check(value in options, f.name, "one of " + ", ".join(options), value)
            elif isinstance(value, float):
                check(value == value and abs(value) != float("inf"), f.name, "a number", value)
        self._validate()

    def _validate(self) -> None:
        """Ranges and relations; a subclass overrides this."""

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, every field present."""
        return dataclasses.asdict(typing.cast(Any, self))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`; absent fields take their defaults.

        Raises:
            InputError: an unknown field, or a value of the wrong type or range.
        """
        hints = typing.get_type_hints(cls)
        unknown = sorted(set(values) - set(hints))
        check(not unknown, cls.__name__, "fields " + ", ".join(hints), ", ".join(unknown))
        return cls(**{name: _read(name, hints[name], value) for name, value in values.items()})

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked anew."""
        return typing.cast(Self, dataclasses.replace(typing.cast(Any, self), **changes))


def _read(name: str, hint: Any, value: Any) -> Any:
    options = [hint]
    if typing.get_origin(hint) in (typing.Union, python_types.UnionType):
        options = list(typing.get_args(hint))
    for option in options:
        if isinstance(option, type) and issubclass(option, Config) and isinstance(value, dict):
            return option.from_dict(value)
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        kind = str if typing.get_origin(option) is Literal else option
        truth_for_number = kind is int and isinstance(value, bool)
        if isinstance(kind, type) and isinstance(value, kind) and not truth_for_number:
            return value
    raise InputError(f"{name}: expected {hint}, found {value!r}")
