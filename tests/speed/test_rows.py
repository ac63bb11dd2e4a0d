"""Rows of `clbench speed`: both forms compute the same, and the command says what it measured."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from clbench import networks
from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.errors import InputError, require_finite
from clbench.measuring.cost import forward_flops
from clbench.speed import accuracy as to_accuracy
from clbench.speed import apart, decoding, floor, learner, matching, offline, trajectories
from clbench.speed import codecs as coding
from clbench.speed.paired import Conditions, Measured, Once, SameOutcome, measure
from clbench.speed.table import ROWS, quick_rows
from clbench.types import ImageSpec
from tests.cli.conftest import Invoke, cache, invoke  # noqa: F401
from tests.tiny_stream import register


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Conditions:
    """Conditions under which every row takes a fraction of a second."""
    register(monkeypatch)
    monkeypatch.setattr(learner, "MOST_EPOCHS", 2)
    monkeypatch.setattr(offline, "FEW_IMAGES", 65)
    monkeypatch.setattr(offline, "MOST_IMAGES", 65)  # the last batch of one image joins another
    monkeypatch.setattr(offline, "WIDTHS", {"convnet": 4})
    monkeypatch.setattr(matching, "WIDTH", 4)
    monkeypatch.setattr(matching, "NUM_LONG_UPDATES", 2)
    monkeypatch.setattr(matching, "IMAGES_PER_CLASS", 2)
    monkeypatch.setattr(to_accuracy, "WIDTH", 4)
    monkeypatch.setattr(to_accuracy, "IMAGES_PER_CLASS", 2)
    monkeypatch.setattr(to_accuracy, "NUM_UPDATES", 2)
    monkeypatch.setattr(to_accuracy, "NUM_LEARNERS", 1)
    monkeypatch.setattr(to_accuracy, "TRAINING", SetTrainingConfig(epochs=5))
    monkeypatch.setattr(floor, "WIDTH", 4)
    monkeypatch.setattr(floor, "IMAGES_PER_CLASS", 2)
    monkeypatch.setattr(trajectories, "WIDTH", 2)
    monkeypatch.setattr(trajectories, "NUM_IMAGES", 4)
    monkeypatch.setattr(trajectories, "NUM_STEPS", 3)
    monkeypatch.setattr(coding, "NUM_IMAGES", 20)
    monkeypatch.setattr(coding, "CODEC", coding.LevelsCodec(side=6, levels=3))
    monkeypatch.setattr(decoding, "NUM_FILES", 40)
    monkeypatch.setattr(decoding, "SIDE", 32)
    monkeypatch.setattr(decoding, "DECODED_SIDE", 16)
    monkeypatch.setattr(decoding, "SETTLED_SECONDS", 0.0)
    return Conditions("split_tiny")


# A process of its own begins anew, and would take the sizes of a user.
IN_PROCESS = [name for name in ROWS if name not in ("trajectories-memory", "offline-lenet")]


@pytest.mark.parametrize("name", [n for n in IN_PROCESS if n != "offline-cnn"])
def test_both_forms_compute_the_same(name: str, tiny: Conditions) -> None:
    found = measure(name, tiny, 1)
    assert found.is_same, f"{found.info.differs} differ by {found.difference}"
    assert found.ratio > 0 and math.isfinite(found.ratio)


def test_the_learner_is_given_other_batches_by_another_seed(tiny: Conditions) -> None:
    """What makes the equality mean something: another seed ends elsewhere."""
    mine = learner.LearnerPair(tiny).plain()
    other = learner.LearnerPair(Conditions("split_tiny", seed=1)).fast()
    assert SameOutcome().difference(mine, other) > ROWS["learner"].tolerance


def test_equal_accuracy_takes_as_many_networks_as_it_needs(
    tiny: Conditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = to_accuracy.EqualAccuracyPair(tiny)
    held = {image.numpy().tobytes() for image in pair.school.held_out.images}
    assert held and not held & {image.numpy().tobytes() for image in pair.work.real.images}
    scores = iter([0.6, 0.3, 0.5, 0.6, 0.7])  # of the plain set, then of 5, 10 and 20 networks
    monkeypatch.setattr(pair.school, "accuracy", lambda images: next(scores))
    fast, plain = pair.fast(), pair.plain()
    assert pair.num_networks == 20
    assert (float(fast.outcome), float(plain.outcome)) == (0.7, 0.6)
    assert pair.difference(fast, plain) == 0
    assert pair.difference(plain, fast) == pytest.approx(0.1)


def test_the_floor_says_no_where_a_product_is_forgotten(tiny: Conditions) -> None:
    pair = floor.FloorPair(tiny)
    mine, whole = pair.fast(), pair.plain()
    assert pair.difference(mine, whole) == 0 and mine.outcome > 0
    pair.products.remove(max(pair.products, key=lambda p: p.multiply_adds))
    assert pair.difference(mine, pair.plain()) > ROWS["matching-floor"].tolerance


@pytest.mark.parametrize("name", ["convnet", "lenet"])
def test_products_are_those_that_fvcore_counts(name: str) -> None:
    spec = ImageSpec(1, 28, 28, 10, (0.5,), (0.5,))
    # Normalisations, which fvcore counts too, are no products.
    network = networks.build(NetworkConfig(name, norm="none"), spec, seed=0)
    with floor.heard_products() as products, torch.no_grad():
        network(torch.zeros(3, *spec.shape))
    found = sum(product.multiply_adds for product in products)
    assert found == 3 * forward_flops(network, spec.shape)


def test_a_product_alone_computes_what_its_layer_does() -> None:
    spec = ImageSpec(1, 28, 28, 10, (0.5,), (0.5,))
    network = networks.build(NetworkConfig("lenet"), spec, seed=0).requires_grad_(False)
    images = torch.randn(2, *spec.shape).requires_grad_()
    with floor.heard_products() as products:
        network(images)
    for product in products:
        x = torch.randn(product.shape).requires_grad_()
        expected = product.layer(x)
        upstream = torch.randn(product.out_shape)
        given = {product.shape: x.detach(), product.out_shape: upstream}
        forward, back = product.calls(lambda shape, kind, given=given: given[shape])
        assert torch.equal(forward(), expected)
        gradient = back()
        gradient = gradient if isinstance(gradient, torch.Tensor) else gradient[0]
        torch.testing.assert_close(gradient, torch.autograd.grad(expected, x, upstream)[0])


def test_memory_of_both_gradients_is_measured_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def here(function, *given, imports):
        calls.append(function)
        return function(*given)

    monkeypatch.setattr(trajectories, "call_apart", here)
    monkeypatch.setattr(trajectories, "WIDTH", 2)
    monkeypatch.setattr(trajectories, "NUM_IMAGES", 4)
    assert measure("trajectories-memory", Conditions(), 1).is_same
    assert calls == [trajectories.peak_bytes] * 2


def test_a_call_apart_answers_refuses_and_dies() -> None:
    assert apart.call_apart(math.hypot, 3.0, 4.0) == 5.0
    with pytest.raises(InputError, match="a: expected a finite loss, found nan; b"):
        apart.call_apart(require_finite, math.nan, "a", "b")
    with pytest.raises(InputError, match="exit code 3"):
        apart.call_apart(sys.exit, 3)


def test_difference_of_outcomes_that_do_not_compare() -> None:
    def once(*values: float) -> Once:
        return Once(1.0, 1.0, torch.tensor(values))

    assert SameOutcome().difference(once(1, 2), once(1, 2.5)) == 0.5
    assert SameOutcome().difference(once(1), once(1, 2)) == math.inf
    assert SameOutcome().difference(once(math.nan), once(math.nan)) == math.inf


def test_ratios_are_paired_and_the_median_counts() -> None:
    row = Measured("learner", (10.0, 30.0, 90.0), (10.0, 20.0, 30.0), 0.0)
    assert row.ratios == [1.0, 1.5, 3.0] and row.ratio == 1.5
    assert row.meets_aim and row.is_same
    far = Measured("learner", (1.0,), (2.0,), 1.0)
    assert not far.meets_aim and not far.is_same


def test_the_command_as_it_is_typed(invoke: Invoke, tiny: Conditions) -> None:  # noqa: F811
    arguments = ["encode", "offline-mlp", "--benchmark", "split_tiny", "--repeats", "2"]
    done = invoke("speed", *arguments, "--json", "a.json", "--figure", "a.svg")
    assert done.exit_code == 0, done.output
    written = json.loads(Path("a.json").read_text())
    assert [row["name"] for row in written["rows"]] == ["encode", "offline-mlp"]
    assert written["environment"]["versions"]["torch"] and written["environment"]["num_threads"]
    for row in written["rows"]:
        assert row["same"] and len(row["ratios"]) == 2
        assert row["ratio_lowest"] <= row["ratio"] <= row["ratio_highest"]
        assert f"{row['ratio']:.3g}" in done.stdout and row["name"] in done.stdout
    assert "torch 2" in done.stdout and "thread" in done.stdout
    assert Path("a.svg").read_bytes().startswith(b"<?xml")
    again = invoke("speed", "encode", "--json", "a.json")
    assert again.exit_code == 2 and "expected a new file" in again.stderr
    printed = invoke("speed", "encode", "--benchmark", "split_tiny", "--json", "-")
    assert json.loads(printed.stdout)["rows"][0]["name"] == "encode"


def test_different_outcomes_are_no_success(
    invoke: Invoke,  # noqa: F811
    tiny: Conditions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coding, "plain_encode", lambda levels, num: b"other")
    done = invoke("speed", "encode", "--benchmark", "split_tiny")
    assert done.exit_code == 1 and "NO: bytes differ" in done.stdout
    assert "compare different outcomes: encode" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "unknown speed row 'nosuch'"),
        (["--figure", "a.gif"], "expected a name that ends in .png, .svg or .pdf, found '.gif'"),
        (["--repeats", "0"], "0 is not in the range"),
        (["encode", "--benchmark", "nosuch"], "unknown benchmark 'nosuch'"),
    ],
)
def test_errors_are_one_line(invoke: Invoke, arguments: list[str], said: str) -> None:  # noqa: F811
    done = invoke("speed", *arguments)
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_help_names_every_row(invoke: Invoke) -> None:  # noqa: F811
    text = " ".join(invoke("speed", "rows", "--help").stdout.split()).replace("- ", "-")
    assert all(name in text for name in ROWS) and "clbench speed --json speed.json" in text
    assert 5 <= len(quick_rows()) < len(ROWS)
