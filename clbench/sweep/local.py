"""Processes of this machine that make runs, each on its share of the cores.

A worker imports everything once and then makes one run after the other. One that dies, however,
costs its run an attempt: another worker goes on with it where it was.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from clbench.errors import InputError
from clbench.evaluation.trials import default_workers
from clbench.sweep.executor import (
    MOST_ATTEMPTS,
    STOP_SECONDS,
    Ended,
    OnStart,
    Settings,
    Share,
)
from clbench.sweep.states import Planned, place_of, say_failed
from clbench.sweep.worker import Order, work


def local_pool(folder: Path, settings: Settings, share: Share) -> Pool:
    """Return the `Executor` of this machine's processes.

    A run's threads do not depend on how many runs are left: another number would round otherwise.

    Raises:
        InputError: a share that only Ray gives.
    """
    if share.gpus or share.memory_bytes is not None or share.address is not None:
        raise InputError(
            "executor: expected ray for --gpus-per-run, --memory-per-run and --ray-address, found "
            "local; add --executor ray"
        )
    cores = default_workers()
    workers = share.workers or max(1, cores // (share.cores or 1))
    threads = share.cores or max(1, cores // workers)
    return Pool(folder, replace(settings, num_threads=threads), workers)


@dataclass
class _Worker:
    process: BaseProcess
    orders: Connection
    job: Planned | None = None


@dataclass
class Pool:
    """Workers and what they are to do.

    Attributes:
        folder: of the sweep.
        settings: for every worker.
        num_workers: processes at once.
    """

    folder: Path
    settings: Settings
    num_workers: int
    _workers: list[_Worker] = field(default_factory=list)
    _attempts: dict[str, int] = field(default_factory=dict)

    def where(self) -> str:
        """See `Executor.where`."""
        return f"{self.num_workers} at once"

    def at_once(self) -> int:
        """See `Executor.at_once`."""
        return self.num_workers

    def run(self, planned: Sequence[Planned], on_start: OnStart | None = None) -> Iterator[Ended]:
        """See `Executor.run`."""
        queue = deque(planned)
        try:
            while queue or any(worker.job for worker in self._workers):
                self._hand_out(queue, on_start)
                yield from self._gathered(queue)
        finally:
            self._stop()

    def close(self) -> None:
        """See `Executor.close`: workers end with `run`."""

    def _hand_out(self, queue: deque[Planned], on_start: OnStart | None) -> None:
        while queue:
            free = next((worker for worker in self._workers if worker.job is None), None)
            if free is None:
                if len(self._workers) >= self.num_workers:
                    return
                free = self._started()
            job = queue.popleft()
            free.job = job
            free.orders.send(Order(job.config, place_of(self.folder, job.name)))
            if on_start is not None:
                on_start(job)

    def _started(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, self.settings), daemon=False)
        process.start()
        there.close()
        worker = _Worker(process, here)
        self._workers.append(worker)
        return worker

    def _gathered(self, queue: deque[Planned]) -> Iterator[Ended]:
        busy = [worker for worker in self._workers if worker.job is not None]
        wait([worker.orders for worker in busy] + [worker.process.sentinel for worker in busy])
        for worker in busy:
            job = worker.job
            assert job is not None
            answer = self._answer(worker)
            if answer is not None:
                worker.job = None
                yield Ended(job, *answer)
            elif not worker.process.is_alive():
                self._workers.remove(worker)
                ended = self._after_death(job, worker.process.exitcode, queue)
                if ended is not None:
                    yield ended

    @staticmethod
    def _answer(worker: _Worker) -> tuple[str, str] | None:
        try:
            found: Any = worker.orders.recv() if worker.orders.poll() else None
        except (EOFError, OSError):
            return None
        return found

    def _after_death(self, job: Planned, code: int | None, queue: deque[Planned]) -> Ended | None:
        """Put the run first in the queue again, unless it kills every worker."""
        self._attempts[job.name] = self._attempts.get(job.name, 0) + 1
        if self._attempts[job.name] < MOST_ATTEMPTS:
            queue.appendleft(job)
            return None
        why = (
            f"{MOST_ATTEMPTS} workers ended during it (exit code {code}), most likely for want of "
            "memory; fewer --workers may do"
        )
        say_failed(place_of(self.folder, job.name), why)
        return Ended(job, "failed", why)

    def _stop(self) -> None:
        """Let idle workers end, and busy ones end their step; then end them all."""
        for worker in self._workers:
            worker.orders.close()
            if worker.job is not None:
                worker.process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            worker.process.kill()
            worker.process.join()
        self._workers.clear()
