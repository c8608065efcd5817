"""Work beside the pass over a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import closing

import pytest

from jobs.arrival.aside import Aside, ahead


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


def made(log: list[int], fails_at: int | None = None) -> Generator[int]:
    for n in range(5):
        if n == fails_at:
            raise ValueError(n)
        log.append(n)
        yield n


def test_the_next_is_made_while_one_is_looked_at_and_order_is_kept():
    log: list[int] = []
    with closing(ahead(made(log))) as items:
        first = next(items)
        until = time.monotonic() + 10
        while log != [0, 1] and time.monotonic() < until:
            time.sleep(0.001)
        assert (first, log) == (0, [0, 1])
        assert list(items) == [1, 2, 3, 4]


def test_what_fails_while_it_is_made_is_raised_in_its_place():
    seen = []
    with pytest.raises(ValueError, match="2"), closing(ahead(made([], fails_at=2))) as items:
        for item in items:
            seen.append(item)
    assert seen == [0, 1]


def test_who_leaves_early_finds_nothing_made_any_more():
    log: list[int] = []
    source = made(log)
    with closing(ahead(source)) as items:
        next(items)
    assert log in ([0], [0, 1])
    before = list(log)
    assert (list(source), log) == ([], before)
