"""One process that makes runs for a sweep."""

from __future__ import annotations

import signal
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from clbench.config import RunConfig
from clbench.errors import Diverged, InputError
from clbench.machine.parent import end_with_the_parent
from clbench.machine.stopping import stoppable
from clbench.store.claims import claim_directory
from clbench.sweep.executor import Settings
from clbench.sweep.states import say_failed


@dataclass(frozen=True)
class Order:
    """One run to be made."""

    config: RunConfig
    directory: Path


def work(orders: Connection, settings: Settings) -> None:
    """Make runs until the connection closes or a signal comes."""
    end_with_the_parent()
    # Ctrl-C reaches the whole group of processes; the parent sends SIGTERM to those that work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(settings.num_threads)
    with stoppable():
        try:
            while True:
                orders.send(made(orders.recv(), settings))
        except (EOFError, OSError, KeyboardInterrupt):
            return


def made(order: Order, settings: Settings) -> tuple[str, str]:
    """Make one run in its directory, or go on with it; what became of it, and why.

    Raises:
        KeyboardInterrupt: a signal came; the run is interrupted and can be gone on with.
    """
    from clbench.run import run
    from clbench.tracking import TensorBoardTracker

    claim = claim_directory(order.directory)
    if claim is None:
        return "taken", "another sweep makes it"
    try:
        if (order.directory / "report.json").exists():
            return "done", ""
        trackers = [TensorBoardTracker(order.directory)] if settings.tensorboard else []
        run(
            order.config,
            data_root=settings.data_root,
            output=order.directory,
            trackers=trackers,
            use_cache=settings.use_cache,
        )
        return "done", ""
    except Diverged as error:
        return "diverged", _line(error)
    except InputError as error:
        say_failed(order.directory, _line(error))
        return "failed", _line(error)
    except Exception as error:  # one run that fails must not cost the others
        why = f"{type(error).__name__}: {_line(error)}"
        say_failed(order.directory, why)
        return "failed", why
    finally:
        claim.release()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
