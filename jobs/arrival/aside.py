"""Work beside the pass over a file: what seals the last block and writes the last rows need not keep the next block waiting."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Made = TypeVar("Made")


class Aside:
    """Calls in a thread of their own, in the order they were given, at most one at a time: memory holds one block more, whatever the file's size.

    What a call raises is raised by the next `call`, or by `wait`.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[Any] | None = None

    def call(self, work: Callable[..., Any], *args: Any) -> None:
        """Returns at once when the call before it is done."""
        self.wait()
        self._last = self._pool.submit(work, *args)

    def wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def close(self) -> None:
        """Waits for what runs, whatever becomes of it."""
        self._pool.shutdown()


def ahead(items: Generator[Made]) -> Generator[Made]:
    """The same items in the same order, each next one made in a thread of its own while one is looked at: memory holds one more.

    Close it where it may be left early (`contextlib.closing`): that waits for what is just being made, and no more is.
    """
    end: Any = object()
    pool = ThreadPoolExecutor(1)
    try:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item
    finally:
        pool.shutdown()
        items.close()
