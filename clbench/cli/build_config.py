"""From the command line to a `RunConfig`: file, then preset, then options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clbench.config import RunConfig
from clbench.errors import InputError

# paper: the authors' code (BatchNorm, p = 1, 20000 networks of one update each, its factor 100 on
# the loss moved into the step size). course: the course report's table, MNIST row. course_pad: what
# the same report calls PAD, matching of deep features from easy images; trajectories have no part.
LOOPS: dict[str, dict[str, Any]] = {
    "amortised": {},
    "paper": {
        "network": {"name": "convnet", "width": 128, "depth": 3, "norm": "batch"},
        "num_networks": 20000,
        "updates_per_network": 1,
        "resample": True,
        "batch_real": 256,
        "learning_rate": 100.0,
    },
    "course": {
        "network": {"name": "convnet", "width": 128, "depth": 3, "norm": "instance"},
        "num_networks": 100,
        "updates_per_network": 10,
        "resample": True,
        "network_steps": 50,
        "batch_real": 256,
        "learning_rate": 0.1,
    },
}
LOOPS["course_pad"] = {**LOOPS["course"], "initialisation": "easy", "matched_layers": "deep"}


def _pad_cifar10(start: int, last_start: int, mask_ratio: float) -> dict[str, Any]:
    """PAD's table for CIFAR-10 (Li et al. 2024): 100 experts of 100 epochs, days of one GPU."""
    return {
        "network": {"name": "convnet", "width": 128, "depth": 3, "norm": "instance"},
        "trajectory": {
            "matched_start": "none",
            "normalise_gradient": False,
            "learning_rate": 1000.0,
            "decay": "none",
            "num_updates": 10000,
            "student_steps": 80,
            "expert_snapshots": 2,
            "batch_synthetic": None,
            "first_start": 0,
            "initial_last_start": start,
            "last_start": last_start,
            "mask_ratio": mask_ratio,
            "step_size": 0.01,
            "experts": {
                "num_experts": 100,
                "epochs": 100,
                "snapshots_per_epoch": 1,
                "batch_size": 256,
                "learning_rate": 0.01,
                "num_difficulty_networks": 10,
                "addition_end": 0.2,
            },
        },
    }


LOOPS["pad_cifar10_ipc1"] = _pad_cifar10(4, 4, 0.0)
LOOPS["pad_cifar10_ipc10"] = _pad_cifar10(10, 20, 0.25)
LOOPS["pad_cifar10_ipc50"] = _pad_cifar10(20, 40, 0.25)


def build_config(
    base: RunConfig, values: dict[str, Any], *, file: Path | None = None, loop: str | None = None
) -> RunConfig:
    """Lay a configuration file, a preset of the distillation loop and options over ``base``.

    Args:
        base: the command's defaults.
        values: option name (dotted path with ``__`` for dots) to value; None means not given.
        file: JSON of (part of) a `RunConfig`.
        loop: key of `LOOPS`; its fields not named there go back to the defaults. The loop of
            trajectory matching is another one and stays as it is.

    Raises:
        InputError: a file that is no configuration, options that exclude each other, or values
            that `RunConfig` refuses.
    """
    given = {name: value for name, value in values.items() if value is not None}
    images, capacity = "memory__images_per_class", "memory__capacity_bytes"
    if images in given and capacity in given:
        raise InputError(
            "expected --images-per-class or --memory-bytes, found both; leave one of them out"
        )
    tree = base.to_dict()
    if file is not None:
        _lay(tree, read_config(file))
    if loop is not None:
        kept = {name: tree["distillation"][name] for name in ("distiller", "trajectory")}
        tree["distillation"] = {**RunConfig().distillation.to_dict(), **kept}
        _lay(tree["distillation"], LOOPS[loop])
    if images in given:
        given[capacity] = None
    _forget_sizes(tree, given)
    for name, value in given.items():
        *path, last = name.split("__")
        place = tree
        for part in path:
            place = place[part]
        place[last] = value
    return RunConfig.from_dict(tree)


# Another network has other defaults: a width of 64 meant for a ConvNet is none of an MLP's.
def _forget_sizes(tree: dict[str, Any], given: dict[str, Any]) -> None:
    for path in ("learner", "distillation"):
        name = given.get(f"{path}__network__name")
        network = tree[path]["network"]
        if name is not None and name != network["name"]:
            tree[path]["network"] = {"name": name}


def _lay(tree: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        renamed = name == "network" and value.get("name") not in (None, tree[name]["name"])
        if isinstance(value, dict) and isinstance(tree.get(name), dict) and not renamed:
            _lay(tree[name], value)
        else:
            tree[name] = value


def read_config(file: Path) -> dict[str, Any]:
    """The JSON object in ``file``: (part of) a configuration, as it stands there.

    Raises:
        InputError: no such file, or something else in it.
    """
    try:
        values = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: expected the JSON of a configuration, found {error}") from None
    except OSError as error:
        raise InputError(f"--config {file}: {error.strerror}; `clbench run` writes one") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: expected a JSON object, found {type(values).__name__}")
    try:
        RunConfig.from_dict(values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return values
