from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from clbench.benchmarks import BENCHMARKS, Benchmark, make_benchmark
from clbench.config import BenchmarkConfig
from clbench.data import DATASETS, DatasetInfo, tensors_of
from clbench.data import info as dataset_info
from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages


@dataclasses.dataclass
class _Memory:
    """A reader of tensors that counts how often it is asked."""

    train: LabelledImages
    test: LabelledImages
    num_reads: int = 0

    def status(self, info: DatasetInfo, root: Path) -> str:
        return "present"

    def read(self, info: DatasetInfo, root: Path) -> tuple[LabelledImages, LabelledImages]:
        self.num_reads += 1
        return self.train, self.test


@pytest.fixture
def reader(
    tiny_images: LabelledImages, tiny_spec: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> _Memory:
    """Puts the tiny images under ``split_mnist5k``."""
    memory = _Memory(tiny_images, tiny_images.select(torch.arange(40)))
    entry = dataclasses.replace(
        DATASETS["mnist5k"],
        shape=tiny_spec.shape,
        num_classes=4,
        mean=tiny_spec.mean,
        std=tiny_spec.std,
        class_names=tiny_spec.class_names,
        reader=memory,  # type: ignore[arg-type]
    )
    monkeypatch.setitem(DATASETS, "mnist5k", entry)
    return memory


def _make(seed: int = 0, **fields: Any) -> Benchmark:
    return make_benchmark(BenchmarkConfig(**{"num_experiences": 3, **fields}), None, seed)


def test_is_a_sequence_of_groups_and_loads_only_when_asked(reader: _Memory) -> None:
    benchmark = _make()
    assert len(benchmark) == 3
    assert list(benchmark) == [(0, 1), (2,), (3,)]
    assert benchmark[0] == (0, 1) and benchmark.name == "split_mnist5k"
    assert [benchmark.labels(k) for k in range(3)] == [(0, 1), (2,), (3,)]
    assert benchmark.spec.class_names == ("a", "b", "c", "d")
    assert reader.num_reads == 0
    assert len(benchmark.data.train) == 80
    benchmark.tensors("train", 1), benchmark.tensors("test", 1)
    assert reader.num_reads == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        benchmark.seed = 1  # type: ignore[misc]


def test_labels_are_positions_in_the_class_order(reader: _Memory) -> None:
    benchmark = _make(seed=5, shuffle_classes=True, num_experiences=2)
    assert benchmark.class_order != (0, 1, 2, 3), "or choose another seed"
    assert sorted(benchmark.class_order) == [0, 1, 2, 3]
    for k, group in enumerate(benchmark):
        part = benchmark.tensors("train", k)
        assert part.classes == benchmark.labels(k)
        for position, original in zip(benchmark.labels(k), group, strict=True):
            expected = reader.train.of_class(original).images
            assert torch.equal(part.of_class(position).images, expected)
            assert benchmark.spec.class_names[position] == "abcd"[original]


def test_class_orders_of_many_seeds_are_uniform() -> None:
    first = [_make(seed, shuffle_classes=True).class_order[0] for seed in range(400)]
    counts = torch.tensor(first).bincount(minlength=10)
    # 400 draws of 10 classes: mean 40, standard deviation 6; 4 deviations either way.
    assert counts.min() > 16 and counts.max() < 64
    assert _make(3, shuffle_classes=True) == _make(3, shuffle_classes=True)


def _keys(part: LabelledImages) -> list[bytes]:
    return [image.numpy().tobytes() for image in part.images]


def test_validation_is_taken_out_of_train(reader: _Memory) -> None:
    benchmark = _make(validation_fraction=0.25)
    for k in range(3):
        train, held = benchmark.tensors("train", k), benchmark.tensors("validation", k)
        whole = _make().tensors("train", k)
        assert held.labels.bincount()[list(benchmark.labels(k))].tolist() == [5] * len(benchmark[k])
        assert sorted(_keys(train) + _keys(held)) == sorted(_keys(whole))
        assert torch.equal(benchmark.tensors("test", k).images, _make().tensors("test", k).images)


def test_splits_depend_on_their_own_options_and_the_seed_only(reader: _Memory) -> None:
    base = _make(validation_fraction=0.25)
    fewer = _make(validation_fraction=0.25, train_per_class=6, num_experiences=2)
    shuffled = _make(validation_fraction=0.25, shuffle_classes=True, num_experiences=1)
    other = _make(seed=1, validation_fraction=0.25)

    def held(benchmark: Benchmark) -> set[bytes]:
        return {
            key for k in range(len(benchmark)) for key in _keys(benchmark.tensors("validation", k))
        }

    assert held(base) == held(fewer) == held(shuffled) != held(other)
    train = [len(fewer.tensors("train", k)) for k in range(2)]
    assert train == [12, 12]
    taken = set(_keys(fewer.tensors("train", 0)))
    assert taken <= set(_keys(base.tensors("train", 0))), "never from the validation images"


def test_bad_requests(reader: _Memory) -> None:
    with pytest.raises(InputError, match="num_experiences: expected 1 to 4, .* found 5"):
        _make(num_experiences=5)
    with pytest.raises(InputError, match="train_per_class: expected at most 15, .* found 16"):
        _make(validation_fraction=0.25, train_per_class=16).tensors("train", 0)
    with pytest.raises(InputError, match="no split 'validation': expected one of train, test"):
        _make().tensors("validation", 0)
    with pytest.raises(InputError, match="unknown benchmark 'split_mnist5': .*did you mean"):
        make_benchmark(BenchmarkConfig("split_mnist5"))


def test_streams_are_avalanche_experiences(reader: _Memory) -> None:
    benchmark = _make(validation_fraction=0.25, shuffle_classes=True)
    state = torch.random.get_rng_state()
    streams = benchmark.streams
    assert torch.equal(torch.random.get_rng_state(), state), "leaves the global generator alone"
    assert benchmark.streams is streams
    assert streams.validation is not None
    for split, stream in zip(("train", "validation", "test"), streams, strict=True):
        assert stream.name == split and len(stream) == 3
        for k, experience in enumerate(stream):
            expected = benchmark.tensors(split, k)  # type: ignore[arg-type]
            assert experience.current_experience == k
            assert experience.origin_stream is stream
            assert experience.classes_in_this_experience == set(benchmark.labels(k))
            assert experience.previous_classes == set(range(benchmark.labels(k)[0]))
            assert list(experience.dataset.targets) == expected.labels.tolist()
            image, label, task = experience.dataset[1]
            torch.testing.assert_close(image, benchmark.spec.normalise(expected.images[1]))
            assert (label, task) == (expected.labels[1].item(), 0)
            found = tensors_of(experience.dataset)
            assert found is not None and torch.equal(found.images, expected.images)
    assert _make().streams.validation is None


def test_stock_avalanche_learns_it(reader: _Memory) -> None:
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
    from avalanche.training.supervised import Naive

    from clbench.seeding import global_seed

    benchmark = _make(num_experiences=2)
    with global_seed(0):
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
            train_mb_size=8,
            train_epochs=6,
            eval_mb_size=40,
            plugins=[ReplayPlugin(mem_size=20)],
            evaluator=EvaluationPlugin(accuracy_metrics(stream=True), loggers=[]),
        )
        for experience in benchmark.streams.train:
            strategy.train(experience)
        result = strategy.eval(benchmark.streams.test)
    (accuracy,) = (v for k, v in result.items() if k.startswith("Top1_Acc_Stream/eval"))
    assert accuracy > 0.9
    replay = next(p for p in strategy.plugins if isinstance(p, ReplayPlugin))
    stored = tensors_of(replay.storage_policy.buffer)
    assert stored is not None and stored.images.dtype == torch.uint8 and len(stored) == 20


def test_avalanches_own_lwf_runs(reader: _Memory) -> None:
    from avalanche.training.plugins import EvaluationPlugin
    from avalanche.training.supervised import LwF

    from clbench.seeding import global_seed

    with global_seed(0):
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
        strategy = LwF(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
            criterion=torch.nn.CrossEntropyLoss(),
            alpha=1.0,
            temperature=2.0,
            train_mb_size=8,
            evaluator=EvaluationPlugin(),
        )
        before = [p.clone() for p in model.parameters()]
        for experience in _make(num_experiences=2).streams.train:
            strategy.train(experience)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_entry_names_a_data_set(name: str) -> None:
    benchmark = make_benchmark(BenchmarkConfig(name))
    row = BENCHMARKS[name]
    num_classes = dataset_info(row.dataset).num_classes
    assert row.name == name
    assert benchmark.config.num_experiences == len(benchmark)
    if row.domains is None and row.drawn is None:
        assert sum(benchmark, ()) == tuple(range(num_classes))
        usual = len(row.class_counts) or min(5, num_classes)
        assert len(benchmark) == (row.num_experiences or usual)
        few = make_benchmark(BenchmarkConfig(name, num_experiences=2))
        assert [len(group) for group in few] == [(num_classes + 1) // 2, num_classes // 2]
    else:
        assert set(benchmark) == {tuple(range(num_classes))}


def test_default_stream_of_real_digits() -> None:
    benchmark = make_benchmark(BenchmarkConfig())
    assert [benchmark.tensors("train", k).labels.unique().tolist() for k in range(5)] == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
        [8, 9],
    ]
    assert [len(benchmark.tensors("test", k)) for k in range(5)] == [200] * 5


def test_making_one_imports_no_avalanche() -> None:
    code = (
        "import sys; from clbench.config import BenchmarkConfig as C; "
        "from clbench.benchmarks import make_benchmark as m; m(C()).tensors('train', 0); "
        "sys.exit('avalanche' in sys.modules or 'torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
