"""A function called in a fresh process: its peak memory is its own, and the load of imports not.

Where it can, a process that has imported everything is forked: that takes no time, and every call
begins with the same memory.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from clbench.errors import InputError

T = TypeVar("T")


def call_apart(function: Callable[..., T], *given: Any, imports: Sequence[str] = ()) -> T:
    """Return what a function of a module returns in a process of its own.

    Args:
        function: importable by its name; raises InputError for what a user can put right.
        given: its arguments, pickled.
        imports: modules that the process has imported before it begins.

    Raises:
        InputError: raised there, or the process ended without an answer.
    """
    ways = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")
    if "forkserver" in ways:
        context.set_forkserver_preload(list(imports))
    mine, its = context.Pipe()
    process = context.Process(target=_answer, args=(its, function, given), daemon=True)
    process.start()
    its.close()
    try:
        answer, error = mine.recv()
    except EOFError:
        process.join()
        raise InputError(
            f"expected an answer of {function.__name__}, found that its process ended (exit code "
            f"{process.exitcode}); did memory run out? lower the sizes"
        ) from None
    finally:
        process.terminate()
        process.join()
    if error is not None:
        raise InputError(error)
    result: T = answer
    return result


def _answer(pipe: Connection, function: Callable[..., Any], given: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked ends this process
    try:
        pipe.send((function(*given), None))
    except InputError as error:
        pipe.send((None, str(error)))
