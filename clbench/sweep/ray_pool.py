"""Runs of a sweep as tasks of Ray, on this machine or on a cluster.

Ray says where a run is made and what it gets; this side submits a bounded number, waits, and puts
what comes back in its place. A run whose worker or node is lost is submitted again, from the state
that it had sent last.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clbench.errors import InputError
from clbench.evaluation.trials import default_workers
from clbench.run import checkpoints
from clbench.store.claims import Claim, claim_directory
from clbench.sweep.executor import (
    MOST_ATTEMPTS,
    STOP_SECONDS,
    Ended,
    OnStart,
    Settings,
    Share,
)
from clbench.sweep.parcel import REPORT, ParcelError, pack, unpack
from clbench.sweep.ray_worker import Mailbox, Sent, make_by_ray, versions
from clbench.sweep.states import Planned, place_of, say_failed

ADDRESS_VARIABLE = "RAY_ADDRESS"
POLL_SECONDS = 1.0  # between two looks into the mailbox
ANSWER_SECONDS = 5.0  # for a connection to the cluster
_RENEW_SECONDS = 5.0  # between two looks at what the cluster has
# Submitted beyond what fits: the next run is at its node when one ends.
_AHEAD = 1
_MOST_SLOTS = 10_000


def ray_pool(folder: Path, settings: Settings, share: Share) -> RayPool:
    """Return the `Executor` that Ray's cluster is; it is reached when first needed.

    Raises:
        InputError: Ray is not installed, or an address that it cannot have.
    """
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"executor: expected Ray for --executor ray, found none ({error}); "
            "pip install 'clbench[ray]'"
        ) from None
    share = replace(share, address=share.address or os.environ.get(ADDRESS_VARIABLE) or None)
    if share.address is not None and "://" in share.address:
        raise InputError(
            f"ray-address: expected HOST:PORT of a cluster's head, or auto, found {share.address}; "
            "start the sweep on a machine that has joined the cluster (ray start --address)"
        )
    data_root = None if settings.data_root is None else settings.data_root.absolute()
    settings = replace(settings, num_threads=share.cores or 1, data_root=data_root)
    return RayPool(folder, settings, share)


@dataclass
class _Flight:
    """A run that was submitted."""

    planned: Planned
    claim: Claim
    ref: Any


@dataclass
class RayPool:
    """Runs on a cluster.

    Attributes:
        folder: of the sweep, on the driver.
        settings: for every run.
        share: what a run gets.
        nodes: run -> machine on which it began last.
    """

    folder: Path
    settings: Settings
    share: Share
    nodes: dict[str, str] = field(default_factory=dict)
    _attempts: dict[str, int] = field(default_factory=dict)
    _flying: dict[str, _Flight] = field(default_factory=dict)
    _mailbox: Any = None
    _slots: int = 0
    _joined: bool = False
    _renewed: float = -_RENEW_SECONDS
    _heard: float = 0.0

    def where(self) -> str:
        """See `Executor.where`."""
        at_once, num = self.at_once(), len(_nodes())
        return f"Ray, {num} node{'s' if num > 1 else ''}, {at_once} at once"

    def at_once(self) -> int:
        """See `Executor.at_once`.

        Raises:
            InputError: the cluster cannot be reached, or no node of it has a run's share.
        """
        self._connect()
        return self._fitting() or self._refuse()

    def close(self) -> None:
        """See `Executor.close`: leave the cluster; Ray that was started here ends."""
        if self._joined:
            _ray().shutdown()
            self._joined = False

    def run(self, planned: Sequence[Planned], on_start: OnStart | None = None) -> Iterator[Ended]:
        """See `Executor.run`."""
        queue = deque(planned)
        self.at_once()
        self._open_mailbox()
        try:
            while queue or self._flying:
                yield from self._submitted(queue, on_start)
                yield from self._gathered(queue)
        finally:
            self._stop()

    def _connect(self) -> None:
        if not _ray().is_initialized():
            _join(self.share.address)
            self._joined = True

    def _fitting(self) -> int:
        """How many runs fit on the nodes that are alive, at most as many as the share wants."""
        wanted = {"CPU": float(self.settings.num_threads), "GPU": self.share.gpus,
                  "memory": float(self.share.memory_bytes or 0)}  # fmt: skip
        num = sum(_times(node, wanted) for node in _nodes())
        return min(num, self.share.workers or _MOST_SLOTS)

    def _refuse(self) -> int:
        found = "; ".join(
            f"cores: {node.get('CPU', 0):g}, GPUs: {node.get('GPU', 0):g}, "
            f"memory: {node.get('memory', 0) / 2**30:.1f} GiB"
            for node in _nodes()
        )
        share = self.share
        wanted = f"cores: {self.settings.num_threads}, GPUs: {share.gpus:g}"
        memory = (share.memory_bytes or 0) / 2**30
        raise InputError(
            f"expected a node with a run's share ({wanted}, memory: {memory:.1f} GiB), found "
            f"{found}; lower --cores-per-run, --gpus-per-run or --memory-per-run, or add a node"
        )

    def _open_mailbox(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(
            _ray().get_runtime_context().get_node_id(), soft=False
        )
        self._mailbox = (
            _ray()
            .remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Mailbox)
            .options(scheduling_strategy=here)
            .remote()
        )

    def _submitted(self, queue: deque[Planned], on_start: OnStart | None) -> Iterator[Ended]:
        """Submit what fits; those that need not be made end at once."""
        if time.monotonic() - self._renewed > _RENEW_SECONDS:
            self._slots, self._renewed = self._fitting(), time.monotonic()
        most = self._slots + (_AHEAD if self.share.workers is None else 0)
        while queue and len(self._flying) < max(1, most):
            planned = queue.popleft()
            ended = self._submit(planned)
            if ended is not None:
                yield ended
            elif on_start is not None:
                on_start(planned)

    def _submit(self, planned: Planned) -> Ended | None:
        place = place_of(self.folder, planned.name)
        claim = claim_directory(place)
        if claim is None:
            return Ended(planned, "taken", "another sweep makes it")
        if (place / REPORT).exists():
            claim.release()
            return Ended(planned, "done")
        config = json.dumps(planned.config.to_dict())
        try:
            state = pack(place) if checkpoints.is_there(place) else b""
        except ParcelError as error:
            say_failed(place, f"cannot be sent: {error}")
            claim.release()
            return Ended(planned, "failed", f"cannot be sent: {error}")
        sent = Sent(planned.name, config, versions(), state)
        task = _ray().remote(make_by_ray).options(**self._resources())
        self._flying[planned.name] = _Flight(
            planned, claim, task.remote(sent, self.settings, self._mailbox)
        )
        return None

    def _resources(self) -> dict[str, Any]:
        wanted = {
            "num_cpus": self.settings.num_threads,
            "num_gpus": self.share.gpus,
            "memory": self.share.memory_bytes,
        }
        # A lost run is submitted again here, from the state that it sent last.
        return {**{name: v for name, v in wanted.items() if v}, "max_retries": 0}

    def _gathered(self, queue: deque[Planned]) -> Iterator[Ended]:
        ray = _ray()
        refs = {flight.ref: flight for flight in self._flying.values()}
        ready, _ = ray.wait(list(refs), num_returns=1, timeout=POLL_SECONDS)
        if ready:
            more, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0)
            ready = list({*ready, *more})
        if time.monotonic() - self._heard > POLL_SECONDS:
            self._read_mailbox()
        for ref in ready:
            flight = refs[ref]
            ended = self._landed(flight)
            if ended is None:
                queue.appendleft(flight.planned)
            else:
                yield ended

    def _landed(self, flight: _Flight) -> Ended | None:
        """Put what came back in its place; None where the run must be made again."""
        ray, name = _ray(), flight.planned.name
        place = place_of(self.folder, name)
        try:
            status, why, parcel = ray.get(flight.ref)
            if parcel:
                unpack(parcel, place)
            if status == "failed":
                say_failed(place, why)
            return Ended(flight.planned, status, why)
        except ray.exceptions.TaskCancelledError:
            return Ended(flight.planned, "interrupted", "the sweep was stopped")
        except (ray.exceptions.RayTaskError, ParcelError, OSError) as error:
            why = f"{type(error).__name__}: {_line(error)}"
            say_failed(place, why)
            return Ended(flight.planned, "failed", why)
        except ray.exceptions.RayError as error:
            return self._after_loss(flight.planned, error)
        finally:
            self._flying.pop(name, None)
            flight.claim.release()

    def _after_loss(self, planned: Planned, error: Exception) -> Ended | None:
        """Keep what the lost run had sent last, and count."""
        self._read_mailbox()
        self._renewed = -_RENEW_SECONDS
        tries = self._attempts[planned.name] = self._attempts.get(planned.name, 0) + 1
        if tries < MOST_ATTEMPTS:
            where = self.nodes.get(planned.name, "a node")
            warnings.warn(
                f"{planned.name}: its worker on {where} was lost ({type(error).__name__}); "
                "submitted again",
                stacklevel=2,
            )
            return None
        why = f"{MOST_ATTEMPTS} workers were lost during it ({type(error).__name__}); a run may "
        why += "need more memory: see --memory-per-run"
        say_failed(place_of(self.folder, planned.name), why)
        return Ended(planned, "failed", why)

    def _read_mailbox(self) -> None:
        """Write down what runs under way have reached, so that others see it and go on from it."""
        ray, self._heard = _ray(), time.monotonic()
        try:
            begun, states = ray.get(self._mailbox.take.remote(), timeout=30.0)
        except ray.exceptions.RayError as error:
            logging.getLogger(__name__).debug("the mailbox does not answer: %s", error)
            return
        self.nodes.update(begun)
        for name, state in states.items():
            if name in self._flying:
                unpack(state, place_of(self.folder, name))

    def _stop(self) -> None:
        """Let runs end their step and send back what they have; then end them all."""
        ray = _ray()
        if self._flying:
            self._read_mailbox()
            self._mailbox.stop.remote()
        waiting = [f for name, f in self._flying.items() if name not in self.nodes]
        for flight in waiting:
            ray.cancel(flight.ref)
        end = time.monotonic() + STOP_SECONDS
        while self._flying and time.monotonic() < end:
            refs = [flight.ref for flight in self._flying.values()]
            ready, _ = ray.wait(refs, num_returns=1, timeout=POLL_SECONDS)
            for flight in [f for f in self._flying.values() if f.ref in ready]:
                self._landed(flight)
        for flight in list(self._flying.values()):
            ray.cancel(flight.ref, force=True)
            flight.claim.release()
        self._flying.clear()
        ray.kill(self._mailbox)


def _ray() -> Any:
    import ray

    return ray


def _nodes() -> list[Mapping[str, float]]:
    """What each node that is alive has of each resource."""
    return [node["Resources"] for node in _ray().nodes() if node["Alive"]]


def _join(address: str | None) -> None:
    """Start Ray here, or join a cluster that this machine belongs to.

    Raises:
        InputError: no cluster answers there.
    """
    # Nothing about a sweep leaves the machine unasked.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    own: dict[str, Any] = {"address": address}
    if address not in (None, "auto", "local"):
        _reach(str(address))
    if address is None:
        own = {"address": "local", "num_cpus": default_workers(), "include_dashboard": False}
    try:
        _ray().init(**own, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, _ray().exceptions.RayError) as error:
        raise _no_cluster(address or "this machine", _line(error)[:200]) from None


def _reach(address: str) -> None:
    """Ray itself tries for minutes where nobody answers."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(address, _line(error)) from None


def _no_cluster(address: str, why: str) -> InputError:
    return InputError(
        f"ray-address: expected a cluster that this machine belongs to, at {address}, found none "
        f"({why}); start one with ray start --head, and join others with ray start --address "
        "HOST:PORT"
    )


def _times(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """How often a share fits into what a node has."""
    return min(int(node.get(name, 0.0) / much + 1e-9) for name, much in wanted.items() if much)


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
