"""Configurations as people and older versions wrote them, made one of today."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from clbench.config import (
    IMAGES_PER_CLASS,
    DifficultySettings,
    MatchingSettings,
    RunConfig,
    TrajectorySettings,
)
from clbench.distillation.table import DISTILLERS
from clbench.errors import InputError
from clbench.fields import Config, check, known_fields
from clbench.strategies.table import ALIASES, STRATEGIES, distiller_of


def read_config(values: Mapping[str, Any], base: RunConfig | None = None) -> RunConfig:
    """Return a nested dictionary laid over ``base`` (the defaults), with its strategy's distiller.

    What is absent takes its default: a field that an older report lacks, too. The flat
    distillation of 0.1 (before methods had settings of their own) is read as well.

    Raises:
        InputError: an unknown field, or a value of the wrong type or range.
    """
    tree = dict(values)
    config = base or RunConfig()
    strategy = tree.get("strategy", config.strategy)
    if not isinstance(strategy, str):
        raise InputError(f"strategy: expected a name, found {strategy!r}")
    tree["strategy"] = strategy = ALIASES.get(strategy, strategy)
    found = tree.get("distillation")
    if isinstance(found, Mapping):
        distiller = distiller_of(strategy) or found.get("distiller", config.distillation.distiller)
        check(isinstance(distiller, str), "distiller", "a name", distiller)
        tree["distillation"] = of_distiller(found, distiller)
    remembered = tree.get("memory")
    if isinstance(remembered, Mapping):
        tree["memory"] = _with_codec(remembered)
    older = tree.pop("evaluation", None)
    if older is not None:
        check(isinstance(older, Mapping), "evaluation", "an object of settings", older)
        tree.setdefault("evaluations", _older_evaluations(older))
    return resolved(config.replace(strategy=strategy)).updated(tree)


def resolved(config: RunConfig) -> RunConfig:
    """Return the configuration with the distiller and the settings that its strategy names.

    Raises:
        InputError: no such strategy, or settings of another method that would be lost.
    """
    config = config.replace(strategy=ALIASES.get(config.strategy, config.strategy))
    config = config.replace(method=_own_settings(config))
    distiller = distiller_of(config.strategy)
    if distiller is None or distiller == config.distillation.distiller:
        return config
    return config.replace(distillation=config.distillation.for_distiller(distiller))


def _own_settings(config: RunConfig) -> Config | None:
    """Return the settings of the strategy itself, those given or the defaults of its row."""
    own, given = STRATEGIES.find(config.strategy).settings, config.method
    if given is None or type(given) is type(own):
        return own if given is None else given
    expected = "none, because it has no settings" if own is None else type(own).__name__
    raise InputError(
        f"method: expected settings of {config.strategy} ({expected}), found "
        f"{type(given).__name__}; leave them out"
    )


def of_distiller(values: Mapping[str, Any], distiller: str) -> dict[str, Any]:
    """Return (part of) a distillation's dictionary as one of ``distiller``, in today's form.

    Settings of another method are left out: they had no say in a run of this one.
    """
    tree = dict(values)
    settings = DISTILLERS.find(distiller).settings
    matching, trajectory = _names(MatchingSettings) - {"difficulty"}, tree.pop("trajectory", None)
    flat = {name: tree.pop(name) for name in list(tree) if name in matching}
    if "settings" in tree:
        named = tree.get("distiller", distiller)
        check(isinstance(named, str), "distiller", "a name", named)
        check(not flat, "distillation", "settings in `settings` alone", ", ".join(flat))
        same = named == distiller or type(DISTILLERS.find(named).settings) is type(settings)
        if not same:
            del tree["settings"]
    elif flat or trajectory is not None:
        tree["settings"] = _older(flat, trajectory or {}, type(settings))
    return {**tree, "distiller": distiller}


def _older(flat: dict[str, Any], trajectory: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Return settings of ``kind`` from the fields that one configuration held for all methods."""
    check(isinstance(trajectory, Mapping), "trajectory", "an object of settings", trajectory)
    experts = trajectory.get("experts", {})
    check(isinstance(experts, Mapping), "experts", "an object of settings", experts)
    judges = {name: value for name, value in experts.items() if name in _names(DifficultySettings)}
    start = {**flat, **({"difficulty": judges} if judges else {})}
    if kind is MatchingSettings:
        return start
    if kind is TrajectorySettings:
        # None stood for the method's own choice.
        own = ("growing_start", "data_scheduler", "mask_ratio", "soft_labels")
        given = {k: v for k, v in trajectory.items() if not (k in own and v is None)}
        return {**given, **({"start": start} if start else {})}
    return {}


def _with_codec(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a memory's dictionary with a codec where it has the packing and storage of 0.1.

    There ``images_per_class`` counted slots: of 4 bytes a pixel in float32.
    """
    tree = dict(values)
    older = "packing" in tree or "storage" in tree
    packing, storage = tree.pop("packing", 1), tree.pop("storage", "uint8")
    whole = isinstance(packing, int) and not isinstance(packing, bool) and packing >= 1
    check(whole, "packing", "a whole number of at least 1", packing)
    check(storage in ("uint8", "float32"), "storage", "uint8 or float32", storage)
    if storage == "float32":
        check(packing == 1, "packing", "1 with float32 storage, which no codec packs", packing)
        num = tree.get("images_per_class", IMAGES_PER_CLASS)
        check(isinstance(num, int), "images_per_class", "a whole number", num)
        return {**tree, "images_per_class": 4 * num, "codec": "float32"}
    if packing > 1:
        return {**tree, "codec": f"tiles:factor={packing}"}
    return {**tree, "codec": "raw"} if older else tree


# Name of an evaluation -> the fields that it had in one configuration for all.
_EVALUATIONS = {
    "cross_architecture": ("networks", "num_networks"),
    "architecture_search": ("space", "num_candidates", "full_epochs"),
}


def _older_evaluations(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    known = [one for name, fields in _EVALUATIONS.items() for one in (name, *fields)]
    known_fields("evaluation", map(str, values), known)
    return {
        name: {field: values[field] for field in fields if field in values}
        for name, fields in _EVALUATIONS.items()
        if values.get(name)
    }


def _names(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}
