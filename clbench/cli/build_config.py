"""From the command line to a `RunConfig`: file, then preset, then options."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.cli.options import METHOD
from clbench.config import RunConfig
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.table import DISTILLERS
from clbench.errors import InputError
from clbench.fields import Config
from clbench.store.reading import read_json, read_limited
from clbench.strategies import STRATEGIES, read_config

_CAPACITY = ("memory__images_per_class", "memory__capacity_bytes")
_DISTILLER = "distillation__distiller"


def build_config(
    base: RunConfig, values: Mapping[str, Any], *, file: Path | None = None, loop: str | None = None
) -> RunConfig:
    """Lay a configuration file, a preset of the distillation and options over ``base``.

    Args:
        base: the command's defaults.
        values: option name (see `clbench.cli.options`) to value; None means not given.
        file: JSON of (part of) a `RunConfig`.
        loop: a preset of the distiller; fields not named there go back to their defaults.

    Raises:
        InputError: a file that is no configuration, options that exclude each other, or values
            that `RunConfig` refuses.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if all(name in given for name in _CAPACITY):
        raise InputError(
            "expected --images-per-class or --memory-bytes, found both; leave one of them out"
        )
    config = _from_file(base, given, file)
    if loop is not None:
        config = config.replace(distillation=config.distillation.with_preset(loop))
    if _CAPACITY[0] in given:
        given[_CAPACITY[1]] = None
    methods = {name.removeprefix(METHOD): given.pop(name) for name in list(given) if METHOD in name}
    if "strategy" in given:
        given["strategy"] = config.strategy  # whatever it is called beside its name
    config = config.updated(tree_of(given))
    return config.replace(
        distillation=with_flags(config.distillation, methods),
        method=_with_own_flags(config, methods),
    )


def _from_file(base: RunConfig, given: dict[str, Any], file: Path | None) -> RunConfig:
    """The file over ``base``, for the strategy or the distiller that an option names."""
    if _DISTILLER in given:
        return base.replace(distillation=base.distillation.for_distiller(given[_DISTILLER]))
    tree = {} if file is None else read_config_file(file)
    if "strategy" in given:
        if tree.get("strategy", given["strategy"]) != given["strategy"]:
            tree.pop("method", None)  # settings of the file's own strategy
        tree["strategy"] = given["strategy"]
    return read_config(tree, base)


def tree_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested dictionary of names whose parts are joined by ``__``."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split("__")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        # An empty object asks for something with its defaults.
        place[last] = {**value, **place.get(last, {})} if isinstance(value, dict) else value
    return tree


def with_flags(config: DistillationConfig, flags: Mapping[str, Any]) -> DistillationConfig:
    """Return the configuration with every setting of its method that one of ``flags`` names.

    Args:
        config: of a method.
        flags: flag, ``_`` for dashes, to value; those of other methods are passed over.
    """
    places = _places(config)
    tree: dict[str, Any] = {}
    for flag, value in flags.items():
        for path in places.get(flag, ()):
            *above, last = path.split(".")
            place = tree
            for part in above:
                place = place.setdefault(part, {})
            place[last] = value
    return config.updated({"settings": tree}) if tree else config


def _places(config: DistillationConfig) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for setting in DISTILLERS.find(config.distiller).settings_as_options(config.distiller):
        found.setdefault(setting.flag.replace("-", "_"), []).append(setting.path)
    return found


def _with_own_flags(config: RunConfig, flags: Mapping[str, Any]) -> Config | None:
    """Return the strategy's own settings with those that one of ``flags`` names."""
    if config.method is None:
        return None
    rows = STRATEGIES.find(config.strategy).settings_as_options()
    places = {row.flag.replace("-", "_"): row.path for row in rows}
    found = {places[flag]: value for flag, value in flags.items() if flag in places}
    return config.method.updated(tree_of({k.replace(".", "__"): v for k, v in found.items()}))


def without_effect(
    configs: Sequence[DistillationConfig],
    values: Mapping[str, Any],
    *,
    strategies: Iterable[str] = (),
) -> list[str]:
    """Return the flags given that set nothing in any of these configurations or strategies."""
    known = {flag for config in configs for flag in _places(config)}
    rows = [row for name in strategies for row in STRATEGIES.find(name).settings_as_options()]
    known |= {row.flag.replace("-", "_") for row in rows}
    flags = [n.removeprefix(METHOD) for n, v in values.items() if METHOD in n and v is not None]
    return [f"--{flag.replace('_', '-')}" for flag in flags if flag not in known]


def _toml(file: Path) -> Any:
    try:
        return tomllib.loads(read_limited(file).decode())
    except RecursionError:
        raise ValueError("more levels than can be read") from None


def read_config_file(file: Path) -> dict[str, Any]:
    """Return the object in a file of JSON or TOML: (part of) a configuration, as it stands there.

    Raises:
        InputError: no such file, or something else in it.
    """
    try:
        values = _toml(file) if file.suffix == ".toml" else read_json(file)
    except OSError as error:
        raise InputError(f"--config {file}: {error.strerror}; `clbench run` writes one") from None
    except ValueError as error:
        form = "TOML" if file.suffix == ".toml" else "JSON"
        raise InputError(f"{file}: expected the {form} of a configuration, found {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: expected a JSON object, found {type(values).__name__}")
    try:
        read_config(values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return values
