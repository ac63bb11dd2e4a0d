"""`clbench speed scale`: exponents of known costs, constants that are found again, the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from clbench import data, strategies
from clbench.benchmarks import make_benchmark
from clbench.errors import InputError
from clbench.run.forecast import StreamSize
from clbench.speed import scale
from clbench.speed.sizes import Learning, Point, Stream, measure_point, work_of
from tests.cli.conftest import Invoke, cache, invoke  # noqa: F401

HOW = Learning("random_replay", device="cpu")
TINY = Stream(classes=4, images_per_class=10, size=8, experiences=2, channels=1)


def test_size_of_a_stream_is_that_of_its_benchmark() -> None:
    stream = Stream(classes=7, images_per_class=11, size=9, experiences=3, test_per_class=4)
    benchmark = make_benchmark(HOW.config(stream).benchmark, None, 0)
    assert stream.measured() == StreamSize.of(benchmark)
    images = benchmark.data.train.images.numel() + benchmark.data.test.images.numel()
    assert stream.num_bytes == images


def made_up(cost: Callable[[Stream, str], float]) -> list[Point]:
    """Points of a machine whose costs are known: of each phase and of memory the same number."""
    points = []
    for strategy in scale.STRATEGIES:
        for stream in scale.streams_measured():
            value = cost(stream, strategy)
            points.append(Point(stream, strategy, dict.fromkeys(scale.PHASES, value), 10**9, 1))
    return points


def test_exponents_are_found_and_named() -> None:
    points = made_up(lambda s, _: 0.01 * s.classes**1.5 * s.size**2 / s.experiences)
    found = {(g.strategy, g.axis, g.what): g for g in scale.growths(points)}
    for axis, exponent in {
        "classes": 1.5, "images of a class": 0.0, "experiences": -1.0, "pixels": 1.0,
    }.items():  # fmt: skip
        growth = found["dam_replay", axis, "total"]
        assert growth.exponent == pytest.approx(exponent, abs=1e-6)
        assert growth.more_than_linear == (axis == "classes")
    assert found["dam_replay", "pixels", "fill"].values == (196, 400, 784, 1600)
    fitted = scale.fitted(TINY, HOW, points)
    assert fitted.more_than_linear[0].startswith("random_replay: seconds of train grow as classes")
    assert len(fitted.more_than_linear) == 2 * 5


def test_what_takes_no_time_is_not_named() -> None:
    points = made_up(lambda s, _: 1e-6 * s.classes**2)
    assert not [g for g in scale.growths(points) if g.more_than_linear]


def test_constants_are_found_again_and_predict_a_large_stream() -> None:
    """Seconds that are sums of known parts: the fit gives their constants, far outside, too."""
    true = {"steps": 0.003, "train_flops": 2e-11}

    def points() -> list[Point]:
        found = []
        for strategy in scale.STRATEGIES:
            for stream in scale.streams_measured():
                work = work_of(stream, replace(HOW, strategy=strategy).few())
                train = sum(true[name] * work[name] for name in true)
                fill = 0.02 * work["experiences"] + 1e-11 * work["fill_flops"]
                seconds = {"train": train, "fill": fill, "evaluate": 0.1, "rest": 1.0}
                found.append(Point(stream, strategy, seconds, int(5e8 + 3 * work["bytes"]), 10**8))
        return found

    large = Stream(classes=1000, images_per_class=1300, size=64, experiences=10, test_per_class=50)
    for one, said in zip(
        scale.constants_of(points(), HOW),
        scale.fitted(large, HOW, points()).predictions,
        strict=True,
    ):
        assert one.of["train"] == pytest.approx(true, rel=1e-3)
        assert one.errors["train"] < 1e-6 and one.errors["memory"] < 1e-3
        work = work_of(large, replace(HOW, strategy=one.strategy))
        train = sum(true[name] * work[name] for name in true)
        assert said.seconds["train"] == pytest.approx(train, rel=1e-3)
        assert said.memory_bytes == pytest.approx(5e8 + 3 * large.num_bytes, rel=1e-2)
    # 80 networks and not the one that is measured.
    assert said.seconds["fill"] > 1e-11 * work["fill_flops"]


def test_a_point_is_a_whole_run(session_cache: Path) -> None:
    for strategy in scale.STRATEGIES:
        point = measure_point(TINY, replace(HOW, strategy=strategy).few(), 1)
        assert set(point.seconds) == set(scale.PHASES) and min(point.seconds.values()) > 0
        assert point.peak_bytes >= point.start_bytes > 2**20
    assert strategies.distiller_of(point.strategy) == "datadam"


def test_points_are_measured_each_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def here(function: Any, stream: Stream, how: Learning, threads: int, *, imports: Any) -> Point:
        assert function is measure_point and threads == 3
        calls.append((stream, how.strategy))
        assert how.num_networks == 1
        return Point(stream, how.strategy, dict.fromkeys(scale.PHASES, 1.0), 2, 1)

    monkeypatch.setattr(scale, "call_apart", here)
    told = []
    points = scale.measure_points(HOW, 3, on_point=lambda *seen: told.append(seen))
    assert len(calls) == len(set(calls)) == len(points) == 2 * 13
    assert [done for done, *_ in told] == list(range(27))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    points = made_up(lambda s, _: 0.01 * s.classes**1.5)
    monkeypatch.setattr(scale, "measure_points", lambda *given, **named: points)


def test_the_command_as_it_is_typed(invoke: Invoke, quick: None) -> None:  # noqa: F811
    arguments = ["--classes", "1000", "--images-per-class", "1300", "--size", "64"]
    done = invoke("speed", "scale", *arguments, "--json", "a.json", "--figure", "a.png")
    assert done.exit_code == 0, done.output
    written = json.loads(Path("a.json").read_text())
    assert [one["strategy"] for one in written["predictions"]] == list(scale.STRATEGIES)
    assert written["predictions"][0]["stream"]["classes"] == 1000
    assert len(written["points"]) == 26 and written["environment"]["versions"]["torch"]
    assert "1,000 classes, 1,300 images of each, 64 x 64 x 3, 10 experiences" in done.stdout
    assert "1.50!" in done.stdout and "more than in proportion" in done.stdout
    assert Path("a.png").stat().st_size > 1000


def test_runs_that_were_measured_before_are_taken(invoke: Invoke, quick: None) -> None:  # noqa: F811
    assert invoke("speed", "scale", "--quiet", "--json", "a.json").exit_code == 0
    first = json.loads(Path("a.json").read_text())
    more = ["--measured", "a.json", "--json", "-"]
    again = json.loads(invoke("speed", "scale", *more).stdout)
    assert again["points"] == first["points"] and again["predictions"] == first["predictions"]
    large = json.loads(invoke("speed", "scale", *more, "--classes", "200").stdout)
    assert large["constants"] == first["constants"]
    assert large["predictions"][0]["seconds"]["train"] > first["predictions"][0]["seconds"]["train"]
    other = invoke("speed", "scale", *more, "--network", "convnet")
    assert other.exit_code == 2 and "expected runs learnt as asked (--network conv" in other.stderr
    Path("b.json").write_text('{"points": [1]}')
    broken = invoke("speed", "scale", "--measured", "b.json")
    assert broken.exit_code == 2 and "found another content" in broken.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--classes", "5", "--experiences", "10"], "expected 1 to 5, one class in each at least"),
        (["--network", "nosuch"], "unknown network 'nosuch'"),
        (["--size", "4"], "4 is not in the range 8<=x<=1024"),
        (["--classes", "1"], "expected classes of 2 to 100000, found 1"),
    ],
)
def test_errors_are_one_line(
    invoke: Invoke,  # noqa: F811
    quick: None,
    arguments: list[str],
    said: str,
) -> None:
    done = invoke("speed", "scale", *arguments)
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_generated_images_are_the_same_each_time_and_can_be_learnt() -> None:
    name = "generated:classes=3,images=12,side=8,channels=1"
    made = data.load(name)
    assert data.info(name).num_test == 3 * 2 and made.train.images.shape == (36, 1, 8, 8)
    again = data.table._read(data.info(name), Path())
    assert again.fingerprint == made.fingerprint
    other = data.load("generated:classes=3,images=13,side=8,channels=1")
    assert other.fingerprint != made.fingerprint
    pixels = made.train.images.double().flatten(1)
    means = torch.stack([pixels[made.train.labels == c].mean(0) for c in range(3)])
    test = made.test.images.double().flatten(1)
    assert (torch.cdist(test, means).argmin(1) == made.test.labels).all()
    assert float(pixels.mean() / 255) == pytest.approx(made.spec.mean[0], abs=0.1)


@pytest.mark.parametrize(
    "name",
    ["generated:", "generated:classes=3", "generated:classes=3,images=2,side=8,colour=1",
     "generated:classes=3,images=2,side=8,side=8", "generated:classes=x,images=2,side=8"],
)  # fmt: skip
def test_other_forms_of_generated_images_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="expected generated:classes=K,images=N,side=S"):
        data.info(name)


def test_numbers_of_generated_images_are_bounded() -> None:
    with pytest.raises(InputError, match="expected channels of 1 or 3, found 2"):
        data.info("generated:classes=3,images=2,side=8,channels=2")
    with pytest.raises(InputError, match="expected side of 8 to 1024, found 4"):
        data.info("generated:classes=3,images=2,side=4")
