"""Processes of this machine that make runs, each on its share of the cores.

A worker imports everything once and then makes one run after the other. One that dies, however,
costs its run an attempt: another worker goes on with it where it was.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from clbench.sweep.states import Planned, place_of, say_failed
from clbench.sweep.worker import Order, Settings, work

MOST_ATTEMPTS = 3  # of a run whose workers die
STOP_SECONDS = 60.0  # that workers have to end their step


@dataclass(frozen=True)
class Ended:
    """A run that a worker is done with.

    Attributes:
        planned: which.
        status: "done", "taken" by another sweep, "failed", "diverged" or "interrupted".
        why: in one line, where it did not end well.
    """

    planned: Planned
    status: str
    why: str = ""


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

    def run(
        self, planned: Sequence[Planned], on_start: Callable[[Planned], None] | None = None
    ) -> Iterator[Ended]:
        """Make the runs; each that ends is given at once. Leaving early stops the workers."""
        queue = deque(planned)
        try:
            while queue or any(worker.job for worker in self._workers):
                self._hand_out(queue, on_start)
                yield from self._gathered(queue)
        finally:
            self._stop()

    def _hand_out(self, queue: deque[Planned], on_start: Callable[[Planned], None] | None) -> None:
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
