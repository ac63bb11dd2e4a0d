"""A stop waits for the end of a step, and no longer."""

from __future__ import annotations

import threading

import pytest

from clbench.machine.steps import in_steps, may_stop, postponed, stop_is_asked


def test_outside_of_steps_nothing_waits() -> None:
    assert not postponed() and not stop_is_asked()
    may_stop()


def test_a_stop_waits_for_the_end_of_a_step() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), in_steps():
        for number in range(5):
            if number == 2:
                assert postponed() and stop_is_asked()
            done.append(number)
            may_stop()
    assert done == [0, 1, 2] and not stop_is_asked()


def test_a_stop_is_not_lost_where_the_last_step_forgets_it() -> None:
    with pytest.raises(KeyboardInterrupt), in_steps():
        with in_steps():
            assert postponed()
        done = True
    assert done and not stop_is_asked()


def test_an_error_is_not_hidden_by_a_stop() -> None:
    with pytest.raises(ValueError, match="first"), in_steps():
        assert postponed()
        raise ValueError("first")
    with pytest.raises(KeyboardInterrupt):
        may_stop()


def test_another_thread_is_not_stopped() -> None:
    found = []

    def work() -> None:
        with in_steps():
            found.append(postponed())
            may_stop()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
