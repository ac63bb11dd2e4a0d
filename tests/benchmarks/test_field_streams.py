"""Streams over the field's data sets: class orders, drawn domains, chains, own validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clbench import benchmarks, data
from clbench.benchmarks import Benchmark, make_benchmark
from clbench.benchmarks.drawn import Drawn
from clbench.config import BenchmarkConfig, LearnerConfig, MemoryConfig, NetworkConfig, RunConfig
from clbench.data import DATASETS
from clbench.errors import InputError
from clbench.run import run
from tests.data import fakes
from tests.data import field_files as files


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """30 training and 20 test images."""
    fakes.tiny(monkeypatch)
    fakes.write(tmp_path, packed=True)
    return tmp_path


def make(name: str, root: Path | None = None, seed: int = 0, **fields: Any) -> Benchmark:
    return make_benchmark(BenchmarkConfig(name, **fields), root, seed)


@pytest.mark.parametrize(
    ("name", "order", "first"),
    [
        ("split_mnist", "3,1,4,0,5,9,2,6,8,7", (3, 1)),
        ("split_cifar10", "cat, dog,2,1,0,4,6,7,8,9", (3, 5)),
        ("split_fashion_mnist", '"T-shirt/top",9,8,7,6,5,4,3,2,1', (0, 9)),
    ],
)
def test_an_explicit_class_order(name: str, order: str, first: tuple[int, int]) -> None:
    benchmark = make(name, class_order=order)
    assert benchmark[0] == first and sorted(benchmark.class_order) == list(range(10))
    written = benchmark.config.class_order
    assert written == ",".join(map(str, benchmark.class_order))
    assert make(name, class_order=written) == benchmark, "a resolved configuration says the same"
    assert benchmark.spec.class_names[0] == DATASETS[benchmark._dataset.name].class_names[first[0]]


def test_the_own_order_is_no_order_of_its_own() -> None:
    assert make("split_mnist", class_order="0,1,2,3,4,5,6,7,8,9") == make("split_mnist")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_order": "0,1,2"}, "each of the 10 classes of cifar10 once, found no class 3 .cat"),
        ({"class_order": "0,0,1,2,3,4,5,6,7,8,9"}, r"found class 0 \(airplane\) twice"),
        ({"class_order": "cow"}, "numbers 0 to 9 or a name as 'airplane', .* found 'cow'"),
        ({"class_order": "10"}, "found '10'"),
        ({"class_order": "0", "shuffle_classes": True}, "leave one out"),
    ],
)
def test_orders_that_are_none(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make("split_cifar10", **fields)


@pytest.mark.parametrize("name", ["permuted_mnist", "mhist_agreement"])
def test_domains_have_no_class_order(name: str) -> None:
    order = ",".join(map(str, range(DATASETS[benchmarks.info(name).dataset].num_classes)))
    with pytest.raises(InputError, match="every experience of .* has all classes; leave it out"):
        make(name, class_order=order)
    with pytest.raises(InputError, match="domain_order: rotated_mnist draws its domains"):
        make("rotated_mnist", domain_order="hard_first")


def test_permuted_pixels_are_the_same_pixels(mnist: Path) -> None:
    benchmark = make("permuted_mnist", mnist, seed=3, num_experiences=3, validation_fraction=0.34)
    assert len(benchmark) == 3 and set(benchmark) == {tuple(range(10))}
    whole = data.load("mnist", mnist)
    assert benchmark.tensors("test", 0).equals(whole.test), "the first keeps its order"
    orders = []
    for k in (1, 2):
        part = benchmark.tensors("test", k)
        assert part.labels.equal(whole.test.labels)
        order = Drawn("permuted", 3, 3).permutation(k, 784)
        for own, shown in zip(whole.test.images, part.images, strict=True):
            assert shown.flatten().equal(own.flatten()[order])
        orders.append(order.tolist())
    assert orders[0] != orders[1] and sorted(orders[0]) == list(range(784))
    again, other = (make("permuted_mnist", mnist, seed=s, num_experiences=3) for s in (3, 4))
    assert again.tensors("test", 1).equals(benchmark.tensors("test", 1))
    assert not other.tensors("test", 1).equals(benchmark.tensors("test", 1))
    assert [len(benchmark.targets(s, 2)) for s in ("train", "validation", "test")] == [20, 10, 20]  # type: ignore[arg-type]
    assert benchmark.notes[0] == "experience 1: pixels in their own order"
    assert "experience 2: pixels permuted, SHA-256 of the order " in benchmark.notes[1]


def test_drawn_angles_fill_the_half_circle() -> None:
    for seed in range(20):
        angles = [Drawn("rotated", seed, 5).degrees(k) for k in range(5)]
        assert [int(angle // 36) for angle in angles] == [0, 1, 2, 3, 4]
    first = [Drawn("rotated", seed, 1).degrees(0) for seed in range(400)]
    counts = torch.histc(torch.tensor(first), 6, 0, 180)
    # Uniform: mean 67, standard deviation 7.5; 4 deviations either way.
    assert counts.min() > 37 and counts.max() < 97


def test_images_are_turned_as_pillow_turns_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = torch.arange(20.0)
    image = (40 + 4 * ramp[:, None] + 6 * ramp[None]).byte().expand(2, 1, 20, 20)
    drawn = Drawn("rotated", 0, 4)
    shown = drawn.changed(image, 1)[1, 0]
    pillow = Image.fromarray(image[1, 0].numpy()).rotate(
        drawn.degrees(1), Image.Resampling.BILINEAR
    )
    inner = (slice(5, 15),) * 2
    np.testing.assert_allclose(shown[inner], np.asarray(pillow)[inner], atol=1)
    monkeypatch.setattr(Drawn, "degrees", lambda self, k: 90.0)
    assert drawn.changed(image, 1).equal(torch.rot90(image, 1, (2, 3)))


def quick(name: str, **fields: Any) -> RunConfig:
    return RunConfig(
        strategy="random_replay",
        device="cpu",
        benchmark=BenchmarkConfig(name, **fields),
        learner=LearnerConfig(NetworkConfig("mlp", width=8, depth=1), epochs=1),
        memory=MemoryConfig(images_per_class=1),
    )


@pytest.mark.parametrize("name", ["permuted_mnist", "rotated_mnist"])
def test_a_run_on_drawn_domains_says_what_was_drawn(name: str, mnist: Path) -> None:
    report = run(quick(name, num_experiences=2), data_root=mnist)
    assert report.class_groups == [list(range(10))] * 2 and report.num_test == [20, 20]
    assert report.notes[1].startswith("experience 2: ")
    assert report.config["learner"]["augmentation"] == "none"


def test_superclasses_are_dealt_by_their_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.tiny(monkeypatch, "cifar100_coarse", (100, 100), files.cifar(tmp_path, "cifar100", 100))
    benchmark = make("cifar100_superclasses", tmp_path)
    assert set(benchmark) == {tuple(range(20))} and len(benchmark) == 5
    for k in range(5):
        assert benchmark.tensors("train", k).labels.tolist() == list(range(20))
        assert benchmark.tensors("train", k).images.equal(benchmark.data.train.images[k::5])


def test_a_data_sets_own_validation_split_is_the_validation_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.tiny(monkeypatch, "pathmnist", (30, 20), files.medmnist(tmp_path), num_validation=18)
    benchmark = make("split_pathmnist", tmp_path, class_order="8,7,6,5,4,3,2,1,0")
    assert benchmark[0] == (8, 7)
    found = benchmark.tensors("validation", 0)
    assert found.labels.tolist() == [1, 0] * 2, "positions in the stream's order"
    own = benchmark.data.validation
    assert own is not None and found.images.equal(own.of_class(8, 7).images)
    report = run(quick("split_pathmnist"), data_root=tmp_path)
    assert report.validation_matrix is not None and report.data["num_validation"] == [4] * 4 + [2]
    with pytest.raises(InputError, match="has a validation stream of its own, 18 images; leave"):
        make("split_pathmnist", tmp_path, validation_fraction=0.1)


def test_data_sets_in_turn(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.tiny(monkeypatch, "svhn", (30, 20), *files.svhn(mnist))
    name = "chain:mnist+svhn"
    benchmark = make(name, mnist)
    assert list(benchmark) == [tuple(range(10)), tuple(range(10, 20))]
    found, svhn = data.load(name, mnist), data.load("svhn", mnist)
    assert found.spec.shape == (3, 32, 32) and found.spec.class_names[13] == "svhn 3"
    assert benchmark.tensors("train", 1).images.equal(svhn.train.images)
    grey = benchmark.tensors("test", 0).images
    assert grey[:, 0].equal(grey[:, 2])
    pixels = data.load("mnist", mnist).test.images[4, 0].numpy()
    resized = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(grey[4, 0], np.asarray(resized), atol=1)
    assert found.notes == ("images of 1x28x28, 3x32x32 were brought to 3x32x32",)
    mean = found.train.images.double().mean((0, 2, 3)) / 255
    np.testing.assert_allclose(found.spec.mean, mean, rtol=1e-9)
    small = make(name, mnist, image_size=16, num_experiences=5)
    assert small.tensors("train", 4).images.shape[1:] == (3, 16, 16)
    assert [len(group) for group in small] == [4] * 5
    assert data.status(name, mnist) == "archives only"
    assert all(check.ok for check in data.verify(name, mnist))
    assert data.short_name(name) == "chain-mnist-svhn"


def test_a_chain_of_unequal_sets_stays_as_it_was_resolved() -> None:
    benchmark = make("chain:mnist+emnist")
    assert [len(group) for group in benchmark] == [10, 47]
    assert make_benchmark(benchmark.config) == benchmark
    assert (
        make("mnist_svhn_fashion").class_groups
        == make("chain:mnist+svhn+fashion_mnist").class_groups
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chain:mnist", "expected two or more data sets, each once"),
        ("chain:mnist+mnist", "expected two or more data sets, each once"),
        ("chain:mnist+minst", "unknown data set 'minst': .*did you mean"),
        ("chain:mnist+chain:svhn", "found a chain within a chain"),
    ],
)
def test_chains_that_are_none(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(name)


def test_a_learner_of_objects_sees_them_cropped_and_flipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.tiny(monkeypatch, "cifar10", (100, 20), files.cifar(tmp_path))
    report = run(quick("split_cifar10"), data_root=tmp_path)
    assert report.config["learner"]["augmentation"] == "crop_flip"
    plain = quick("split_cifar10").updated({"learner": {"augmentation": "none"}})
    assert run(plain, data_root=tmp_path).config["learner"]["augmentation"] == "none"


@pytest.mark.parametrize("name", [n for n in data.names() if DATASETS[n].num_validation])
def test_small_sets_are_passed_over_more_often(name: str) -> None:
    info = benchmarks.info(f"split_{name}")
    steps = info.epochs * DATASETS[name].num_train / len(make(info.name)) / 64
    assert steps >= 100 and (info.epochs == 1 or steps < 200)
