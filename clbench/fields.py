"""Frozen configurations: a field says everything about itself, once.

A field made by `setting` carries its help, its flag, its unit and what None means; its type says
which values it takes. The command line, its help and completion, and the JSON of a run are read off
these fields. `nested` gives the fields of a configuration inside another one a heading and a prefix
of their flags.
"""

from __future__ import annotations

import copy
import dataclasses
import types as python_types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from clbench.errors import InputError, did_you_mean

_ABOUT = "clbench"  # key of a field's metadata
_FLOAT32_MAX = 3.4e38  # All is computed in single precision.
_A_NUMBER = f"a number up to {_FLOAT32_MAX:g}"


@dataclass(frozen=True)
class _About:
    help: str = ""
    flag: str | None = None
    none: str = ""
    unit: str = ""
    table: str = ""
    common: bool = False
    heading: str = ""
    prefix: str = ""
    whose: str = ""
    hidden: bool = False
    late: bool = False


def setting(
    default: Any,
    help: str,
    *,
    flag: str | None = None,
    none: str = "",
    unit: str = "",
    table: str = "",
    common: bool = False,
    heading: str = "",
) -> Any:
    """Declare a field of a configuration.

    Args:
        default: its default.
        help: one sentence; ``{whose}`` stands for what `nested` says of the configuration.
        flag: on the command line, without the two dashes; None is the field's name with dashes.
        none: what None means.
        unit: of a number, as "s" or "bytes".
        table: of the names that it takes ("networks"), for completion.
        common: among the options that the short help shows.
        heading: in help; "" is that of the configuration around it.
    """
    about = _About(help, flag, none, unit, table, common, heading=heading)
    return dataclasses.field(default=default, metadata={_ABOUT: about})


def late(declared: Any) -> Any:
    """Return a `setting` that older runs were made without.

    While it has its default `Config.to_dict` lacks it, so that the fingerprints of these runs stay.
    """
    about = dataclasses.replace(declared.metadata[_ABOUT], late=True)
    return dataclasses.field(default=declared.default, metadata={_ABOUT: about})


def nested(
    default: Config,
    *,
    heading: str = "",
    prefix: str = "",
    whose: str = "",
    hidden: bool = False,
    common: bool = True,
) -> Any:
    """Declare a field that holds another configuration.

    Args:
        default: its default; configurations are frozen, so one instance serves all.
        heading: in help, of its fields; "" is that of the configuration around it.
        prefix: of the flags of its fields.
        whose: words for ``{whose}`` in the help of its fields.
        hidden: its fields are no options.
        common: False keeps all its fields out of the short help.
    """
    about = _About(heading=heading, prefix=prefix, whose=whose, hidden=hidden, common=common)
    return dataclasses.field(default_factory=lambda: default, metadata={_ABOUT: about})


@dataclass(frozen=True)
class Setting:
    """One field of a configuration, as the command line sees it.

    Attributes:
        path: dotted, from the outermost configuration.
        flag: without the two dashes; "" where the field has no help and is no option.
        kind: int, float, str, bool, or the values that may be chosen.
        default: the configuration's own.
        help, none, unit, table, common: see `setting`.
        heading: see `nested`.
    """

    path: str
    flag: str
    kind: Any
    default: Any
    help: str
    none: str
    unit: str
    table: str
    common: bool
    heading: str


def settings_of(
    config: Config, *, path: str = "", prefix: str = "", heading: str = "", whose: str = ""
) -> Iterator[Setting]:
    """The settings of a configuration and of those inside it, in their order.

    Args:
        config: its values are the defaults shown.
        path: dotted, of the configuration itself.
        prefix: see `nested`, like ``heading`` and ``whose``.
        heading: of its own fields.
        whose: for their help.
    """
    hints = _hints(type(config))
    for field in dataclasses.fields(typing.cast(Any, config)):
        about: _About = field.metadata.get(_ABOUT, _About())
        value = getattr(config, field.name)
        place = f"{path}.{field.name}" if path else field.name
        if isinstance(value, Config):
            if not about.hidden:
                inner = settings_of(
                    value,
                    path=place,
                    prefix=prefix + about.prefix,
                    heading=about.heading or heading,
                    whose=about.whose or whose,
                )
                for found in inner:
                    common = about.common and found.common
                    yield dataclasses.replace(found, common=common)
            continue
        flag = about.flag or field.name.replace("_", "-")
        yield Setting(
            place,
            prefix + flag if about.help else "",
            _kind(hints[field.name]),
            value,
            about.help.replace("{whose}", whose),
            about.none,
            about.unit,
            about.table,
            about.common,
            about.heading or heading,
        )


def _is_late(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get(_ABOUT, _About()).late)


def _plain(value: Any) -> Any:
    """A value of a configuration in dictionaries and lists of its own."""
    if isinstance(value, Config):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return copy.deepcopy(value)


def _kind(hint: Any) -> Any:
    for option in _options(hint):
        if typing.get_origin(option) is Literal:
            return typing.get_args(option)
        if option in (int, float, str, bool):
            return option
    return str


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


@dataclass(frozen=True)
class Config:
    """The base of every frozen configuration: checked on construction, to JSON and back."""

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for field in dataclasses.fields(self):
            value, found = getattr(self, field.name), _options(hints[field.name])
            choices = [
                c for o in found if typing.get_origin(o) is Literal for c in typing.get_args(o)
            ]
            if choices and not (value is None and python_types.NoneType in found):
                check(value in choices, field.name, "one of " + ", ".join(choices), value)
            elif isinstance(value, float):
                check(abs(value) <= _FLOAT32_MAX, field.name, _A_NUMBER, value)
        self._validate()

    def _validate(self) -> None:
        """Check ranges and relations; a subclass overrides this."""

    def to_dict(self) -> dict[str, Any]:
        """Return a plain nested dictionary; of late fields those that differ from the default."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if not _is_late(field) or getattr(self, field.name) != field.default
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the inverse of `to_dict`; absent fields take their defaults.

        Raises:
            InputError: an unknown field, or a value of the wrong type or range.
        """
        return cls().updated(values)

    def updated(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with the fields of a nested dictionary laid over it, checked anew.

        Raises:
            InputError: an unknown field, or a value of the wrong type or range.
        """
        hints = _hints(type(self))
        known_fields(type(self).__name__, map(str, values), hints)
        read = {
            name: _read(name, hints[name], value, getattr(self, name))
            for name, value in values.items()
        }
        return self.replace(**read)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked anew."""
        return dataclasses.replace(self, **changes)


def known_fields(whose: str, names: Iterable[str], known: Iterable[str]) -> None:
    """See that all names are known.

    Raises:
        InputError: some are not; the nearest known name is told.
    """
    expected = list(known)
    unknown = sorted(set(names) - set(expected))
    if unknown:
        found = ", ".join(map(repr, unknown)) + did_you_mean(unknown[0], expected)
        raise InputError(f"{whose}: expected fields {', '.join(expected)}, found {found}")


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(kind: type) -> dict[str, Any]:
    """The types of a configuration's fields; working them out compiles each again."""
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _options(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (typing.Union, python_types.UnionType):
        return list(typing.get_args(hint))
    return [hint]


def _read(name: str, hint: Any, value: Any, before: Any) -> Any:
    for option in _options(hint):
        if isinstance(option, type) and issubclass(option, Config) and isinstance(value, Mapping):
            return (before if isinstance(before, option) else option()).updated(value)
        if option is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        kind = str if typing.get_origin(option) is Literal else option
        truth_for_number = kind is int and isinstance(value, bool)
        if isinstance(kind, type) and isinstance(value, kind) and not truth_for_number:
            return value
    raise InputError(f"{name}: expected {_words(hint)}, found {value!r}")


def _words(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    words = []
    for option in _options(hint):
        if typing.get_origin(option) is Literal:
            words.append("one of " + ", ".join(typing.get_args(option)))
        elif isinstance(option, type) and issubclass(option, Config):
            words.append("an object of settings")
        else:
            words.append(
                "null" if option is python_types.NoneType else names.get(option, str(option))
            )
    return " or ".join(words)
