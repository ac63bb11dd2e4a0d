"""Back-propagation through training, against unrolling as the paper does it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clbench import networks
from clbench.codecs import parse
from clbench.config import DistillationConfig, NetworkConfig
from clbench.distillation import DISTILLERS, Update, Workload, make_distiller
from clbench.distillation.alone import NO_NEGATIVES
from clbench.distillation.augmentation import draw
from clbench.distillation.bptt.settings import BpttSettings
from clbench.distillation.bptt.updates import DIVERGED, BpttUpdates
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.problem import Problem
from clbench.errors import InputError
from clbench.types import LabelledImages
from tests import distilling
from tests.distillation.test_pad import NETWORK, SPEC, blobs
from tests.distilling import changed, distillation

CPU = torch.device("cpu")


def config(**changes: Any) -> DistillationConfig:
    """A short distillation."""
    settings: dict[str, Any] = {
        "network": NETWORK,
        "precision": "float32",
        "num_updates": 4,
        "unroll": 5,
        "window": 3,
        "batch_real": 30,
        "batch_synthetic": None,
        "matched_start": "none",
    }
    return distillation("bptt", **{**settings, **changes})


def distil(
    c: DistillationConfig, *, real: LabelledImages | None = None, **of_job: Any
) -> tuple[LabelledImages, list[Update]]:
    """The images and all that was told."""
    heard: list[Update] = []
    made = distilling.distil(
        c, blobs(0, 2, 5) if real is None else real, SPEC, on_update=heard.append, **of_job
    )
    return made, heard


def test_the_loss_of_fresh_networks_falls() -> None:
    _, heard = distil(config(num_updates=40, learning_rate=0.1, window=4))
    losses = [u.loss for u in heard]
    assert len(losses) == 40
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


@pytest.mark.parametrize("window", [2, 4])
@pytest.mark.parametrize("soft_labels", [False, True])
def test_first_update_is_that_of_the_unrolled_training(window: int, soft_labels: bool) -> None:
    """Autograd through all steps of the window; weights before it count as constant."""
    c = config(unroll=4, window=window, soft_labels=soft_labels, augmentation="none")
    c = c.replace(network=NetworkConfig("mlp", width=6, depth=1))
    job = distilling.job(blobs(0, 2), SPEC, 2, seed=3)
    problem = Problem.make(job.real, job.spec, None, CPU)
    flat = FlatNetwork(c.network, problem.spec, CPU)
    updates = BpttUpdates(c, problem, flat, None, job)
    gradients: list[Tensor] = []
    rng = torch.Generator()
    rng.set_state(job.generator.get_state())
    updates.optimizer.step = lambda: gradients.extend(  # type: ignore[method-assign,assignment]
        x.grad for x in updates._inputs() if x.grad is not None
    )
    grid, logits = updates.student.grid.detach().clone(), updates.student.logits.detach().clone()
    loss, told = updates._update()

    num_steps = int(torch.randint(window, 5, (1,), generator=rng))
    seed = int(torch.randint(2**62, (1,), generator=rng))
    assert told == {"network_steps": num_steps}
    network = networks.build(c.network, problem.spec, seed=seed)
    names = [name for name, _ in network.named_parameters()]
    weights = [p.detach().requires_grad_() for p in network.parameters()]
    images, labels = grid.requires_grad_(), logits.requires_grad_()
    hard = F.one_hot(updates.student.labels, 2).float()
    for _ in range(num_steps):  # the order of a full batch moves nothing
        torch.randperm(4, generator=rng)
        draw("none", 4, (12, 12), rng)
    for step in range(num_steps):
        if step == num_steps - window:
            weights = [w.detach().requires_grad_() for w in weights]
        named = dict(zip(names, weights, strict=True))
        output = torch.func.functional_call(network, named, (images,))
        step_loss = F.cross_entropy(output, labels.softmax(1) if soft_labels else hard)
        slopes = torch.autograd.grad(step_loss, weights, create_graph=True)
        weights = [w - 0.1 * g for w, g in zip(weights, slopes, strict=True)]
    batch = problem.images.select(torch.randperm(len(problem.images), generator=rng)[:30])
    named = dict(zip(names, weights, strict=True))
    output = torch.func.functional_call(network, named, (problem.spec.normalise(batch.images),))
    judged = F.cross_entropy(output, batch.hard_labels)
    learnt = [images, labels] if soft_labels else [images]
    expected = torch.autograd.grad(judged, learnt)
    assert loss == pytest.approx(float(judged.detach()), rel=1e-6)
    assert len(gradients) == len(learnt)
    for found, one in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, one, rtol=1e-3, atol=1e-7)
        assert found.abs().max() > 1e-6


def test_networks_take_any_number_of_steps_within_both_limits() -> None:
    _, heard = distil(config(num_updates=30))
    assert {u.scalars["network_steps"] for u in heard} == {3.0, 4.0, 5.0}


def test_images_keep_to_pixels_and_labels_to_their_class() -> None:
    c = config(num_updates=8, learning_rate=5.0, label_learning_rate=20.0, step_size=0.5)
    made, _ = distil(c)
    assert made.images.dtype == torch.float32
    assert made.images.min() == 0 and made.images.max() == 1
    torch.testing.assert_close(made.labels.sum(1), torch.ones(6))
    own = made.labels.gather(1, torch.tensor([0, 0, 2, 2, 5, 5])[:, None])
    assert own.min() >= 0.5 - 1e-6 and not made.labels[:, [1, 3, 4]].any()


def test_hard_labels_stay() -> None:
    made, _ = distil(config(soft_labels=False))
    assert made.labels.tolist() == [0, 0, 2, 2, 5, 5]
    assert not make_distiller(config(soft_labels=False)).soft_labels  # type: ignore[attr-defined]


def test_learns_against_what_memory_holds() -> None:
    known = blobs(0, 2, num=3)
    helped, _ = distil(config(), real=blobs(5), known=known)
    alone, heard = distil(config(), real=blobs(5))
    assert helped.hard_labels.tolist() == [5, 5] and (helped.labels[:, [0, 2]] > 0).all()
    assert [u.note for u in heard] == [NO_NEGATIVES]
    assert torch.equal(alone.labels, F.one_hot(torch.tensor([5, 5]), 6).float())
    left, _ = distil(config(against_memory=False), real=blobs(0, 2), known=blobs(5, num=3))
    assert not left.labels[:, 5].any()


@pytest.mark.parametrize("codec", ["tiles:factor=2", "levels:side=6,levels=2"])
def test_learns_through_a_codec(codec: str) -> None:
    still, moved = (
        distil(config(num_updates=num, learning_rate=0.3), codec=codec)[0] for num in (1, 6)
    )
    assert still.images.shape == moved.images.shape == (6, 1, 6, 6)
    written = parse(codec)
    both = [written.rounded(images.images.float()) for images in (still, moved)]
    assert not torch.equal(*both)


def test_a_start_is_matched_first() -> None:
    c = config(matched_start="dm", start={"num_networks": 2, "updates_per_network": 2})
    _, heard = distil(c)
    assert [u.phase for u in heard] == ["start"] * 4 + ["distil"] * 4


@pytest.mark.parametrize("initialisation", ["herding", "easy", "noise"])
def test_other_images_can_be_the_start(initialisation: str) -> None:
    made, _ = distil(config(initialisation=initialisation, num_updates=1, learning_rate=1e-9))
    plain, _ = distil(config(num_updates=1, learning_rate=1e-9))
    assert not torch.equal(made.images, plain.images)


def test_networks_that_diverge_move_nothing() -> None:
    c = config(num_updates=3, step_size=1e30)
    made, heard = distil(c)
    assert [u.loss for u in heard] == [DIVERGED] * 3
    start, _ = distil(config(num_updates=1, learning_rate=1e-12, label_learning_rate=1e-12))
    torch.testing.assert_close(made.images, start.images, rtol=0, atol=1e-6)


def test_cost_grows_with_window_and_steps() -> None:
    work = Workload(num_real=60, num_classes=3, num_images=6)

    def flops(**changes: int) -> float:
        return make_distiller(config(**changes)).flops(SPEC, work)

    assert flops(unroll=10) > flops() and flops(window=4) > flops()
    assert flops(num_updates=8) == pytest.approx(2 * flops())
    seen = Workload(60, 3, 6, num_known=6, num_known_classes=2)
    plain = make_distiller(changed(config(), against_memory=False))
    assert make_distiller(config()).flops(SPEC, seen) > flops() == plain.flops(SPEC, seen)
    assert make_distiller(config()).flops(SPEC, Workload(20, 1, 2)) < flops() / 100


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(InputError, match=r"unroll: expected at least window, 20, found 10"):
        BpttSettings(unroll=10)
    for field in ("num_updates", "window", "batch_real"):
        with pytest.raises(InputError, match=field):
            BpttSettings().replace(**{field: 0})
    for field in ("step_size", "learning_rate", "label_learning_rate"):
        with pytest.raises(InputError, match=field):
            BpttSettings().replace(**{field: 0.0})
    with pytest.raises(InputError, match="running statistics"):
        distil(config(network=NetworkConfig("convnet", width=4, depth=2, norm="batch")))
    assert DISTILLERS["bptt"].settings == BpttSettings()
