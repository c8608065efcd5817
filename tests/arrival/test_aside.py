"""Work beside the pass over a file."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from jobs.arrival.aside import Aside


def test_calls_keep_their_order_and_leave_the_caller_alone() -> None:
    done, may_end = [], threading.Event()

    def work(n: int) -> None:
        if n == 0:
            may_end.wait(10)
        done.append(n)

    with closing(Aside()) as aside:
        aside.call(work, 0)
        assert done == []  # the caller goes on while it runs
        may_end.set()
        for n in range(1, 5):
            aside.call(work, n)
        aside.wait()
        assert done == [0, 1, 2, 3, 4]


def test_what_a_call_raises_is_never_lost() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    done: list[str] = []
    with closing(Aside()) as aside:
        aside.call(full)
        with pytest.raises(OSError, match="No space"):
            aside.call(done.append, "after the failure")
        assert done == []
        aside.call(full)
        with pytest.raises(OSError, match="No space"):
            aside.wait()
        aside.wait()
