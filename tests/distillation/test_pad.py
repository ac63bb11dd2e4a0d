"""MTT, DATM and PAD as distillers: what is learnt, what is switched, what may be given."""

from __future__ import annotations

import pytest
import torch

from clbench.codecs import parse
from clbench.coded import CodedImages
from clbench.config import DistillationConfig, NetworkConfig, TrajectorySettings
from clbench.distillation import DISTILLERS, Update, Workload, make_distiller, student
from clbench.distillation.alone import NO_NEGATIVES
from clbench.distillation.augmentation import draw
from clbench.distillation.problem import Problem
from clbench.distillation.selection.distiller import Herding
from clbench.distillation.trajectories import updates
from clbench.distillation.trajectories.distance import matching_gradient
from clbench.distillation.trajectories.experts import Trajectories
from clbench.distillation.trajectories.settings import DATM, MTT, PAD
from clbench.distillation.trajectories.updates import TrajectoryUpdates
from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages
from tests import distilling
from tests.distilling import changed, distillation, job

SPEC = ImageSpec(1, 12, 12, 6, (0.2,), (0.3,), augmentation="crop_scale")
CPU = torch.device("cpu")
NETWORK = NetworkConfig("convnet", width=4, depth=2, norm="instance")
CORNERS = {0: (0, 0), 2: (0, 6), 5: (6, 3)}


def blobs(*classes: int, num: int = 24) -> LabelledImages:
    """Classes out of six, each a bright square in its own place, with noise."""
    g = torch.Generator().manual_seed(0)
    images = torch.rand(len(classes) * num, 1, 12, 12, generator=g) * 0.5
    labels = torch.tensor(classes).repeat(num)
    for c in classes:
        row, column = CORNERS[c]
        images[labels == c, :, row : row + 6, column : column + 6] += 0.3
    return LabelledImages((images * 255).to(torch.uint8), labels)


def config(distiller: str = "pad", *, experts: dict | None = None, **changes) -> DistillationConfig:
    """A short loop of a trajectory method; ``changes`` as of `distillation`."""
    trained = {
        "num_experts": 2,
        "epochs": 2,
        "snapshots_per_epoch": 3,
        "batch_size": 12,
        "learning_rate": 0.05,
        "num_difficulty_networks": 1,
        "difficulty_epochs": 1,
    }
    settings = {
        "network": NETWORK,
        "precision": "float32",
        "num_updates": 6,
        "student_steps": 3,
        "expert_snapshots": 1,
        "batch_synthetic": None,
        "first_start": 0,
        "initial_last_start": 1,
        "last_start": 4,
        "normalise_gradient": False,
        "learning_rate": 100.0,
        "decay": "none",
        "step_size": 0.03,
        "max_loss": 100.0,
        "matched_start": "none",
        "start": {"learning_rate": 5.0},
    }
    return distillation(
        distiller, **{**settings, **changes}, experts={**trained, **(experts or {})}
    )


def distil(
    c: DistillationConfig, *, real: LabelledImages | None = None, **of_job
) -> tuple[LabelledImages, list[Update]]:
    """The images and all that was told; experts are shared by all tests."""
    heard: list[Update] = []
    real = blobs(0, 2, 5) if real is None else real
    made = distilling.distil(c, real, SPEC, on_update=heard.append, keep=True, **of_job)
    return made, heard


@pytest.mark.parametrize("distiller", ["mtt", "datm", "pad"])
def test_the_distance_falls(distiller):
    c = config(distiller, num_updates=24, last_start=1, learning_rate=20.0)
    _, heard = distil(c)
    losses = [u.loss for u in heard if u.phase == "distil"]
    assert len(losses) == 24
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])


def test_three_settings_of_one_thing():
    as_pad = dict(data_scheduler=True, growing_start=True, mask_ratio=0.25, soft_labels=True)
    as_mtt = dict(data_scheduler=False, growing_start=False, mask_ratio=0.0, soft_labels=False)
    one = distil(config("mtt", **as_pad))[0]
    other = distil(config("pad"))[0]
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    assert MTT.replace(**as_pad) == PAD and PAD.replace(**as_mtt) == MTT
    assert PAD.replace(data_scheduler=False, mask_ratio=0.0) == DATM
    assert [DISTILLERS.find(n).settings for n in ("pad", "datm", "mtt")] == [PAD, DATM, MTT]


@pytest.mark.parametrize("switch", [{"data_scheduler": False}, {"mask_ratio": 0.0},
                                    {"soft_labels": False}, {"growing_start": False},
                                    {"learn_step_size": False}])  # fmt: skip
def test_every_part_changes_the_images(switch):
    plain, changed = distil(config())[0], distil(config(**switch))[0]
    assert not torch.equal(plain.images, changed.images)


def test_soft_labels_speak_of_the_classes_present():
    made, _ = distil(config(), real=blobs(2, 5))
    assert made.labels.shape == (4, 6)
    torch.testing.assert_close(made.labels.sum(1), torch.ones(4))
    assert made.hard_labels.tolist() == [2, 2, 5, 5]
    assert not made.labels[:, [0, 1, 3, 4]].any()
    assert (made.labels[:, [2, 5]] > 0).all()
    hard, _ = distil(config(soft_labels=False), real=blobs(2, 5))
    assert hard.labels.tolist() == [2, 2, 5, 5]


@pytest.mark.parametrize("step", [1e-9, 1e6])
def test_own_class_keeps_its_probability_whatever_the_labels_step(step):
    made, _ = distil(config(label_learning_rate=step))
    own = made.labels.gather(1, torch.tensor([0, 0, 2, 2, 5, 5])[:, None])
    assert own.min() > 0.9 - 1e-6
    assert made.hard_labels.tolist() == [0, 0, 2, 2, 5, 5]


def test_soft_labels_are_learnt_and_charged():
    start, _ = distil(config(label_learning_rate=1e-9))
    moved, _ = distil(config())
    assert (start.labels - moved.labels).abs().max() > 1e-4
    assert moved.quantised().num_bytes == 6 * (144 + 4 * 6)
    assert make_distiller(config()).soft_labels
    assert not make_distiller(config("mtt")).soft_labels


def test_same_generator_same_bytes():
    one, other, third = (distil(config(), seed=s)[0] for s in (0, 0, 1))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    assert not torch.equal(one.images, third.images)


def test_tiles_learn_through_the_decoding():
    made, _ = distil(config(), codec="tiles:factor=2")
    start, _ = distil(config(learning_rate=1e-9), codec="tiles:factor=2")
    assert made.images.shape == (6, 1, 6, 6)
    assert not torch.equal(made.images, start.images)
    assert made.labels.shape == (6, 6)
    assert made.hard_labels.tolist() == [0, 0, 2, 2, 5, 5]


def test_pixels_stay_where_memory_can_store_them():
    made, _ = distil(config(learning_rate=1e5))
    assert 0 <= made.images.min() <= made.images.max() <= 1


def test_a_loss_too_large_moves_nothing_but_the_step_size():
    still, heard = distil(config(max_loss=1e-9))
    start, _ = distil(config(learning_rate=1e-9, label_learning_rate=1e-9))
    assert torch.equal(still.quantised().images, start.quantised().images)
    steps = [u.scalars["step_size"] for u in heard if u.phase == "distil"]
    assert len(set(steps)) == len(steps)
    fixed = distil(config(learn_step_size=False))[1]
    steps = [u.scalars["step_size"] for u in fixed if u.phase == "distil"]
    assert steps == pytest.approx([0.03] * 6, rel=1e-12)


def test_step_size_stays_positive_and_follows_its_gradient():
    _, heard = distil(config(step_size_learning_rate=50.0, num_updates=10))
    steps = [u.scalars["step_size"] for u in heard if u.phase == "distil"]
    assert all(step > 0 for step in steps)
    changes = [after / before for before, after in zip(steps, steps[1:], strict=False)]
    assert all(0.49 < change < 2.01 for change in changes)
    # A student that is far too slow must become faster.
    _, heard = distil(config(step_size=1e-4, step_size_learning_rate=50.0, num_updates=30))
    steps = [u.scalars["step_size"] for u in heard if u.phase == "distil"]
    assert steps[-1] > 2 * steps[0]


def test_a_diverged_student_gets_a_smaller_step():
    made, heard = distil(config(step_size=1e30, num_updates=2))
    assert torch.isfinite(made.images).all()
    steps = [u.scalars["step_size"] for u in heard if u.phase == "distil"]
    assert steps[1] == pytest.approx(steps[0] / 2)


def test_start_snapshots_grow_from_easy_to_hard():
    def starts(**changes) -> list[float]:
        c = config(num_updates=60, student_steps=1, first_start=1, initial_last_start=2,
                   last_start=5, **changes)  # fmt: skip
        return [u.scalars["start_snapshot"] for u in distil(c)[1] if u.phase == "distil"]

    growing, flat = starts(), starts(growing_start=False)
    assert set(growing[:15]) == {1.0, 2.0}
    assert set(flat[:30]) == {1.0, 2.0, 3.0, 4.0} == set(growing[45:])


def test_images_are_shown_now_and_then_and_saved_time_is_told():
    c = config(num_updates=30, student_steps=1, experts={"seed": 77})
    first = distil(c)[1]
    made, heard = distil(c)
    shown = [u for u in heard if u.images is not None]
    assert len(shown) == 10
    assert torch.equal(shown[-1].images.images, made.images)
    assert first[-1].seconds_saved == 0.0
    assert heard[-1].seconds_saved > 0.0


def test_one_class_and_nothing_known_is_herded_and_said():
    made, heard = distil(config("mtt"), real=blobs(2))
    expected = Herding().distill(job(blobs(2), SPEC))
    assert torch.equal(made.images, expected.images)
    assert [u.note for u in heard] == [NO_NEGATIVES]
    soft, _ = distil(config(), real=blobs(2))
    assert torch.equal(soft.labels, torch.eye(6)[[2, 2]])


@pytest.mark.parametrize("codec", ["raw", "tiles:factor=2"])
def test_one_class_learns_against_what_is_known(codec):
    small, _ = distil(config(), real=blobs(0, 5), codec=codec)
    known = CodedImages.of(small, parse(codec), SPEC.shape).images
    made, heard = distil(config(), real=blobs(2), known=known)
    assert made.hard_labels.tolist() == [2, 2]
    assert not any(u.note for u in heard)
    assert not made.labels[:, [1, 3, 4]].any()
    assert (made.labels[:, [0, 2, 5]] > 0).all()
    start, _ = distil(config(learning_rate=1e-9), real=blobs(2), known=known)
    assert not torch.equal(made.images, start.images)


def test_a_class_of_negatives_is_shown_as_often_as_a_real_one():
    known = blobs(0, 5, num=3)
    problem = Problem.make(blobs(2), SPEC, known, CPU)
    counts = problem.images.labels.bincount().tolist()
    assert counts == [24, 24, 24]
    assert problem.classes == (0, 2, 5)
    assert problem.spec.num_classes == 3


def test_several_classes_learn_against_what_is_known_if_told_to():
    real, known = blobs(0, 2), blobs(5, num=2)
    alone, _ = distil(config(), real=real)
    helped, _ = distil(config(against_memory=True), real=real, known=known)
    left, _ = distil(config(against_memory=False), real=real, known=known)
    assert torch.equal(alone.images, left.images)
    assert not torch.equal(alone.images, helped.images)
    assert helped.hard_labels.tolist() == [0, 0, 2, 2]
    assert (helped.labels[:, 5] > 0).all()
    assert not left.labels[:, 5].any()


def test_students_see_no_more_images_at_once_than_they_are_told(monkeypatch):
    sizes = []

    def watched(operations, num, *rest):
        sizes.append(num)
        return draw(operations, num, *rest)

    monkeypatch.setattr(student, "draw", watched)
    known = blobs(0, 5, num=3)
    distil(config(batch_synthetic=5, num_updates=2), real=blobs(2), known=known)
    distil(config(batch_synthetic=None, num_updates=2), real=blobs(2), known=known)
    assert sizes == [5] * 6 + [8] * 6


def test_images_start_where_the_expert_is_right(monkeypatch):
    """With labels of which half are wrong, the start holds only those that are learnt."""
    real = blobs(0, 2)
    swapped = torch.arange(len(real)) % 4 < 2
    labels = torch.where(swapped, 2 - real.labels, real.labels)
    wrong = LabelledImages(real.images, labels)
    problem = Problem.make(wrong, SPEC, None, CPU)
    learnt = TrajectoryUpdates.__new__(TrajectoryUpdates)
    learnt.problem, learnt.settings, learnt.device = problem, PAD, CPU
    learnt.generator = torch.Generator().manual_seed(0)
    learnt.experts = Trajectories(torch.zeros(1, 1, 1), 0.0)
    truth = (real.labels == 2).long()
    monkeypatch.setattr(learnt, "_predict", lambda w, data: torch.eye(2)[truth])
    chosen = learnt._learnt_first({0: 8, 1: 8})
    assert not swapped[chosen].any()
    assert problem.real.hard_labels[chosen].tolist() == [0] * 8 + [1] * 8


def test_easy_and_herded_images_can_be_the_start():
    def start(initialisation: str) -> LabelledImages:
        return distil(config(initialisation=initialisation, learning_rate=1e-9))[0].quantised()

    herded = Herding().distill(job(blobs(0, 2, 5), SPEC))
    assert torch.equal(start("herding").images, herded.images)
    easy, noise = start("easy"), start("noise")
    assert not torch.equal(easy.images, herded.images)
    known = {image.numpy().tobytes() for image in blobs(0, 2, 5).images}
    assert {image.numpy().tobytes() for image in easy.images} <= known
    assert not {image.numpy().tobytes() for image in noise.images} & known


@pytest.mark.parametrize("codec", ["raw", "tiles:factor=2"])
@pytest.mark.parametrize("matching", ["dm", "datadam"])
def test_matched_images_can_be_the_start(matching, codec):
    c = config("mtt", matched_start=matching, learning_rate=1e-9, num_networks=2)
    made, heard = distil(c, codec=codec)
    as_start = c.replace(distiller=matching, settings=c.own(TrajectorySettings).start)
    expected = distilling.distil(as_start, blobs(0, 2, 5), SPEC, codec=codec)
    assert torch.equal(made.quantised().images, expected.quantised().images)
    assert made.labels.tolist() == [0, 0, 2, 2, 5, 5]
    assert [u.phase for u in heard if u.phase != "experts"] == ["start"] * 10 + ["distil"] * 6
    moved, _ = distil(changed(c, learning_rate=100.0))
    assert not torch.equal(moved.images, made.images)


def test_step_sizes_of_images_labels_and_student_can_fall_to_nothing():
    def images_told(decay: str) -> list[LabelledImages]:
        heard = distil(config(decay=decay, num_updates=10, student_steps=1))[1]
        return [u.images for u in heard if u.images is not None]

    def last_move(decay: str, what: str) -> float:
        *_, before, last = [getattr(told, what) for told in images_told(decay)]
        return float((last - before).norm())

    for what in ("images", "labels"):
        assert last_move("cosine", what) < 0.5 * last_move("none", what)


@pytest.mark.parametrize("codec", ["raw", "tiles:factor=2"])
@pytest.mark.parametrize("images_per_class", [1, 3])
def test_a_normalised_step_is_as_long_as_it_says(images_per_class, codec):
    def images(**changes) -> torch.Tensor:
        c = config(num_updates=1, normalise_gradient=True, **changes)
        return distil(c, images_per_class=images_per_class, codec=codec)[0].images

    step = (images(learning_rate=1e-3) - images(learning_rate=1e-9)) / SPEC.std[0]
    # Pixels at 0 may not become darker, so the step falls short of it a little.
    assert 0.8e-3 < float(step.square().mean().sqrt()) <= 1.0001e-3


def test_without_a_gradient_nothing_moves_and_nothing_breaks():
    c = config(num_updates=2, normalise_gradient=True, step_size=1e-30, learn_step_size=False)
    start, made = (distil(changed(c, learning_rate=rate))[0] for rate in (1e-9, 1.0))
    assert torch.equal(made.quantised().images, start.quantised().images)


def test_the_mask_leaves_out_the_shallow_end(monkeypatch):
    masks = []

    def watched(*args, first_parameter: int, **options):
        masks.append((first_parameter, len(options["start_P"])))
        return matching_gradient(*args, first_parameter=first_parameter, **options)

    monkeypatch.setattr(updates, "matching_gradient", watched)
    distil(config(mask_ratio=0.5, num_updates=1))
    (first, num) = masks[0]
    assert first == num // 2


def test_networks_with_running_statistics_are_refused():
    c = config(network=NetworkConfig("convnet", width=4, depth=2, norm="batch"))
    with pytest.raises(InputError, match="running statistics"):
        distil(c)


def test_work_grows_with_steps_and_experts():
    def flops(**changes) -> float:
        made = make_distiller(config(**changes))
        return made.flops(SPEC, Workload(num_real=100, num_classes=3, num_images=6))

    assert flops(student_steps=6) > flops() > 0
    assert flops(matched_start="datadam") > flops()
    assert flops(experts={"num_experts": 3}) > flops() > flops(data_scheduler=False)
    # One network of one epoch judges difficulty: as much work as one expert's epoch.
    judged = flops() - flops(data_scheduler=False)
    assert flops(experts={"difficulty_epochs": 3}) - flops() == pytest.approx(2 * judged)


def test_work_is_that_of_what_is_learnt_against_memory_too():
    def flops(num_classes: int, known: int, **changes) -> float:
        made = make_distiller(config(data_scheduler=False, **changes))
        return made.flops(SPEC, Workload(50 * num_classes, num_classes, 6, 10 * known, known))

    # Ten images of each of two classes, five times over, are as many as the 100 real ones.
    def of_an_expert(known: int) -> float:
        return flops(2, known, experts={"num_experts": 3}) - flops(2, known)

    assert of_an_expert(2) == pytest.approx(2 * of_an_expert(0))
    assert flops(2, 2, batch_synthetic=50) > flops(2, 2, batch_synthetic=8) > flops(2, 0)
    assert flops(2, 2, against_memory=False) == flops(2, 0)
    # One class alone is herded.
    assert flops(1, 0) == Herding().flops(SPEC, Workload(50, 1, 6)) < flops(1, 1)
