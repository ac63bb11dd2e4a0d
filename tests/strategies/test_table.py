"""The table of strategies and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from clbench import strategies
from clbench.config import RunConfig
from clbench.distillation import DISTILLERS, DistillerInfo
from clbench.errors import InputError
from clbench.memory import DistilledMemory, ReservoirMemory
from clbench.strategies import STRATEGIES, StrategyInfo
from clbench.strategies.learner import TensorLearner
from clbench.strategies.table import RESERVOIRS
from tests import tiny_stream
from tests.telling import Telling
from tests.tiny_stream import SPEC

ROOT = Path(__file__).parent.parent.parent


def test_names() -> None:
    memories = ("random", "reservoir", "herding", "dm", "dam", "kip", "frepo", "pad", "bptt")
    expected = {f"{m}_{way}" for m in memories for way in ("replay", "gdumb")}
    field = {"er_ace", "derpp", "agem", "mir", "ewc", "si", "lwf", "icarl", "bic"}
    assert set(STRATEGIES) == expected | field | {"naive", "cumulative"}
    assert all(name == info.name and info.summary for name, info in STRATEGIES.items())


@pytest.mark.parametrize("name", STRATEGIES)
def test_memory_of_each(name: str) -> None:
    memory = strategies.make_memory(tiny_stream.config(name), SPEC)
    kind = STRATEGIES[name].memory
    if kind is None:
        assert memory is None
    elif kind in RESERVOIRS:
        assert isinstance(memory, ReservoirMemory)
    else:
        assert isinstance(memory, DistilledMemory)
    if memory is not None:
        soft = memory.label_bytes if name.startswith(("pad", "bptt")) else 0
        assert memory.share_bytes == 3 * (64 + soft)
    assert isinstance(
        strategies.build(tiny_stream.config(name), SPEC, memory=memory), TensorLearner
    )


MIXED = [name for name in STRATEGIES.names() if name not in STRATEGIES]


def test_methods_of_the_field_take_every_other_memory() -> None:
    memories = ("random", "reservoir", "herding", "dm", "dam", "kip", "frepo", "pad", "bptt")
    methods = ("er_ace", "agem", "mir", "icarl", "bic")
    own = {*(f"reservoir_{m}" for m in ("er_ace", "agem", "mir")), "herding_icarl", "herding_bic"}
    assert set(MIXED) == {f"{m}_{way}" for m in memories for way in methods} - own
    for name in ("herding_icarl", "reservoir_mir", "kip_derpp", "kip_lwf"):
        with pytest.raises(InputError, match=f"unknown strategy '{name}'.*another memory, as kip_"):
            STRATEGIES.find(name)


METHODS = ["kip_mir", "herding_er_ace", "dm_agem", "random_icarl", "dam_bic"]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_on_another_memory_learns_from_it(name: str) -> None:
    config = tiny_stream.config(name)
    memory = strategies.make_memory(config, SPEC)
    assert isinstance(memory, DistilledMemory)
    prefix, _, method = name.partition("_")
    assert (
        memory.distiller
        == strategies.make_memory(tiny_stream.config(f"{prefix}_replay"), SPEC).distiller
    )
    learner = strategies.build(config, SPEC, memory=memory)
    assert type(learner.method) is type(_built(method).method)


def _built(name: str) -> Any:
    config = tiny_stream.config(name)
    return strategies.build(config, SPEC, memory=strategies.make_memory(config, SPEC))


def test_methods_want_hard_labels() -> None:
    with pytest.raises(InputError, match="pad_mir: expected hard labels.*--no-soft-labels"):
        _built("pad_mir")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'dam_replay'"):
        STRATEGIES.find("dam_repaly")
    with pytest.raises(InputError, match="a memory \\(random\\), found none"):
        strategies.build(tiny_stream.config("random_replay"), SPEC)
    memory = strategies.make_memory(tiny_stream.config("random_replay"), SPEC)
    with pytest.raises(InputError, match="no memory, found DistilledMemory"):
        strategies.build(tiny_stream.config("naive"), SPEC, memory=memory)


def _own(config: Any, spec: Any, *, device: Any, memory: Any, plugins: Any, evaluator: Any) -> Any:
    return TensorLearner(
        config=config.learner, spec=spec, seed=config.seed, device=device, plugins=plugins
    )


def _wrong(*arguments: Any, **options: Any) -> Any:
    return object()


OWN = StrategyInfo("own", "a third party's", None, "naive", _own)
WRONG = StrategyInfo("wrong", "a third party's", None, "naive", _wrong)


def test_third_parties_add_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint(n.lower(), f"{__name__}:{n}", STRATEGIES.group) for n in ("OWN", "WRONG")]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points)
    assert isinstance(strategies.build(tiny_stream.config("own"), SPEC), TensorLearner)
    with pytest.raises(InputError, match="TensorLearner, found object"):
        strategies.build(tiny_stream.config("wrong"), SPEC)


FOO = DistillerInfo(Telling, "tells all", "here", prefix="foo", images="what was told")
PLAIN = DistillerInfo(Telling, "tells all", "here")


def test_a_third_partys_distiller_brings_its_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"foo_method": "FOO", "plain": "PLAIN", "broken": "NOT_THERE"}
    points = [EntryPoint(n, f"{__name__}:{v}", DISTILLERS.group) for n, v in named.items()]
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: points if group == DISTILLERS.group else []
    )
    assert list(STRATEGIES.loaded()[0]) == [*STRATEGIES, "foo_replay", "foo_gdumb"]
    assert {"foo_gdumb", "foo_mir", "foo_bic"} <= set(STRATEGIES.names())
    assert STRATEGIES.find("foo_mir").memory == "foo_method"
    assert STRATEGIES.find("foo_gdumb") == StrategyInfo(
        "foo_gdumb", "fresh learner (GDumb 2020) on what was told", "foo_method", "gdumb"
    )
    assert strategies.distiller_of("foo_replay") == "foo_method"
    memory = strategies.make_memory(RunConfig("foo_replay"), SPEC)
    assert isinstance(memory, DistilledMemory) and isinstance(memory.distiller, Telling)
    read = strategies.read_config({"strategy": "foo_replay"})
    assert read.distillation.distiller == "foo_method"
    for name in ("foo_naive", "plain_replay", "_replay", "foo"):
        with pytest.raises(InputError, match=f"unknown strategy '{name}'"):
            STRATEGIES.find(name)


def test_a_broken_entry_is_told_and_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"own": "OWN", "broken": "NOT_THERE", "number": "ROOT"}
    points = [EntryPoint(n, f"{__name__}:{v}", STRATEGIES.group) for n, v in named.items()]
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: points if group == STRATEGIES.group else []
    )
    entries, faults = STRATEGIES.loaded()
    assert list(entries) == [*STRATEGIES, "own"] and entries["own"] is OWN
    first, second = faults
    assert first.startswith("broken: the entry point ") and "AttributeError" in first
    assert second.startswith("number: expected the entry point ") and "StrategyInfo" in second


def test_no_second_copy_under_the_folder_name() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import strategies"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1 and "clbench.strategies" in done.stderr


def test_the_table_is_light() -> None:
    code = "import sys, clbench.strategies; print('avalanche' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
