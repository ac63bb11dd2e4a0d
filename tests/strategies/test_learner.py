"""Our learner in Avalanche's loop: a plain loop's numbers, every callback, optimiser, GDumb."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from clbench.machine import compat

compat.prepare()

from avalanche.core import SupervisedPlugin  # noqa: E402
from avalanche.evaluation.metrics import accuracy_metrics  # noqa: E402
from avalanche.training.plugins import EvaluationPlugin  # noqa: E402

from clbench import networks, strategies  # noqa: E402
from clbench.config import LearnerConfig, MemoryConfig  # noqa: E402
from clbench.seeding import derive, generator  # noqa: E402
from clbench.strategies.batches import MemoryBatches, TensorBatches  # noqa: E402
from clbench.strategies.learner import GDumbLearner, TensorLearner  # noqa: E402
from clbench.training import accuracy, train_on_set  # noqa: E402
from tests import tiny_stream  # noqa: E402
from tests.tiny_stream import SPEC  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)


def make(name: str, plugins: Any = (), evaluator: Any = None, **changes: Any) -> TensorLearner:
    config = tiny_stream.config(name, **changes)
    memory = strategies.make_memory(config, SPEC)
    return strategies.build(config, SPEC, memory=memory, plugins=plugins, evaluator=evaluator)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


class Calls(SupervisedPlugin):
    """Counts callbacks and looks into batches."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.labels: list[list[int]] = []
        self.states: list[int] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("before_", "after_")):
            return lambda strategy, **_: self.called(name, strategy)
        return super().__getattribute__(name)

    def called(self, name: str, strategy: Any) -> None:
        self.counts[name] += 1
        if name == "after_training_iteration":
            self.labels.append(strategy.mb_y.tolist())
        if name == "before_training_exp":
            self.states.append(sum(bool(s) for s in strategy.optimizer.state.values()))


def test_replay_equals_a_plain_loop() -> None:
    config = tiny_stream.config("random_replay")
    memory = strategies.make_memory(config, SPEC)
    assert memory is not None
    learner = strategies.build(config, SPEC, memory=memory)
    stream = tiny_stream.stream()
    network = networks.build(config.learner.network, SPEC, seed=config.seed)
    held: Any = None
    for k, experience in enumerate(stream.streams.train):
        learner.train(experience, eval_streams=[])
        joined = None
        if held is not None:
            images = SPEC.normalise(held.images)
            joined = MemoryBatches(images, held.labels, 16, generator(0, "memory_batches", k))
        batches = TensorBatches(
            stream.tensors("train", k),
            SPEC,
            16,
            generator=generator(0, "batches", k),
            memory=joined,
        )
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        for _ in range(8):
            for x, y, _tasks in batches:
                optimizer.zero_grad()
                F.cross_entropy(network(x), y).backward()
                optimizer.step()
        held = memory.contents()
    assert same(learner.model, network)
    assert learner.num_trained_images == 8 * (3 * 80 + 2 * 5 * 16)


def test_callbacks_and_contents_of_batches() -> None:
    calls = Calls()
    learner = make("herding_replay", plugins=[calls])
    for experience in tiny_stream.stream().streams.train:
        learner.train(experience)
    learner.eval(tiny_stream.stream().streams.test)
    steps = 3 * 8 * 5
    assert calls.counts["before_training_exp"] == calls.counts["after_training_exp"] == 3
    assert calls.counts["before_training_epoch"] == calls.counts["after_training_epoch"] == 24
    for name in ("training_iteration", "forward", "backward", "update"):
        assert calls.counts[f"before_{name}"] == calls.counts[f"after_{name}"] == steps, name
    for name in ("eval", "eval_exp", "eval_iteration", "eval_forward"):
        assert calls.counts[f"after_{name}"] > 0, name
    first, second, third = (calls.labels[start : start + 40] for start in (0, 40, 80))
    assert all(set(batch) <= {0, 1} and len(batch) == 16 for batch in first)
    for batches, current, old in ((second, {2, 3}, 2), (third, {4, 5}, 4)):
        for batch in batches:
            assert len(batch) == 32 and set(batch[:16]) <= current
            counts = Counter(batch[16:])
            assert set(counts) == set(range(old))
            assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("per_class", [1, 2])
@pytest.mark.parametrize("name", ["random_replay", "herding_gdumb", "dm_replay"])
def test_few_images_per_class(name: str, per_class: int) -> None:
    # One memory image of each class in batches of 16: each repeats.
    calls = Calls()
    learner = make(name, plugins=[calls], memory=MemoryConfig(images_per_class=per_class))
    for experience in tiny_stream.stream().streams.train:
        learner.train(experience, eval_streams=[])
    if "replay" in name:
        assert len(calls.labels[-1]) == 32 and set(calls.labels[-1][16:]) == {0, 1, 2, 3}
    scores = [accuracy(learner.model, tiny_stream.stream().tensors("test", k), SPEC, CPU)
              for k in range(3)]  # fmt: skip
    assert sum(scores) / 3 > 0.5


@pytest.mark.parametrize(("reset", "expected"), [(True, [0, 0, 0]), (False, [0, 4, 4])])
def test_optimiser_state_between_experiences(reset: bool, expected: list[int]) -> None:
    calls = Calls()
    config = LearnerConfig(
        tiny_stream.config("naive").learner.network, momentum=0.9, reset_optimizer=reset
    )
    learner = make("naive", plugins=[calls], learner=config)
    for experience in tiny_stream.stream().streams.train:
        learner.train(experience, eval_streams=[])
    # Momentum of two weights and two biases.
    assert calls.states == expected


def test_gdumb_learns_from_memory_alone() -> None:
    calls = Calls()
    learner = make("random_gdumb", plugins=[calls])
    assert isinstance(learner, GDumbLearner)
    model = learner.model
    for experience in tiny_stream.stream().streams.train:
        learner.train(experience, eval_streams=[])
    config = tiny_stream.config("random_gdumb")
    fresh = networks.build(config.learner.network, SPEC, seed=derive(0, "gdumb", 2))
    train_on_set(
        fresh, learner.memory.contents(), SPEC, config.set_training,
        generator=generator(0, "set_training", 2), device=CPU,
    )  # fmt: skip
    assert learner.model is model and same(model, fresh)
    assert calls.counts["after_training_epoch"] == calls.counts["before_training_epoch"] == 180
    assert calls.counts["after_training_iteration"] == 0
    assert learner.num_trained_images == 60 * (6 + 12 + 18)


def test_cumulative_trains_on_everything_so_far() -> None:
    calls = Calls()
    learner = make("cumulative", plugins=[calls])
    sizes = []
    for experience in tiny_stream.stream().streams.train:
        before = len(calls.labels)
        learner.train(experience, eval_streams=[])
        epoch = [y for batch in calls.labels[before:] for y in batch]
        sizes.append(len(epoch) // 8)
        assert len(set(epoch)) == 2 * len(sizes)
    assert sizes == [80, 160, 240]


def test_same_first_experience_for_all_that_train_on_it() -> None:
    learners = [make(name) for name in ("naive", "random_replay", "dm_replay", "cumulative")]
    for learner in learners:
        learner.train(tiny_stream.stream().streams.train[0], eval_streams=[])
    assert all(same(learners[0].model, learner.model) for learner in learners[1:])


def test_stock_evaluation_agrees_with_ours() -> None:
    evaluator = EvaluationPlugin(
        accuracy_metrics(stream=True, experience=True), strict_checks=False
    )
    learner = make("naive", evaluator=evaluator)
    stream = tiny_stream.stream()
    learner.train(stream.streams.train[0], eval_streams=[])
    found = learner.eval(stream.streams.test)
    for k in range(3):
        (value,) = [v for name, v in found.items() if name.endswith(f"Exp00{k}")]
        assert value == pytest.approx(accuracy(learner.model, stream.tensors("test", k), SPEC, CPU))


def test_augmented_learning_is_seeded() -> None:
    config = tiny_stream.config("naive")
    learner_config = config.learner.replace(augmentation="auto")
    first, second = (make("naive", learner=learner_config) for _ in range(2))
    plain = make("naive")
    for learner in (first, second, plain):
        learner.train(tiny_stream.stream().streams.train[0], eval_streams=[])
    assert same(first.model, second.model) and not same(first.model, plain.model)
