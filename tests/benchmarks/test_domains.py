"""Streams over histology: one class after the other, and both by how far annotators agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from clbench.benchmarks import Benchmark, make_benchmark, splits
from clbench.config import BenchmarkConfig, LearnerConfig, MemoryConfig, NetworkConfig, RunConfig
from clbench.data import DATASETS, tensors_of
from clbench.errors import InputError
from clbench.run import measuring, run
from clbench.seeding import generator, global_seed
from clbench.strategies import STRATEGIES
from clbench.types import LabelledImages
from tests.data import pictures

NUM = {"train": 6, "test": 3}


def rows(num: dict[str, int] = NUM, levels: tuple[int, ...] = (7, 6, 5, 4)) -> list[str]:
    """``num`` images of HP, twice as many of SSA, at every level and in each part."""
    found = []
    for part, count in num.items():
        for level in levels:
            found += [f"{part}{level}h{n}.png,HP,{7 - level},{part}" for n in range(count)]
            found += [f"{part}{level}s{n}.png,SSA,{level},{part}" for n in range(2 * count)]
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    pictures.mhist(folder, *rows())
    return folder


def make(root: Path, name: str = "mhist_agreement", seed: int = 0, **fields: Any) -> Benchmark:
    return make_benchmark(BenchmarkConfig(name, image_size=16, **fields), root, seed)


def test_one_class_in_each_experience(root: Path) -> None:
    benchmark = make(root, "split_mhist")
    assert list(benchmark) == [(0,), (1,)] and benchmark.config.num_experiences == 2
    for k, num in enumerate((24, 48)):
        assert benchmark.tensors("train", k).labels.tolist() == [k] * num
    assert [len(benchmark.targets("test", k)) for k in (0, 1)] == [12, 24]
    assert benchmark.spec.class_names == ("HP", "SSA")
    assert benchmark.notes == list(benchmark.data.notes) != []


def agreement(benchmark: Benchmark, split: str, k: int) -> set[int]:
    """Levels of an experience's images, found by their pixels."""
    column = benchmark.data.columns["agreement"][split == "test"]
    whole = {"train": benchmark.data.train, "test": benchmark.data.test}[split]
    part = {image.numpy().tobytes() for image in benchmark.tensors(split, k).images}  # type: ignore[arg-type]
    return {
        level
        for image, level in zip(whole.images, column.tolist(), strict=True)
        if image.numpy().tobytes() in part
    }


@pytest.mark.parametrize(
    ("fields", "groups"),
    [
        ({}, ((7,), (6,), (5,), (4,))),
        ({"num_experiences": 2}, ((7, 6), (5, 4))),
        ({"num_experiences": 3}, ((7, 6), (5,), (4,))),
        ({"domain_order": "hard_first"}, ((4,), (5,), (6,), (7,))),
        ({"num_experiences": 1}, ((7, 6, 5, 4),)),
    ],
)
def test_both_classes_in_every_experience_by_agreement(
    root: Path, fields: dict[str, Any], groups: tuple[tuple[int, ...], ...]
) -> None:
    benchmark = make(root, **fields)
    assert benchmark.domain_groups == groups and set(benchmark) == {(0, 1)}
    assert benchmark.config.num_experiences == len(groups)
    for split, count in NUM.items():
        for k, group in enumerate(groups):
            part = benchmark.tensors(split, k)  # type: ignore[arg-type]
            expected = [count * len(group), 2 * count * len(group)]
            assert part.labels.bincount().tolist() == expected
        total = sum(len(benchmark.targets(split, k)) for k in range(len(groups)))  # type: ignore[arg-type]
        assert total == 12 * count, "every image is in one experience"
    words = " or ".join(map(str, groups[0]))
    assert f"experience 1: {words} of 7 annotators agree" in benchmark.notes


def test_experiences_hold_the_images_of_their_levels(tmp_path: Path) -> None:
    # Fewer than 20 images, so that no two have the same pixels.
    pictures.mhist(tmp_path, *rows({"train": 1, "test": 1}, levels=(7, 5, 4)))
    benchmark = make(tmp_path, num_experiences=2)
    for split in NUM:
        assert [agreement(benchmark, split, k) for k in (0, 1)] == [{7}, {5, 4}]


def test_a_level_without_a_class_says_what_to_do(tmp_path: Path) -> None:
    pictures.mhist(tmp_path)  # levels 7 and 4 alone
    with pytest.raises(InputError) as caught:
        make(tmp_path).tensors("train", 0)
    assert str(caught.value) == (
        "experience 2: 6 of 7 annotators agree: expected train images of every class, found 0 HP, "
        "0 SSA; lower --num-experiences to join levels"
    )
    assert len(make(tmp_path, num_experiences=2).targets("test", 1)) == 2


def test_options_that_would_do_nothing_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match="domain_order: split_mhist deals out classes"):
        make(root, "split_mhist", domain_order="hard_first")
    with pytest.raises(InputError, match="shuffle_classes: every experience of mhist_agreement"):
        make(root, shuffle_classes=True)
    with pytest.raises(InputError, match="num_experiences: expected 1 to 4, one level in each"):
        make(root, num_experiences=5)
    with pytest.raises(InputError, match="normalisation: expected images of 3 channels"):
        _ = make_benchmark(BenchmarkConfig(normalisation="imagenet")).spec


def test_image_size_and_moments(root: Path) -> None:
    assert make_benchmark(BenchmarkConfig("split_mhist"), root).config.image_size == 128
    assert make_benchmark(BenchmarkConfig()).config.image_size is None
    own, imagenet = make(root), make(root, normalisation="imagenet")
    assert own.spec.shape == (3, 16, 16) and own.spec.augmentation == "flip_rotate"
    assert imagenet.spec.mean == (0.485, 0.456, 0.406) and own.spec.mean == own.data.spec.mean
    pixels = [own.tensors("train", k).images for k in range(4)]
    normal = own.spec.normalise(torch.cat(pixels))
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(normal.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["split_mhist", "mhist_agreement"])
def test_undersampling_leaves_classes_equal(root: Path, name: str) -> None:
    plain, even = make(root, name), make(root, name, balance="undersample")
    num = [even.targets("train", k).bincount(minlength=2).tolist() for k in range(len(even))]
    assert num == ([[24, 0], [0, 24]] if name == "split_mhist" else [[6, 6]] * 4)
    for k in range(len(even)):
        assert torch.equal(even.targets("test", k), plain.targets("test", k)), "as they are"
    assert even.notes[-1].startswith("training images of larger classes were dropped")
    other = make(root, name, seed=1, balance="undersample")
    drawn = [[b.tensors("train", k).images for k in range(len(b))] for b in (even, other)]
    assert any(not torch.equal(a, b) for a, b in zip(*drawn, strict=True))


def test_undersampling_is_fair_and_never_brings_back() -> None:
    labels = torch.tensor([0] * 20 + [1] * 5)
    kept = torch.ones(25, dtype=torch.bool)
    kept[0] = kept[24] = False
    counts = torch.zeros(25)
    for seed in range(400):
        chosen = splits.undersample(labels, torch.zeros(25), kept, generator(seed))
        assert labels[chosen].bincount().tolist() == [4, 4]
        counts += chosen
    assert counts[0] == counts[24] == 0 and (counts[20:24] == 400).all()
    # Binomial(400, 4/19): mean 84, standard deviation 8; 4 deviations either way.
    assert counts[1:20].min() > 52 and counts[1:20].max() < 116
    nobody = splits.undersample(labels, torch.zeros(25), torch.zeros_like(kept), generator(0))
    assert not nobody.any()


def test_validation_is_held_out_of_every_level_and_class(root: Path) -> None:
    benchmark = make(root, validation_fraction=1 / 3, train_per_class=10)
    held = [benchmark.targets("validation", k).bincount().tolist() for k in range(4)]
    assert held == [[2, 4]] * 4
    rest = torch.cat([benchmark.targets("train", k) for k in range(4)])
    assert rest.bincount().tolist() == [10, 10]


def test_streams_are_avalanches_with_classes_that_come_back(root: Path) -> None:
    benchmark = make(root)
    for split, stream in zip(
        ("train", "test"), (benchmark.streams.train, benchmark.streams.test), strict=True
    ):
        for k, experience in enumerate(stream):
            assert experience.classes_in_this_experience == {0, 1}
            assert experience.previous_classes == (set() if k == 0 else {0, 1})
            found = tensors_of(experience.dataset)
            expected = benchmark.tensors(split, k)  # type: ignore[arg-type]
            assert found is not None and torch.equal(found.images, expected.images)
            assert experience.dataset[0][2] == 0, "one head"


def test_stock_avalanche_learns_domains_with_one_head(root: Path) -> None:
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
    from avalanche.training.supervised import Naive

    benchmark = make(root, num_experiences=2)
    with global_seed(0):
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.001),
            train_mb_size=8,
            train_epochs=10,
            plugins=[ReplayPlugin(mem_size=10)],
            evaluator=EvaluationPlugin(accuracy_metrics(stream=True), loggers=[]),
        )
        for experience in benchmark.streams.train:
            strategy.train(experience)
        result = strategy.eval(benchmark.streams.train)
    (accuracy,) = (v for k, v in result.items() if k.startswith("Top1_Acc_Stream/eval"))
    # Always the larger class has 0.67; the made images repeat, so that none can have 1.
    assert accuracy > 0.75
    assert model[1].out_features == 2


def config(strategy: str, benchmark: str, **fields: Any) -> RunConfig:
    return RunConfig(
        strategy=strategy,
        device="cpu",
        benchmark=BenchmarkConfig(benchmark, image_size=16, **fields),
        learner=LearnerConfig(NetworkConfig("mlp", width=16, depth=1), epochs=2),
        memory=MemoryConfig(images_per_class=2),
    )


@pytest.mark.parametrize(
    "strategy",
    [n for n, i in STRATEGIES.items() if i.memory in (None, "random", "reservoir", "herding")],
)
def test_every_quick_strategy_runs_on_domains(root: Path, strategy: str) -> None:
    quick = config(strategy, "mhist_agreement")
    quick = quick.replace(set_training=quick.set_training.replace(epochs=2))
    report = run(quick, data_root=root)
    assert report.class_groups == [[0, 1]] * 4 and report.num_test == [9] * 4
    assert len(report.accuracy_matrix) == 4
    if report.memory and STRATEGIES.find(strategy).memory != "reservoir":
        assert {tuple(m["per_class"].values()) for m in report.memory} == {(2, 2)}


def test_a_report_says_what_the_data_are_and_measures_two_classes(root: Path) -> None:
    report = run(config("naive", "split_mhist"), data_root=root)
    assert (
        report.data["title"] == "MHIST layout, subset or other images, subset (108 of 3,152 images)"
    )
    assert "subset (108 of 3,152 images)" in report.notes[0]
    assert report.config["benchmark"]["num_experiences"] == 2
    metrics = report.metrics
    assert metrics["majority_share"] == pytest.approx(24 / 36)
    assert metrics["sensitivity"] == pytest.approx(report.accuracy_matrix[-1][1])
    assert metrics["specificity"] == pytest.approx(report.accuracy_matrix[-1][0])
    mean = (metrics["sensitivity"] + metrics["specificity"]) / 2
    assert metrics["balanced_accuracy"] == pytest.approx(mean)


@pytest.mark.parametrize(("favour", "area"), [(1.0, 1.0), (0.0, 0.5), (-1.0, 0.0)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_area_under_the_curve_is_of_all_test_images(
    root: Path, favour: float, area: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order of the classes, and whatever the validation stream is asked after."""

    def knowing(network: Any, images: LabelledImages, *rest: Any) -> torch.Tensor:
        return favour * torch.nn.functional.one_hot(images.labels, 2).float()

    monkeypatch.setattr(measuring, "predict_logits", knowing)
    asked = config("naive", "split_mhist")
    stream = asked.benchmark.replace(shuffle_classes=True, validation_fraction=0.2)
    report = run(asked.replace(benchmark=stream, seed=seed), data_root=root)
    assert report.metrics["auc"] == area


def test_reports_of_other_data_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import tiny_stream

    tiny_stream.register(monkeypatch)
    report = run(tiny_stream.config("naive"))
    assert "title" not in report.data and "sensitivity" not in report.metrics
    assert report.notes == [] and "mhist" in DATASETS


def test_a_memory_that_the_first_experience_cannot_fill_grows_with_the_others(root: Path) -> None:
    many = config("random_replay", "mhist_agreement").replace(memory=MemoryConfig(7))
    report = run(many, data_root=root)
    first, *_, last = (min(entry["per_class"].values()) for entry in report.memory)
    assert first == 6 and last == 7


@pytest.mark.real_data
def test_a_learner_of_one_class_at_a_time_forgets_real_histology(
    standin_root: Path, tmp_path: Path
) -> None:
    from clbench import data

    data.prepare("mhist", tmp_path, standin_root, image_size=16)
    accuracy = {}
    for strategy in ("naive", "cumulative"):
        learner = LearnerConfig(NetworkConfig("mlp", width=32, depth=1), epochs=40)
        report = run(config(strategy, "split_mhist").replace(learner=learner), data_root=tmp_path)
        accuracy[strategy] = report.metrics["balanced_accuracy"]
    assert 0.5 <= accuracy["naive"] < 0.6, "it says the last class, nearly always"
    assert accuracy["cumulative"] > accuracy["naive"] + 0.1
