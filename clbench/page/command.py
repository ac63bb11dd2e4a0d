"""From a configuration back to the command that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clbench.config import RunConfig
from clbench.distillation.table import DISTILLERS
from clbench.errors import InputError
from clbench.evaluation.table import EVALUATIONS
from clbench.fields import Config, Setting, settings_of
from clbench.strategies import read_config

Tree = dict[str, Any]
_METHOD = "distillation.settings"


class _NoOption(Exception):
    """No option gives this value."""


@dataclass(frozen=True)
class _Option:
    """Words of the command line, and the part of a configuration that they make."""

    words: list[str]
    tree: Tree


def command_of(config: RunConfig) -> list[str] | None:
    """Return the words of the ``clbench run`` command that makes a configuration.

    Options whose value is the strategy's default are left out. The words are read back here, so
    that they make this very configuration or none.

    Args:
        config: of a run, as its report holds it.

    Returns:
        The words, to be joined by `shlex.join`; None where no options make it: a value that only
        Python or a file of ``--config`` can give, or a strategy that is not installed.
    """
    try:
        base = read_config({"strategy": config.strategy})
        # Another network brings its own sizes, so names come before all else.
        base = base.updated(_names(base, config))
        found = {**_run_options(base, config), **_method_options(base, config)}
        evaluated = _evaluations(config)
        made = base
        for option in (*found.values(), evaluated):
            made = made.updated(option.tree)
    except (_NoOption, InputError):
        return None
    if made != config:
        return None
    words = ["clbench", "run", "--strategy", config.strategy]
    return [*words, *(word for option in (*found.values(), evaluated) for word in option.words)]


def _names(base: RunConfig, config: RunConfig) -> Tree:
    tree: Tree = {}
    for path in ("learner.network.name", "distillation.network.name"):
        if _at(base, path) != _at(config, path):
            _put(tree, path, _at(config, path))
    return tree


def _run_options(base: RunConfig, config: RunConfig) -> dict[str, _Option]:
    plain = read_config({"strategy": config.strategy})
    found = {}
    for setting in settings_of(base):
        if setting.path in ("strategy", "distillation.distiller") or not setting.flag:
            continue
        value = _at(config, setting.path)
        named = setting.path.endswith("network.name")
        before = _at(plain, setting.path) if named else setting.default
        if value != before:
            tree: Tree = {}
            _put(tree, setting.path, value)
            found[setting.path] = _Option(_words(setting, value), tree)
    return found


def _method_options(base: RunConfig, config: RunConfig) -> dict[str, _Option]:
    """Options of the method's own settings; one flag may set several of them."""
    distiller = config.distillation.distiller
    found: dict[str, _Option] = {}
    for flag, settings in _by_flag(distiller).items():
        paths = [f"{_METHOD}.{setting.path}" for setting in settings]
        values = [_at(config, path) for path in paths]
        if all(value == _at(base, path) for value, path in zip(values, paths, strict=True)):
            continue
        tree: Tree = {}
        for path in paths:
            _put(tree, path, values[0])
        found[f"{_METHOD} {flag}"] = _Option(_words(settings[0], values[0]), tree)
    return found


def _by_flag(distiller: str) -> dict[str, list[Setting]]:
    found: dict[str, list[Setting]] = {}
    for setting in DISTILLERS.find(distiller).settings_as_options(distiller):
        found.setdefault(setting.flag, []).append(setting)
    return found


def _evaluations(config: RunConfig) -> _Option:
    tree: Tree = {}
    words = []
    for name, settings in config.evaluations.items():
        row = EVALUATIONS.find(name)
        tree[name] = {}
        for setting in row.run_settings(name):
            value = _at(settings, setting.path)
            if value != setting.default:
                _put(tree[name], setting.path, value)
                words += _words(setting, value)
    if not tree:
        return _Option([], {})
    names = ",".join(name.replace("_", "-") for name in tree)
    return _Option(["--evaluate", names, *words], {"evaluations": tree})


def _words(setting: Setting, value: Any) -> list[str]:
    if value is None:
        raise _NoOption
    if isinstance(value, bool):
        return [f"--{setting.flag}" if value else f"--no-{setting.flag}"]
    text = repr(value) if isinstance(value, float) else str(value)
    # A value that begins with a dash would be taken for an option.
    return [f"--{setting.flag}={text}"] if text[:1] == "-" else [f"--{setting.flag}", text]


def _at(config: Config, path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _put(tree: Tree, path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        tree = tree.setdefault(name, {})
    tree[last] = value
