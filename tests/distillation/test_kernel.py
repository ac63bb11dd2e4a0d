"""Kernel regression: the kernel against wide networks, the loss against plain algebra."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.codecs import parse
from clbench.config import DistillationConfig, NetworkConfig
from clbench.distillation import DISTILLERS, Workload, make_distiller
from clbench.distillation.kernel import blocks
from clbench.distillation.kernel.blocks import KernelBlocks, blocks_of
from clbench.distillation.kernel.distiller import NO_OTHERS
from clbench.distillation.kernel.kernels import feature_kernel, tangent_kernel
from clbench.distillation.kernel.regression import (
    among,
    centred,
    discrepancy,
    regression_loss,
)
from clbench.distillation.kernel.settings import KernelSettings
from clbench.distillation.kernel.updates import KernelUpdates
from clbench.distillation.protocol import Job, Traits, Update
from clbench.soft_labels import read_labels, written_labels
from clbench.types import ImageSpec, LabelledImages
from tests import distilling
from tests.distilling import changed, job

SPEC = ImageSpec(1, 12, 12, 6, (0.3,), (0.25,), (), "scale")


def blobs(*classes: int, num: int = 24) -> LabelledImages:
    """Each class a bright square at its own place, with noise."""
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(6 * num, 1, 12, 12, generator=rng) * 0.3
    labels = torch.arange(6).repeat(num)
    for c in range(6):
        row, column = 6 * (c // 3), 4 * (c % 3)
        images[labels == c, :, row : row + 6, column : column + 4] += 0.6
    return LabelledImages((images * 255).to(torch.uint8), labels).of_class(*classes)


def config(name: str = "kip", **changes: Any) -> DistillationConfig:
    network = NetworkConfig("convnet", width=4, depth=2, norm="instance")
    made = DistillationConfig(name, network, precision="float32")
    return changed(made, num_updates=6, batch_real=30, network_steps=2, **changes)


def distil(c: DistillationConfig, *classes: int, **of_job: Any) -> LabelledImages:
    return distilling.distil(c, blobs(*(classes or (0, 2, 5))), SPEC, **of_job)


def only_block(c: DistillationConfig, of_job: Job) -> KernelUpdates:
    (block,) = KernelBlocks(c, of_job).blocks
    return block


def plain_tangent_kernel(x: Any, z: Any, layers: int) -> float:
    """The recursion for one pair, number by number."""
    d = len(x)
    s, sxx, szz = (float(np.dot(a, b)) / d for a, b in ((x, z), (x, x), (z, z)))
    t = s
    for _ in range(layers):
        root = math.sqrt(sxx * szz)
        angle = math.acos(max(-1.0, min(1.0, s / root)))
        s = root * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi
        t = s + t * (math.pi - angle) / math.pi
    return t


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_kernel_is_the_recursion(layers: int) -> None:
    rng = torch.Generator().manual_seed(0)
    x, z = (torch.randn(n, 7, generator=rng, dtype=torch.float64) for n in (4, 5))
    found = tangent_kernel(x, z, layers)
    expected = [[plain_tangent_kernel(a.numpy(), b.numpy(), layers) for b in z] for a in x]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    own = tangent_kernel(x, x, layers)
    torch.testing.assert_close(own, own.T)
    diagonal = x.square().sum(1) / 7 * (layers + 1)
    torch.testing.assert_close(own.diagonal(), diagonal, rtol=3e-3, atol=0)
    assert torch.linalg.eigvalsh(own).min() > 0


@pytest.mark.parametrize("layers", [1, 2])
def test_wide_networks_have_this_kernel(layers: int) -> None:
    """Inner products of a finite network's gradients, the mean over draws (Monte Carlo)."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4, 6, generator=rng, dtype=torch.float64)
    width, draws = 512, 24
    total = torch.zeros(4, 4, dtype=torch.float64)
    for _ in range(draws):
        sizes = [6, *[width] * layers, 1]
        weights = [
            torch.randn(a, b, generator=rng, dtype=torch.float64).requires_grad_()
            for a, b in zip(sizes, sizes[1:], strict=False)
        ]

        def network(image: Tensor, weights: list[Tensor] = weights) -> Tensor:
            hidden = image @ weights[0] / math.sqrt(6)
            for weight in weights[1:]:
                # Rectified values keep half of the variance: their weights have variance 2 / width.
                hidden = torch.relu(hidden) @ weight * math.sqrt(2 / width)
            return hidden.sum()

        rows = []
        for image in x:
            gradients = torch.autograd.grad(network(image), weights)
            rows.append(torch.cat([g.flatten() for g in gradients]))
        jacobian = torch.stack(rows)
        total += jacobian @ jacobian.T / draws
    torch.testing.assert_close(total, tangent_kernel(x, x, layers), rtol=0.06, atol=0.06)


@pytest.mark.parametrize("kernel", [partial(tangent_kernel, hidden_layers=2), feature_kernel])
def test_the_loss_is_ridge_regression_and_its_gradient_is_right(kernel: Any) -> None:
    rng = torch.Generator().manual_seed(1)
    support = torch.rand(5, 6, generator=rng, dtype=torch.float64).requires_grad_()
    targets = torch.rand(7, 6, generator=rng, dtype=torch.float64)
    labels, truth = (torch.arange(n) % 3 for n in (5, 7))
    y, wanted = centred(labels, 3), centred(truth, 3)

    def loss(images: Tensor) -> Tensor:
        return regression_loss(kernel(images, images), kernel(targets, images), y, wanted, 0.01)

    with torch.no_grad():
        own = kernel(support, support).numpy()
        system = own + 0.01 * np.trace(own) / 5 * np.eye(5)
        predicted = kernel(targets, support).numpy() @ np.linalg.inv(system) @ y.numpy()
        expected = 0.5 * ((wanted.numpy() - predicted) ** 2).sum() / 7
    assert float(loss(support)) == pytest.approx(expected, rel=1e-9)
    assert torch.autograd.gradcheck(loss, (support,), eps=1e-6, atol=1e-6)
    assert float(y.sum()) == pytest.approx(0) and y[0].tolist() == pytest.approx(
        [2 / 3, -1 / 3, -1 / 3]
    )


@pytest.mark.parametrize("kernel", [partial(tangent_kernel, hidden_layers=2), feature_kernel])
def test_the_discrepancy_is_that_of_all_pairs(kernel: Any) -> None:
    rng = torch.Generator().manual_seed(2)
    s, b = (torch.randn(n, 6, generator=rng, dtype=torch.float64) for n in (4, 7))

    def mean(one: Tensor, other: Tensor) -> float:
        return float(np.mean([[float(kernel(x[None], z[None])) for z in other] for x in one]))

    expected = mean(s, s) - 2 * mean(b, s) + mean(b, b)
    expected /= np.mean([float(kernel(x[None], x[None])) for x in b])
    found = discrepancy(kernel(s, s), kernel(b, s), kernel(b, b))
    assert float(found) == pytest.approx(expected, rel=1e-4) and expected > 0
    same = kernel(b, b)
    assert float(discrepancy(same, same, same)) == pytest.approx(0, abs=1e-9)
    moving = s.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: discrepancy(kernel(x, x), kernel(b, x), kernel(b, b)), (moving,), atol=1e-6
    )


def test_what_stays_is_computed_once() -> None:
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(9, 6, generator=rng, dtype=torch.float64).requires_grad_()
    fixed = tangent_kernel(x[5:].detach(), x[5:].detach(), 2)
    kernel = partial(tangent_kernel, hidden_layers=2)
    for given in (None, fixed, fixed[:0, :0]):
        torch.testing.assert_close(among(kernel, x, given), kernel(x, x))
    # The gradient of what is learnt does not change by it.
    weights = torch.randn(9, 9, generator=rng, dtype=torch.float64)
    weights = weights + weights.T
    (whole,) = torch.autograd.grad((weights * kernel(x, x)).sum(), x)
    (part,) = torch.autograd.grad((weights * among(kernel, x, fixed)).sum(), x)
    torch.testing.assert_close(part[:5], whole[:5])


@pytest.mark.parametrize(("weight", "soft"), [(0.0, False), (1.0, False), (1.0, True)])
def test_the_updates_are_the_plain_loop(weight: float, soft: bool) -> None:
    """KIP as the paper says it: draw targets, regress, step Adam, keep pixels in range."""
    c = config(matching_weight=weight, soft_labels=soft, label_learning_rate=0.3)
    known = blobs(1, 3, num=4)
    made = distil(c, known=known)
    plain = job(blobs(0, 2, 5), SPEC)
    start = only_block(c, plain)
    images = start.grid.detach().clone().requires_grad_()
    logits = start.logits.detach().clone().requires_grad_()
    adam = torch.optim.Adam([{"params": [images]}, {"params": [logits], "lr": 0.3}], lr=0.02)
    real, rng = plain.real, plain.generator
    for _ in range(6):
        mine = logits.softmax(1) if soft else F.one_hot(start.labels, 6)
        labels = torch.cat([mine, F.one_hot(known.labels, 6)])
        batch = torch.randperm(len(real), generator=rng)[:30]
        x = torch.cat([SPEC.normalise(images), SPEC.normalise(known.images)]).flatten(1)
        b = SPEC.normalise(real.images[batch]).flatten(1)
        own = tangent_kernel(x, x, 2).double()
        ridge = 0.01 * own.diagonal().mean() * torch.eye(len(x))
        weights = torch.linalg.solve(own + ridge, centred(labels, 6))
        errors = centred(real.labels[batch], 6) - tangent_kernel(b, x, 2).double() @ weights
        loss = 0.5 * errors.square().sum() / 30
        for k, c_ in enumerate((0, 2, 5)):
            s, r = x[2 * k : 2 * k + 2], b[real.labels[batch] == c_]
            both = ((s, s), (r, s), (r, r))
            pairs = [tangent_kernel(one, other, 2).double() for one, other in both]
            among_s, between, among_r = (pair.mean() for pair in pairs)
            loss = loss + weight * (among_s - 2 * between + among_r) / pairs[2].diagonal().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        images.data.clamp_(0, 1)
        for row, own in zip(logits.data, start.labels, strict=True):
            others = torch.cat([row[:own], row[own + 1 :]]).logsumexp(0)
            row[own] = max(row[own], others)  # half of the probability at least
    torch.testing.assert_close(made.images, images.detach(), rtol=1e-3, atol=1e-4)
    if soft:
        torch.testing.assert_close(made.labels, logits.detach().softmax(1), rtol=1e-3, atol=1e-4)
        assert not torch.equal(start.logits.softmax(1), made.labels)


@pytest.mark.parametrize("name", ["kip", "frepo"])
def test_soft_labels_are_learnt_and_keep_their_class(name: str) -> None:
    c = config(name, soft_labels=True, label_learning_rate=3.0)
    made = distil(c, known=blobs(1, 3, num=4))
    assert made.labels.shape == (6, 6) and made.hard_labels.tolist() == [0, 0, 2, 2, 5, 5]
    torch.testing.assert_close(made.labels.sum(1), torch.ones(6))
    assert made.labels.min() < 0.005 and made.labels.max(1).values.min() >= 0.4999
    assert torch.equal(read_labels(written_labels(made.labels)).argmax(1), made.hard_labels)
    assert Traits.of(make_distiller(c)).soft_labels
    assert not Traits.of(make_distiller(config(name))).soft_labels
    # Remembered soft labels are regressed on as they are.
    known = blobs(1, 3, num=4)
    soft = LabelledImages(known.images, 0.7 * F.one_hot(known.labels, 6) + 0.05)
    assert not torch.equal(distil(c, known=soft).images, made.images)


@pytest.mark.parametrize("name", ["kip", "frepo"])
@pytest.mark.parametrize("kind", ["ntk", "network", "mixed"])
def test_loss_falls_and_pixels_stay_in_range(name: str, kind: str) -> None:
    losses: list[float] = []
    c = changed(config(name, kernel=kind, network_uses=100), num_updates=30, batch_real=200)
    made = distil(c, on_update=lambda update: losses.append(update.loss))
    assert len(losses) == 30
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert 0 <= made.images.min() <= made.images.max() <= 1
    assert made.hard_labels.tolist() == [0, 0, 2, 2, 5, 5]


@pytest.mark.parametrize("name", ["kip", "frepo"])
def test_same_generator_same_bytes(name: str) -> None:
    one, other, third = (distil(config(name), seed=s) for s in (0, 0, 1))
    assert torch.equal(one.images, other.images) and not torch.equal(one.images, third.images)


@pytest.mark.parametrize("name", ["kip", "frepo"])
def test_what_memory_holds_counts(name: str) -> None:
    alone, beside = distil(config(name)), distil(config(name), known=blobs(1, 3, num=4))
    assert not torch.equal(alone.images, beside.images)


def test_a_large_memory_is_drawn_from_and_that_is_said() -> None:
    heard: list[Update] = []
    known = blobs(1, 3, num=30)
    distil(config(max_support=10), known=known, on_update=heard.append)
    assert [u.note for u in heard if u.note] == [
        "10 of 60 images of memory were drawn for the support"
    ]
    updates = only_block(config(max_support=10), job(blobs(0), SPEC, known=known))
    assert len(updates.known) == 10 and set(updates.known_labels.tolist()) == {1, 3}


def test_one_class_alone_is_said() -> None:
    heard: list[Update] = []
    distil(config(matching_weight=0.0), 2, on_update=heard.append)
    assert [u.note for u in heard if u.note] == [NO_OTHERS]
    heard.clear()
    distil(config(), 2, on_update=heard.append)
    assert not [u.note for u in heard if u.note], "its own real images are there to be matched"


@pytest.mark.parametrize("start", ["real", "herding", "easy", "noise"])
def test_starts(start: str) -> None:
    c = changed(config(), learning_rate=1e-9).replace(initialisation=start)
    made = distil(c)
    real = {image.numpy().tobytes() for image in blobs(0, 2, 5).images}
    held = [image.numpy().tobytes() in real for image in made.quantised().images]
    assert not any(held) if start == "noise" else all(held)


def test_the_gradient_passes_straight_through_a_coarse_codec() -> None:
    """What is written is seen; the step is that of its gradient, as if nothing were rounded."""
    codec = parse("levels:side=6,levels=2")
    plain = job(blobs(0, 2, 5), SPEC, codec="levels:side=6,levels=2")
    updates = only_block(config(matching_weight=0.0, rate_weight=0.0), plain)
    before = updates.grid.detach().clone()
    assert set(codec.rounded(before).unique().tolist()) == {0, 255}
    assert len(before.unique()) > 10, "they begin between the levels"
    written = (codec.rounded(before).float() / 255).requires_grad_()
    images = SPEC.normalise(codec.enlarged(written, SPEC.shape)).flatten(1)
    rng = torch.Generator().set_state(plain.generator.get_state())
    batch = torch.randperm(len(plain.real), generator=rng)[:30]
    targets = SPEC.normalise(plain.real.images[batch]).flatten(1)
    loss = regression_loss(
        tangent_kernel(images, images, 2),
        tangent_kernel(targets, images, 2),
        centred(updates.labels, 6),
        centred(plain.real.labels[batch], 6),
        0.01,
    )
    (expected,) = torch.autograd.grad(loss, written)
    assert updates.update() == pytest.approx(float(loss.detach()), rel=1e-4)
    assert updates.grid.grad is not None
    torch.testing.assert_close(updates.grid.grad, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("num", [1, 10, 11, 25, 30])
def test_blocks_hold_every_image_once_and_classes_alike(
    num: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MOST_LEARNT", 10)
    labels = torch.arange(num) % 3  # not sorted by class
    places = blocks_of(labels)
    assert torch.equal(torch.cat(places).sort().values, torch.arange(num))
    assert all(
        1 <= len(place) <= 12 and torch.equal(place, place.sort().values) for place in places
    )
    for c in range(3):
        held = [int((labels[place] == c).sum()) for place in places]
        assert max(held) - min(held) <= 1


def test_many_images_are_learnt_in_blocks_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    c, seen = changed(config(), num_updates=3), list[int]()
    whole = distil(c, images_per_class=8)
    learn = KernelUpdates.update

    def watched(self: KernelUpdates) -> float:
        seen.append(len(self.grid))
        return learn(self)

    monkeypatch.setattr(KernelUpdates, "update", watched)
    monkeypatch.setattr(blocks, "MOST_LEARNT", 10)
    heard: list[Update] = []
    made = distil(c, images_per_class=8, on_update=heard.append)
    assert seen == [8, 8, 8] * 3
    assert [u.note for u in heard if u.note] == [
        "24 images were learnt in 3 blocks of at most 10, each by itself"
    ]
    assert made.labels.tolist() == whole.labels.tolist() == [0] * 8 + [2] * 8 + [5] * 8
    # All begin at the same images; in three updates of Adam none gets far.
    assert 0 < (made.images - whole.images).abs().max() < 2 * 3 * 0.02 + 1e-6


def test_a_block_may_lack_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_LEARNT", 6)
    of_job = job(blobs(0, 2, 5), SPEC, codec="levels:side=6,levels=2")
    made = make_distiller(config()).distill(of_job.replace(counts={0: 9, 2: 1, 5: 9}))
    assert made.labels.tolist() == [0] * 9 + [2] + [5] * 9
    assert made.images.isfinite().all()


def test_blocks_cost_in_proportion() -> None:
    distiller = make_distiller(DistillationConfig("kip"))
    one, many = (distiller.flops(SPEC, Workload(12000, 2, n * blocks.MOST_LEARNT)) for n in (1, 3))
    assert many == pytest.approx(3 * one)


def test_networks_are_drawn_anew_when_they_are_used_up() -> None:
    c = config("frepo", network_uses=2, num_networks=2)
    updates = only_block(c, job(blobs(0, 2, 5), SPEC))
    assert updates.pool is not None
    seeds = []
    for _ in range(6):
        updates.update()
        seeds.append(tuple(member["seed"] for member in updates.pool.state_dict()))
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3] != seeds[4] == seeds[5]
    assert len(set(seeds[0])) == 2


def test_operations() -> None:
    few, many = Workload(400, 2, 10), Workload(400, 2, 10, num_known=100, num_known_classes=4)
    for name in ("kip", "frepo"):
        distiller = make_distiller(config(name))
        assert 0 < distiller.flops(SPEC, few) < distiller.flops(SPEC, many)
    mixed = make_distiller(config("kip", kernel="mixed")).flops(SPEC, few)
    parts = (make_distiller(config(name)).flops(SPEC, few) for name in ("kip", "frepo"))
    assert mixed == pytest.approx(sum(parts))


def test_rows_of_the_table() -> None:
    assert DISTILLERS["kip"].settings == KernelSettings()
    assert DISTILLERS["frepo"].settings == KernelSettings(kernel="network", num_updates=20)
