"""Counts worked by hand, and a clock that the test turns."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn

from clbench.measuring import cost
from tests.platforms import linux_books


def small_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 5)
    )


# 8 x 8 positions x 4 filters of 2 x 3 x 3 weights; 64 x 5 weights.
CONV, LINEAR = 64 * 4 * 18, 320


def convnet(channels: int, size: int, blocks: int, num_classes: int) -> nn.Sequential:
    """The ConvNet of the DC family, width 128; 1-channel images are padded to 32 x 32."""
    layers: list[nn.Module] = []
    inputs = channels
    for block in range(blocks):
        padding = 3 if channels == 1 and block == 0 else 1
        size = (size + 2 * padding - 2) // 2
        layers += [nn.Conv2d(inputs, 128, 3, padding=padding), nn.GroupNorm(128, 128)]
        layers += [nn.ReLU(), nn.AvgPool2d(2)]
        inputs = 128
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * size * size, num_classes))


def test_multiply_adds_of_a_small_network_counted_by_hand():
    assert cost.forward_flops(small_network(), (2, 8, 8)) == CONV + LINEAR


def test_report_counting_adds_activations_and_the_inputs_of_poolings():
    relu, pool = 4 * 8 * 8, 4 * 8 * 8
    counted = cost.forward_flops(small_network(), (2, 8, 8), report_counting=True)
    assert counted == CONV + LINEAR + relu + pool
    largest = nn.Sequential(nn.MaxPool2d(2), nn.Sigmoid())
    assert cost.forward_flops(largest, (1, 4, 4)) == 0
    assert cost.forward_flops(largest, (1, 4, 4), report_counting=True) == 16 + 4


def test_published_counts_of_convnet():
    mnist = convnet(1, 28, 3, 10)
    assert cost.forward_flops(mnist, (1, 28, 28)) == pytest.approx(4.925e7, rel=1e-3)
    reported = cost.forward_flops(mnist, (1, 28, 28), report_counting=True)
    assert reported == pytest.approx(4.96e7, rel=1e-3)
    medical = convnet(3, 128, 7, 2)
    assert cost.forward_flops(medical, (3, 128, 128)) == pytest.approx(8.757e8, rel=1e-3)
    reported = cost.forward_flops(medical, (3, 128, 128), report_counting=True)
    assert reported == pytest.approx(8.81e8, rel=1e-3)


def test_counting_is_silent_and_leaves_the_network_as_it_was(capfd, caplog, recwarn):
    network = small_network().append(nn.Dropout())
    network[0].eval()
    before = [module.training for module in network.modules()]
    state, random = torch.get_rng_state(), network.state_dict()
    cost.forward_flops(network, (2, 8, 8))
    assert [module.training for module in network.modules()] == before
    assert before == [True, False, True, True, True, True, True]
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in random.items())
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert not recwarn.list


class Timer:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_inner_phases_are_not_counted_in_outer_ones():
    timer = Timer()
    clock = cost.Stopwatch(timer=timer)
    timer.now += 1
    with clock.phase("train"):
        timer.now += 2
        with clock.phase("distil"):
            timer.now += 4
            with clock.phase("evaluate"):
                timer.now += 8
            timer.now += 16
        timer.now += 32
    with clock.phase("evaluate"):
        timer.now += 64
    assert clock.seconds == {"train": 34, "distil": 20, "evaluate": 72}
    assert list(clock.seconds) == ["train", "distil", "evaluate"]
    assert clock.total_seconds == 127


def test_a_phase_that_fails_is_charged_and_left():
    timer = Timer()
    clock = cost.Stopwatch(timer=timer)
    with pytest.raises(KeyError), clock.phase("train"):
        timer.now += 3
        raise KeyError
    timer.now += 5
    with clock.phase("evaluate"):
        timer.now += 7
    assert clock.seconds == {"train": 3, "evaluate": 7}


def test_peak_memory_is_in_bytes_and_grows():
    before = cost.peak_memory_bytes()
    block = torch.ones(16 * 2**20)  # 64 MiB
    after = cost.peak_memory_bytes()
    assert block.sum() > 0
    assert before is not None
    assert after is not None
    # Python with torch needs tens of megabytes at least, and no machine has a petabyte.
    assert 2**25 < before <= after < 2**50
    assert after >= block.nbytes


@linux_books
def test_a_peak_is_not_the_parents():
    """What a process held before exec(2) is in getrusage(2): a worker would report its parent."""
    block = torch.ones(2**27)
    code = "from clbench.measuring.cost import peak_memory_bytes; print(peak_memory_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 2**20 < int(done.stdout) < block.nbytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_peak_memory_of_a_gpu():
    device = torch.device("cuda")
    block = torch.ones(2**20, device=device)
    assert cost.peak_memory_bytes(device) >= block.nbytes


def test_environment_is_plain_and_repeats():
    found = cost.environment()
    assert found == cost.environment(torch.device("cpu"))
    assert json.loads(json.dumps(found)) == found
    assert found["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert found["versions"]["torch"] == torch.__version__
    assert set(found["versions"]) == {"clbench", "torch", "torchvision", "avalanche-lib", "numpy"}
    assert found["num_threads"] == torch.get_num_threads()
    assert found["device"] == "cpu"
    assert found["processor"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_commit_and_dirty_flag_of_a_source_tree(tmp_path):
    package = tmp_path / "tree" / "clbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")

    def git(*arguments: str) -> str:
        name = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(package), *name, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert cost._git_state(package) == (None, None)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert cost._git_state(package) == (commit, False)
    (package.parent / "results").write_text("outside the sources")
    assert cost._git_state(package) == (commit, False)
    (package / "new.py").write_text("")
    assert cost._git_state(package) == (commit, True)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_an_installed_copy_inside_somebody_elses_repository_has_no_commit(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    package = tmp_path / "site-packages" / "clbench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert cost._git_state(package) == (None, None)


def test_the_rate_is_that_of_forward_passes() -> None:
    network = small_network()
    found = cost.forward_rate(network, (2, 8, 8))
    assert found > cost.forward_flops(network, (2, 8, 8)), "an image takes under a second"
