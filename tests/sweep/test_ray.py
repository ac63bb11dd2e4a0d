"""Ray makes the runs: one small sweep with it, and what is refused without it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from clbench.errors import InputError
from clbench.run import run
from clbench.store.claims import NAME
from clbench.strategies import read_config
from clbench.sweep import ray_worker
from clbench.sweep.executor import Settings, Share, make_executor
from clbench.sweep.parcel import unpack
from clbench.sweep.ray_worker import Mailbox, Sent, make, versions
from clbench.sweep.states import state_of
from tests.sweep.commands import content, sweep
from tests.sweep.test_local import config

has_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'clbench[ray]'"
)
SETTINGS = Settings(1, tensorboard=False)


def sent(seed: int = 0, state: bytes = b"", **learner: object) -> Sent:
    text = json.dumps(config(seed=seed, **learner).to_dict())
    return Sent("r0", text, versions(), state)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "node").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_a_node_goes_on_from_what_was_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop in the middle comes back as a state; another node ends with the same report."""
    from clbench.run import loop

    mailbox = Mailbox()
    status, why, parcel = make(sent(epochs=6), SETTINGS, mailbox)
    assert (status, why) == ("done", "") and not list((tmp_path / "node").iterdir())
    ((name, _),) = mailbox.take()[0]
    assert name == "r0" and mailbox.take() == ([], {})
    unpack(parcel, tmp_path / "straight")
    assert state_of(tmp_path / "straight").status == "done"
    learnt, may_stop = [], loop.may_stop

    def stop() -> None:
        learnt.append(1)
        if len(learnt) == 15:
            from clbench.machine import steps

            steps.postponed()
        may_stop()

    monkeypatch.setattr(loop, "may_stop", stop)
    status, why, parcel = make(sent(epochs=6), SETTINGS, Mailbox())
    monkeypatch.undo()
    assert (status, why) == ("interrupted", "the sweep was stopped")
    unpack(parcel, tmp_path / "stopped")
    assert (tmp_path / "stopped/status.json").exists()
    status, _, parcel = make(sent(state=parcel, epochs=6), SETTINGS, Mailbox())
    unpack(parcel, tmp_path / "stopped")
    assert status == "done"
    one, two = (content(tmp_path / x / "report.json") for x in ("straight", "stopped"))
    assert one == two


def test_states_are_sent_and_a_stop_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopping(Mailbox):
        """Asks for a stop when a state has come."""

        def put(self, name: str, state: bytes) -> None:
            super().put(name, state)
            self.stop()

    monkeypatch.setattr("clbench.store.under_way.EVERY_SECONDS", 0.2)
    monkeypatch.setattr(ray_worker, "LOOK_SECONDS", 0.05)
    mailbox = Stopping()
    status, _, parcel = make(sent(epochs=2000, batch_size=4), SETTINGS, mailbox)
    assert status == "interrupted"
    for name, packed in (("sent", mailbox.take()[1]["r0"]), ("back", parcel)):
        unpack(packed, tmp_path / name)
        assert (tmp_path / name / "checkpoint.pt").exists()
    assert state_of(tmp_path / "back").status == "unfinished"


def test_what_a_node_cannot_make_says_why(tmp_path: Path) -> None:
    other = Sent("r0", "{}", ("0.0.1", versions()[1]), b"")
    status, why, parcel = make(other, SETTINGS, Mailbox())
    assert status == "failed" and "expected clbench" in why and "found" in why and not parcel
    foreign = Sent("r0", '{"strategy": "their_replay"}', versions(), b"")
    status, why, _ = make(foreign, SETTINGS, Mailbox())
    assert status == "failed" and "their_replay" in why and "\n" not in why
    text = json.dumps({**config().to_dict(), "benchmark": {"name": "split_mnist"}})
    missing = Settings(1, tmp_path / "nowhere", tensorboard=False)
    status, why, parcel = make(Sent("r0", text, versions(), b""), missing, Mailbox())
    assert status == "failed" and "MNIST" in why
    unpack(parcel, tmp_path / "here")
    assert state_of(tmp_path / "here").why == why


def test_what_killed_workers_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clbench.store.claims import claim_directory

    monkeypatch.setattr(ray_worker, "_ABANDONED_SECONDS", -1.0)
    left, used, other = (
        tmp_path / "node" / name for name in ("clbench-sweep-a", "clbench-sweep-b", "c")
    )
    for folder in (left, used, other):
        (folder / "run").mkdir(parents=True)
    (left / "run" / NAME).touch()
    claim = claim_directory(used / "run")
    assert claim is not None
    with ray_worker._folder() as folder:
        assert folder.exists() and not left.exists() and used.exists() and other.exists()
    claim.release()


@pytest.mark.parametrize(
    ("executor", "share", "words"),
    [
        ("local", Share(gpus=1), "add --executor ray"),
        ("local", Share(memory_bytes=1), "add --executor ray"),
        ("slurm", Share(), "expected one of local, ray, found 'slurm'"),
        pytest.param("ray", Share(address="ray://a:1"), "HOST:PORT", marks=has_ray),
    ],
)
def test_what_no_executor_gives(executor: str, share: Share, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        make_executor(executor, tmp_path, SETTINGS, share)


@has_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:99999999"])
def test_no_cluster_answers(address: str, tmp_path: Path) -> None:
    pool = make_executor("ray", tmp_path, SETTINGS, Share(address=address))
    with pytest.raises(InputError, match="expected a cluster .* found none") as error:
        pool.at_once()
    assert "\n" not in str(error.value) and "ray start --head" in str(error.value)


def test_without_ray_there_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'clbench\[ray\]'") as error:
        make_executor("ray", tmp_path, SETTINGS, Share())
    assert "\n" not in str(error.value)


@has_ray
def test_ray_makes_what_a_run_makes(tmp_path: Path) -> None:
    """One start of Ray, in a process of its own: one run is done and one diverges."""
    small = ["--train-per-class", "20", "--epochs", "1", "--width", "8", "--depth", "1", "--vary",
             "learning-rate=0.1,1e30", "--num-experiences", "2", "--no-tensorboard"]  # fmt: skip
    printed, cache = tmp_path / "printed.txt", tmp_path / "cache"
    command = sweep(tmp_path / "s", [*small, "--executor", "ray"], cache=cache, printed=printed)
    assert command.wait() == 0, printed.read_text()
    assert "1 of 2 runs did not end well" in printed.read_text()
    assert "lower --learning-rate" in printed.read_text()
    (report,) = (tmp_path / "s").glob("runs/*/report.json")
    made = read_config(json.loads((report.parent / "config.json").read_text()))
    run(made, output=tmp_path / "here", use_cache=False)
    assert content(report) == content(tmp_path / "here" / "report.json")
