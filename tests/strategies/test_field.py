"""The field's methods: beside their papers' plain forms, on other streams, as a user types them."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import Tensor, nn

from clbench import strategies
from clbench.cli.build_config import build_config, without_effect
from clbench.cli.group import cli
from clbench.cli.options import METHOD, strategy_options
from clbench.comparison import compare
from clbench.config import BenchmarkConfig, LearnerConfig, MemoryConfig, NetworkConfig, RunConfig
from clbench.errors import Diverged, InputError
from clbench.machine.compat import prepare
from clbench.memory import LogitsMemory
from clbench.run import run
from clbench.seeding import generator
from clbench.strategies import STRATEGIES
from tests import tiny_stream
from tests.tiny_stream import SPEC

prepare()

from clbench.strategies.field.agem import Agem  # noqa: E402
from clbench.strategies.field.bic import (  # noqa: E402
    fitted_bias,
    held_out,
    softened_cross_entropy,
)
from clbench.strategies.field.derpp import dark_loss  # noqa: E402
from clbench.strategies.field.er_ace import asymmetric_loss  # noqa: E402
from clbench.strategies.field.ewc import fisher_information  # noqa: E402
from clbench.strategies.field.heads import Corrected, NearestMeans  # noqa: E402
from clbench.strategies.field.icarl import distilling_loss  # noqa: E402
from clbench.strategies.field.mir import interference  # noqa: E402
from clbench.strategies.field.settings import AgemSettings, BicSettings, SiSettings  # noqa: E402
from clbench.strategies.field.si import Si  # noqa: E402

FIELD = [name for name, info in STRATEGIES.items() if info.method is not None]
WITH_MEMORY = [name for name in FIELD if STRATEGIES[name].memory is not None]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quick(name: str, **changes: Any) -> RunConfig:
    config = tiny_stream.config(name, **changes)
    return config.replace(learner=config.learner.replace(epochs=2))


def short(name: str, **changes: Any) -> RunConfig:
    """One step of each experience or two."""
    config = quick(name, **changes)
    return config.replace(
        benchmark=config.benchmark.replace(train_per_class=16),
        learner=config.learner.replace(epochs=1),
    )


# The papers' plain forms


def test_er_ace_is_two_loops_over_images() -> None:
    logits, labels = draws(7, 5), torch.tensor([3, 1, 3, 1, 0, 2, 1])
    expected = torch.zeros(())
    for i in range(4):  # current: only classes 1 and 3 compete
        expected = expected - (logits[i, labels[i]] - torch.logsumexp(logits[i, [1, 3]], 0)) / 4
    for i in range(4, 7):
        expected = expected - (logits[i, labels[i]] - torch.logsumexp(logits[i], 0)) / 3
    torch.testing.assert_close(asymmetric_loss(logits, labels, 4), expected)


def test_er_ace_leaves_absent_classes_alone() -> None:
    logits = (100 * draws(4, 5)).requires_grad_()
    asymmetric_loss(logits, torch.tensor([1, 1, 3, 2]), 3).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert not logits.grad[:3, [0, 2, 4]].any()


def test_derpp_is_three_terms() -> None:
    logits, labels, stored = (
        draws(8, 3),
        torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]),
        draws(6, 3, seed=1),
    )
    expected = torch.zeros(())
    for i in range(2):
        expected = expected - logits[i].log_softmax(0)[labels[i]] / 2
    for i in range(3):
        expected = expected + 0.3 * ((logits[2 + i] - stored[i]) ** 2).sum() / 9
        expected = expected - 0.7 * logits[5 + i].log_softmax(0)[labels[5 + i]] / 3
    torch.testing.assert_close(dark_loss(logits, labels, stored, 0.3, 0.7), expected)


def test_agem_projects_as_the_formula_says() -> None:
    learner = built("agem")
    stream = tiny_stream.stream().streams.train
    learner.train(stream[0], eval_streams=[])
    method = learner.method
    assert isinstance(method, Agem)
    method.before_training_exp(learner)
    method.before_training_iteration(learner)
    images, labels, _ = method.sample_from_memory()
    assert len(images) == min(256, len(learner.method.memory.contents()))
    parameters = list(learner.model.parameters())
    reference = torch.autograd.grad(F.cross_entropy(learner.model(images), labels), parameters)
    g_ref = torch.cat([g.flatten() for g in reference])
    for sign in (1.0, -1.0):
        g = sign * g_ref + 0.1 * draws(len(g_ref))
        place = 0
        for p in parameters:
            p.grad = g[place : place + p.numel()].view_as(p).clone()
            place += p.numel()
        method.after_backward(learner)
        found = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
        projected = g - (g @ g_ref) / (g_ref @ g_ref) * g_ref  # equation 11
        torch.testing.assert_close(found, projected if sign < 0 else g)
        if sign < 0:
            assert abs(float(found @ g_ref)) < 1e-4 * float(g_ref @ g_ref)


def test_mir_finds_what_a_real_step_hurts() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    x, y = draws(6, 1, 8, 8), torch.tensor([0, 1, 2, 3, 0, 1])
    held, labels = draws(5, 1, 8, 8, seed=1), torch.tensor([2, 3, 0, 1, 2])
    stepped = copy.deepcopy(network)
    optimizer = torch.optim.SGD(stepped.parameters(), lr=0.3)
    F.cross_entropy(stepped(x), y).backward()
    optimizer.step()
    rises = []
    for image, label in zip(held.split(1), labels.split(1), strict=True):
        rises.append(
            F.cross_entropy(stepped(image), label) - F.cross_entropy(network(image), label)
        )
    found = interference(network, F.cross_entropy(network(x), y), held, labels, 0.3)
    torch.testing.assert_close(found, torch.stack(rises).detach())


def test_the_fisher_information_of_a_linear_classifier() -> None:
    """The gradient of one image is (p - y) x, whose mean square over y is known."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images = draws(4, 1, 2, 2)
    many = images.repeat(150, 1, 1, 1)
    found = fisher_information(network, many, torch.Generator().manual_seed(0))
    p = network(images).softmax(1).detach()
    x = images.flatten(1)
    expected = torch.zeros(3, 4)
    for i in range(4):
        for drawn in range(3):
            y = F.one_hot(torch.tensor(drawn), 3)
            gradient = torch.outer(p[i] - y, x[i])
            expected += p[i, drawn] * gradient**2 / 4
    torch.testing.assert_close(found["1.weight"], expected, rtol=0.3, atol=0.02)
    mean = ((p * (1 - p)).mean(0)).detach()
    torch.testing.assert_close(found["1.bias"], mean, rtol=0.15, atol=0.02)


def test_the_penalty_of_ewc_is_half_lambda_times_fisher_times_squares() -> None:
    learner = built("ewc", method=STRATEGIES["ewc"].settings.replace(penalty=7.0))  # type: ignore
    stream = tiny_stream.stream().streams.train
    learner.train(stream[0], eval_streams=[])
    anchor = [p.detach().clone() for p in learner.model.parameters()]
    fisher = [one.data for one in learner.method.importances[0].values()]
    assert all((f >= 0).all() for f in fisher) and any(f.any() for f in fisher)
    with torch.no_grad():
        for p in learner.model.parameters():
            p.add_(0.1)
    learner.loss = torch.zeros(())
    learner.method.before_backward(learner)
    expected = sum(
        3.5 * (f * (p - a) ** 2).sum()
        for f, p, a in zip(fisher, learner.model.parameters(), anchor, strict=True)
    )
    torch.testing.assert_close(learner.loss.detach(), torch.as_tensor(expected).detach())


class _Quadratic:
    """A learner of one weight whose task loss is (w - 1)^2 / 2."""

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)

    def step(self, method: Si, rate: float) -> None:
        w = self.model.weight
        w.grad = (w - 1).detach().clone()
        method.after_backward(self)  # type: ignore[arg-type]
        with torch.no_grad():
            w -= rate * w.grad
        method.after_update(self)  # type: ignore[arg-type]


def test_synaptic_intelligence_on_a_quadratic_by_hand() -> None:
    learner, method = _Quadratic(), Si(SiSettings(strength=0.5, damping=0.1))
    method.before_training_exp(learner)  # type: ignore[arg-type]
    learner.step(method, 0.5)  # g = -1, w: 0 -> 0.5, path 0.5
    learner.step(method, 0.5)  # g = -0.5, w: 0.5 -> 0.75, path + 0.125
    assert float(method.path["weight"]) == pytest.approx(0.625)
    method.after_training_exp(learner)  # type: ignore[arg-type]
    importance = 0.625 / (0.75**2 + 0.1)
    assert float(method.importance["weight"]) == pytest.approx(importance)
    method.before_training_exp(learner)  # type: ignore[arg-type]
    learner.step(method, 0.5)  # at the anchor nothing pulls: w: 0.75 -> 0.875
    assert learner.model.weight.item() == pytest.approx(0.875)
    learner.step(method, 0.5)
    pull = 2 * 0.5 * importance * 0.125
    assert learner.model.weight.item() == pytest.approx(0.875 + 0.5 * (0.125 - pull))
    # The path is of the task's gradient alone.
    step = 0.5 * (0.125 - pull)
    assert float(method.path["weight"]) == pytest.approx(0.25 * 0.125 + 0.125 * step)


def test_lwf_distils_old_classes_at_its_temperature() -> None:
    learner = built("lwf")
    stream = tiny_stream.stream().streams.train
    learner.train(stream[0], eval_streams=[])
    old = copy.deepcopy(learner.model)
    with torch.no_grad():
        for p in learner.model.parameters():
            p.add_(0.05)
    x = draws(5, 1, 8, 8)
    new, taught = learner.model(x)[:, [0, 1]] / 2, old(x)[:, [0, 1]] / 2
    expected = torch.zeros(())
    for i in range(5):
        p, q = taught[i].softmax(0), new[i].log_softmax(0)
        expected = expected + (p * (p.log() - q)).sum() / 5
    found = learner.method.lwf(x, learner.model(x), learner.model)
    torch.testing.assert_close(found, expected)
    assert not learner.method.lwf.prev_model.training


def test_icarl_sums_binary_cross_entropies() -> None:
    logits, labels, taught = draws(3, 5), torch.tensor([2, 0, 3]), draws(3, 5, seed=1)
    active, away = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1])
    expected = torch.zeros(())
    for i in range(3):
        for c in (0, 1, 2, 3):
            target = float(taught[i, c].sigmoid()) if c in (0, 1) else float(labels[i] == c)
            g = logits[i, c].sigmoid()
            expected = expected - (target * g.log() + (1 - target) * (1 - g).log()) / 3
    torch.testing.assert_close(distilling_loss(logits, labels, taught, active, away), expected)


def test_icarl_answers_by_the_nearest_mean() -> None:
    linear = nn.Linear(3, 4)
    head = NearestMeans(linear)
    features, labels = draws(6, 3), torch.tensor([0, 0, 2, 2, 2, 3])
    head.eval()
    torch.testing.assert_close(head(features), linear(features))
    head.set_means(features, labels)
    asked = draws(5, 3, seed=2)
    for image, scores in zip(asked, head(asked), strict=True):
        distances = {}
        for c in (0, 2, 3):
            unit = torch.stack([f / f.norm() for f in features[labels == c]]).mean(0)
            distances[c] = float(((image / image.norm() - unit / unit.norm()) ** 2).sum())
        assert int(scores.argmax()) == min(distances, key=lambda c: distances[c])
        torch.testing.assert_close(-scores[[0, 2, 3]], torch.tensor(list(distances.values())))
        assert scores[1] == scores.min() and scores.isfinite().all()
    torch.testing.assert_close(head.train()(features), linear(features))
    assert head.weight is linear.weight, "the optimiser's own"


def test_bic_fits_the_two_numbers_that_were_put_in() -> None:
    truth, labels = 2 * draws(4000, 4), torch.zeros(4000, dtype=torch.int64)
    labels = torch.multinomial(truth.softmax(1), 1, generator=generator(0, "labels")).flatten()
    chosen = torch.tensor([False, False, True, True])
    biased = torch.where(chosen, (truth - 0.8) / 0.7, truth)
    scale, shift = fitted_bias(biased, labels, chosen, BicSettings())
    assert float(scale) == pytest.approx(0.7, abs=0.05)
    assert float(shift) == pytest.approx(0.8, abs=0.1)
    head = Corrected(nn.Linear(2, 4))
    head.chosen, head.scale, head.shift = chosen, scale, shift
    x = draws(3, 2)
    plain = head.plain(x)
    torch.testing.assert_close(head.train()(x), plain)
    torch.testing.assert_close(head.eval()(x)[:, :2], plain[:, :2])
    torch.testing.assert_close(head(x)[:, 2:], scale * plain[:, 2:] + shift)


def test_bic_distils_softened_logits() -> None:
    logits, taught = draws(3, 4), draws(3, 4, seed=1)
    expected = torch.zeros(())
    for i in range(3):
        for c in range(4):
            target = (taught[i] / 2).softmax(0)[c]
            expected = expected - target * (logits[i] / 2).log_softmax(0)[c] / 3
    torch.testing.assert_close(softened_cross_entropy(logits, taught, 2.0), expected)


def test_bic_trains_on_nothing_that_it_holds_out() -> None:
    labels = torch.tensor([0] * 10 + [1] * 3 + [2])
    trained, out = held_out(labels, lambda n: 2, generator(0, "x"))
    assert labels[out].tolist() == [0, 0, 1, 2]
    assert set(trained.tolist()) & set(out.tolist()) == {13}, "the only image of its class"
    assert set(trained.tolist()) | set(out.tolist()) == set(range(14))


# Memory with logits


def built(name: str, **changes: Any) -> Any:
    config = quick(name, **changes)
    memory = strategies.make_memory(config, SPEC)
    return strategies.build(config, SPEC, memory=memory)


@pytest.mark.parametrize("codec", ["raw", "levels:side=4,levels=2"])
def test_stored_logits_stay_with_their_images_and_are_charged(codec: str) -> None:
    learner = built("derpp", memory=MemoryConfig(capacity_bytes=700, codec=codec))
    memory = learner.method.memory
    assert isinstance(memory, LogitsMemory)
    before: dict[bytes, Tensor] = {}
    for experience in tiny_stream.stream().streams.train:
        learner.train(experience, eval_streams=[])
        held, record = memory.stored(), memory.records[-1]
        assert record.num_bytes == held.num_bytes + 6 * len(held) <= 700
        assert record.bytes_per_class == {
            c: held.bytes_per_class[c] + 6 * n for c, n in held.per_class.items()
        }
        images, _ = memory.normalised()
        with torch.no_grad():
            now = learner.model.eval()(images)
        keys = [float(key).hex().encode() for key in memory.keys]
        for key, stored, fresh in zip(keys, memory.logits, now, strict=True):
            if key in before:
                assert torch.equal(stored, before[key]), "logits are those of its own time"
            else:
                torch.testing.assert_close(stored, fresh, rtol=0, atol=0.125 + 1e-5)
        assert not before or set(keys) & set(before), "some stay"
        before = dict(zip(keys, memory.logits, strict=True))
    other = strategies.make_memory(
        quick("derpp", memory=MemoryConfig(capacity_bytes=700, codec=codec)), SPEC
    )
    assert isinstance(other, LogitsMemory)
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.logits, memory.logits)


def test_a_memory_of_logits_wants_a_network() -> None:
    memory = strategies.make_memory(quick("derpp"), SPEC)
    assert memory is not None
    with pytest.raises(InputError, match="expected a learner's network"):
        memory.observe(tiny_stream.stream().tensors("train", 0))


def test_er_ace_remembers_the_classes_that_it_learns() -> None:
    learner = built("er_ace")
    seen: list[tuple[int, ...]] = []
    images = learner.training_images
    learner.training_images = lambda: (
        seen.append(learner.method.memory.contents().classes) or images()
    )
    for experience in tiny_stream.stream().streams.train:
        learner.train(experience, eval_streams=[])
    assert seen == [(), (0, 1), (0, 1, 2, 3)], "before an experience is taken in"
    assert learner.method.memory.num_experiences == 3


# Runs


@pytest.mark.parametrize("name", FIELD)
def test_other_streams(name: str) -> None:
    """One class at a time; unequal experiences in a drawn order, with batch norm."""
    convnet = NetworkConfig("convnet", width=4, depth=1, norm="batch")
    for num, network in ((6, NetworkConfig("mlp", width=8, depth=1)), (4, convnet)):
        stream = BenchmarkConfig("split_tiny", num, shuffle_classes=True, train_per_class=16)
        learner = LearnerConfig(network, epochs=1, batch_size=8, memory_batch_size=8)
        report = run(quick(name).replace(benchmark=stream, learner=learner))
        assert len(report.accuracy_matrix) == num
        assert all(math.isfinite(v) for row in report.accuracy_matrix for v in row)


@pytest.mark.parametrize("name", FIELD)
def test_the_same_seed_gives_the_same_run(name: str) -> None:
    one, again, other = (run(short(name, seed=seed)).to_dict() for seed in (0, 0, 1))
    assert {**one, "measured": 0} == {**again, "measured": 0}
    assert other["accuracy_matrix"] != one["accuracy_matrix"]


@pytest.mark.parametrize("name", FIELD)
def test_divergence_is_reported(name: str) -> None:
    config = short(name)
    config = config.replace(learner=config.learner.replace(learning_rate=1e30))
    with pytest.raises(Diverged, match="lower --learning-rate"):
        run(config)


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_every_codec_fills_the_same_budget(name: str) -> None:
    for codec in ("raw", "levels:side=4,levels=2", "tiles:factor=2"):
        report = run(short(name, memory=MemoryConfig(capacity_bytes=800, codec=codec)))
        sizes = [entry["num_bytes"] for entry in report.memory]
        assert 100 < sizes[-1] <= max(sizes) <= 800
        assert codec != "raw" or sizes[-1] > 700


# Settings


def test_settings_are_part_of_those_configurations_alone_that_have_them() -> None:
    for name, info in STRATEGIES.items():
        values = strategies.resolved(RunConfig(name)).to_dict()
        assert ("method" in values) == (info.settings is not None), name
        assert strategies.read_config(json.loads(json.dumps(values))) == strategies.resolved(
            RunConfig(name)
        )


def test_every_setting_is_an_option_and_is_checked() -> None:
    known = {option.name: option for option in strategy_options()}
    for name in FIELD:
        for one in STRATEGIES[name].settings_as_options():
            option = METHOD + one.flag.replace("-", "_")
            assert one.flag.startswith(name.replace("_", "-")) and option in known
            other = one.kind(one.default * 0.5)
            made = build_config(RunConfig(), {"strategy": name, option: other})
            assert getattr(made.method, one.path) == other != one.default
            with pytest.raises(InputError, match=one.path):
                build_config(RunConfig(), {"strategy": name, option: -1})
    values = {"method__ewc_lambda": 3.0}
    assert without_effect([], values, strategies=["si"]) == ["--ewc-lambda"]
    assert without_effect([], values, strategies=["si", "ewc"]) == []


def test_settings_of_another_strategy_are_refused(tmp_path: Path) -> None:
    config = RunConfig("naive", method=AgemSettings())
    with pytest.raises(InputError, match="method: expected settings of naive .none, .* Agem"):
        strategies.resolved(config)
    with pytest.raises(InputError, match="EwcSettings"):
        run(RunConfig("ewc", method=AgemSettings()))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(strategies.resolved(RunConfig("agem")).to_dict()))
    assert build_config(RunConfig(), {"strategy": "naive"}, file=file).method is None
    assert build_config(RunConfig(), {}, file=file).method == AgemSettings()


def test_der_plus_plus_is_derpp() -> None:
    assert STRATEGIES.find("der++") is STRATEGIES["derpp"]
    made = build_config(RunConfig(), {"strategy": "der++", "method__derpp_alpha": 2.0})
    assert made.strategy == "derpp" and made.method.alpha == 2.0  # type: ignore[union-attr]
    assert strategies.resolved(RunConfig("der++")) == strategies.resolved(RunConfig("derpp"))


def test_runs_that_differ_in_a_methods_settings_are_compared() -> None:
    settings = AgemSettings(4), AgemSettings(8)
    reports = [run(short("agem", method=s, seed=seed)) for s in settings for seed in (0, 1)]
    labels = [group.label for group in compare(reports).groups]
    assert sorted(labels) == ["agem, sample_size=4", "agem, sample_size=8"]


SMALL = "--benchmark split_tiny --train-per-class 16 --width 8 --depth 1 --epochs 1 --json"
MEMORY = "--memory-bytes 700 --codec levels:side=4,levels=2"


@pytest.mark.parametrize(
    "line",
    [
        f"er_ace {MEMORY}",
        f"der++ {MEMORY} --derpp-alpha 0.5",
        f"agem {MEMORY} --agem-sample-size 10",
        f"mir {MEMORY} --mir-subsample 20",
        "ewc --ewc-lambda 50 --ewc-fisher-images 5",
        "si --si-c 0.5",
        "lwf --lwf-temperature 1",
        f"icarl {MEMORY}",
        f"bic {MEMORY} --bic-bias-steps 20",
    ],
)
def test_as_a_user_types_it(line: str, tmp_path: Path) -> None:
    arguments = f"run --strategy {line} {SMALL} --no-tensorboard -o {tmp_path / 'run'}".split()
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    name = line.split()[0].replace("der++", "derpp")
    assert report["config"]["strategy"] == name
    flags = [word for word in line.split() if word.startswith(f"--{name}")]
    default = STRATEGIES[name].settings
    assert bool(flags) == (default is not None)
    if default is not None:
        assert report["config"]["method"] != default.to_dict()
    assert all(entry["num_bytes"] <= 700 for entry in report["memory"])
