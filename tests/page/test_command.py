"""The command of a run makes the configuration of that run, read back through the command line."""

import dataclasses

import click
import pytest

from clbench.cli.run import _configs
from clbench.cli.run import command as run_command
from clbench.config import (
    BenchmarkConfig,
    CrossArchitectureSettings,
    LearnerConfig,
    MemoryConfig,
    NetworkConfig,
    RunConfig,
    SetTrainingConfig,
)
from clbench.distillation import DISTILLERS
from clbench.fields import Config
from clbench.page.command import command_of
from clbench.strategies import STRATEGIES, read_config

STRATEGY_NAMES = STRATEGIES.names()


def read_back(words: list[str]) -> RunConfig:
    """What `clbench run` makes of these words."""
    assert words[:2] == ["clbench", "run"]
    context = run_command.make_context("run", words[2:])
    (config,) = _configs(context.params)
    return config


def changed(config: Config) -> Config:
    """Every number of a configuration and of those inside it moved, every choice the next one."""
    from typing import Literal, get_args, get_origin, get_type_hints

    hints, values = get_type_hints(type(config)), {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        options = get_args(hints[field.name]) or (hints[field.name],)
        literal = [o for o in (hints[field.name], *options) if get_origin(o) is Literal]
        if isinstance(value, Config):
            values[field.name] = changed(value)
        elif literal:
            names = get_args(literal[0])
            values[field.name] = names[(names.index(value) + 1) % len(names) if value else 0]
        elif isinstance(value, bool):
            values[field.name] = not value
        elif isinstance(value, int):
            values[field.name] = value + 1
        elif isinstance(value, float):
            values[field.name] = value * 0.875 + 0.0625
        elif value is None and int in options:
            values[field.name] = 7
    return config.replace(**values)


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_defaults_are_the_strategy_alone(strategy: str) -> None:
    config = read_config({"strategy": strategy})
    words = command_of(config)
    assert words == ["clbench", "run", "--strategy", strategy]
    assert read_back(words) == config


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_every_setting_is_read_back(strategy: str) -> None:
    config = read_config({"strategy": strategy, "seed": 11, "device": "cpu"})
    config = config.replace(
        benchmark=changed(BenchmarkConfig("split_mnist")).replace(validation_fraction=0.25),
        learner=changed(LearnerConfig(NetworkConfig("convnet"))),
        memory=MemoryConfig(
            capacity_bytes=1961, codec="levels:side=14,levels=2", real_share=0.125,
            code_current="yes",
        ),
        set_training=changed(SetTrainingConfig()),
        distillation=changed(config.distillation).replace(
            settings=config.distillation.settings, distiller=config.distillation.distiller
        ),
    )  # fmt: skip
    words = command_of(config)
    assert words is not None
    assert read_back(words) == config
    assert {"--seed", "--learning-rate", "--codec", "--shuffle-classes"} <= set(words)


@pytest.mark.parametrize("distiller", [name for name, row in DISTILLERS.items() if row.prefix])
def test_a_method_s_own_settings_are_read_back(distiller: str) -> None:
    """One at a time: some exclude each other."""
    config = read_config({"strategy": f"{DISTILLERS[distiller].prefix}_replay"})
    settings = config.distillation.settings
    moved, tried = changed_one_by_one(settings), 0
    for one in moved:
        config = config.replace(distillation=config.distillation.replace(settings=one))
        words = command_of(config)
        # Two settings that share an option cannot be told apart on the command line.
        if words is not None:
            assert read_back(words) == config
            tried += 1
    assert tried >= 0.7 * len(moved)


def changed_one_by_one(settings: Config) -> list[Config]:
    every, found = changed(settings), []
    for field in dataclasses.fields(settings):
        value, new = getattr(settings, field.name), getattr(every, field.name)
        inner = changed_one_by_one(value) if isinstance(value, Config) else [new]
        found += [settings.replace(**{field.name: one}) for one in inner if one != value]
    return found


def test_evaluations_are_read_back() -> None:
    config = RunConfig().updated(
        {"evaluations": {"cross_architecture": {"networks": "mlp,lenet"}, "set": {}}}
    )
    words = command_of(config)
    assert words is not None and "set" in words[words.index("--evaluate") + 1]
    assert read_back(words) == config
    assert isinstance(config.evaluations["cross_architecture"], CrossArchitectureSettings)


def test_what_no_option_gives_has_no_command() -> None:
    """The network of the same name without the width that the default has."""
    config = read_config({"strategy": "dam_replay"})
    network = config.distillation.network.replace(width=None)
    odd = config.replace(distillation=config.distillation.replace(network=network))
    assert command_of(odd) is None
    other = config.distillation.replace(network=NetworkConfig("mlp"))
    words = command_of(config.replace(distillation=other))
    assert words == ["clbench", "run", "--strategy", "dam_replay", "--distill-network", "mlp"]


def test_a_value_that_begins_with_a_dash_is_no_option() -> None:
    config = RunConfig(benchmark=BenchmarkConfig("-x"))
    words = command_of(config)
    assert words is not None and "--benchmark=-x" in words
    assert read_back(words) == config


def test_read_back_refuses_what_is_no_option() -> None:
    with pytest.raises(click.UsageError):
        read_back(["clbench", "run", "--no-such-option", "1"])
